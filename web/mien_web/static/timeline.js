// The timeline: zoom and pan, a cursor that says what was seen, and changes of the record by hand.
// Times are milliseconds since the session's start. Every change is an ordinary form that is sent.

const root = document.getElementById("timeline");
const picture = document.getElementById("picture");
const words = JSON.parse(root.dataset.words);
const length = Number(root.dataset.length);
const editable = root.dataset.editable === "1";
const HEIGHT = 100;
const SHORTEST = 20_000;
const SVG = "http://www.w3.org/2000/svg";

let view = { from: 0, to: length };
let chosen = null;
let choosing = false;
let cursor = 0;
let rows = null;

const kept = `mien-timeline-${root.dataset.session}`;
const inside = (ms) => Math.min(length, Math.max(0, ms));
const share = (ms) => (100 * (ms - view.from)) / (view.to - view.from);
const msAt = (x) => {
  const box = picture.getBoundingClientRect();
  return view.from + ((x - box.left) / box.width) * (view.to - view.from);
};

function clock(ms) {
  const s = Math.floor(ms / 1000);
  const two = (n) => String(n).padStart(2, "0");
  return s >= 3600
    ? `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`
    : `${Math.floor(s / 60)}:${two(s % 60)}`;
}

const exact = (ms) => {
  const whole = Math.round(ms);
  return `${Math.floor(whole / 60000)}:${String(Math.floor(whole / 1000) % 60).padStart(2, "0")}.${String(whole % 1000).padStart(3, "0")}`;
};

const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);

// ── drawing ──────────────────────────────────────────────────────────────────────────────────────

let loading = null;

async function load() {
  if (rows || root.dataset.watched !== "1") return;
  loading ??= fetch(root.dataset.source).then((answer) => (answer.ok ? answer.json() : Promise.reject(answer)));
  try {
    rows = await loading;
  } finally {
    loading = null;
  }
}

const place = (ms) => Math.floor((ms + rows.phase) / 1000) - rows.first;
const begin = (index) => (rows.first + index) * 1000 - rows.phase;

function stacked(names, columns) {
  const paths = Object.fromEntries(names.map((name) => [name, ""]));
  for (const { x, width, counts, room } of columns) {
    let below = 0;
    names.forEach((name, k) => {
      const bottom = HEIGHT - (HEIGHT * below) / room;
      below += counts[k];
      const top = HEIGHT - (HEIGHT * below) / room;
      if (counts[k]) paths[name] += `M${x.toFixed(1)} ${top.toFixed(1)}h${width.toFixed(1)}V${bottom.toFixed(1)}h-${width.toFixed(1)}z`;
    });
  }
  return paths;
}

function drawBand() {
  const pixels = picture.getBoundingClientRect().width;
  const [first, last] = [Math.max(0, place(view.from)), Math.min(rows.states.length, place(view.to) + 1)];
  const step = Math.max(1, Math.ceil((last - first) / Math.min(600, pixels / 2)));
  const looks = [];
  const turns = [];
  const names = [...words.order, "unknown"];
  for (let start = first - (first % step); start < last; start += step) {
    const counts = names.map(() => 0);
    const facing = [0, 0];
    let room = 0;
    for (let i = Math.max(0, start); i < Math.min(start + step, rows.states.length); i++) {
      room++;
      const state = rows.states[i];
      if (state >= "0" && state <= "9") counts[words.order.indexOf(words.expressions[state])]++;
      else if (state >= "a") counts[names.length - 1]++;
      if (rows.facing[i] !== " ") facing[rows.facing[i] === "1" ? 0 : 1]++;
    }
    const x = (share(begin(start)) / 100) * pixels;
    const width = (share(begin(start + step)) / 100) * pixels - x;
    looks.push({ x, width, counts, room: room || 1 });
    turns.push({ x, width, counts: facing, room: room || 1 });
  }
  for (const [id, drawn] of [["band", stacked(names, looks)], ["attention", stacked(["facing", "away"], turns)]]) {
    const svg = document.getElementById(id);
    svg.setAttribute("viewBox", `0 0 ${pixels} ${HEIGHT}`);
    for (const path of svg.querySelectorAll("[data-piece]")) path.setAttribute("d", drawn[path.dataset.piece]);
  }
}

const STEPS = [1, 5, 10, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400];

function drawAxis() {
  const axis = picture.querySelector(".axis");
  const pixels = picture.getBoundingClientRect().width;
  const most = Math.max(3, pixels / 90);
  const step = 1000 * (STEPS.find((s) => (view.to - view.from) / (1000 * s) <= most) ?? 14400);
  axis.replaceChildren();
  for (let at = Math.ceil(view.from / step) * step; at <= view.to; at += step) {
    const line = document.createElementNS(SVG, "line");
    const text = document.createElementNS(SVG, "text");
    line.setAttribute("x1", `${share(at)}%`);
    line.setAttribute("x2", `${share(at)}%`);
    line.setAttribute("y1", 22);
    line.setAttribute("y2", picture.getAttribute("height"));
    text.setAttribute("x", `${share(at)}%`);
    text.setAttribute("dx", 4);
    text.setAttribute("y", 16);
    text.textContent = (1 - share(at) / 100) * pixels > 44 ? clock(at) : "";
    axis.append(line, text);
  }
}

function put(element, from, to) {
  if (element.tagName === "line") {
    element.setAttribute("x1", `${share(from)}%`);
    element.setAttribute("x2", `${share(to)}%`);
  } else {
    element.setAttribute("x", `${share(from)}%`);
    element.setAttribute("width", `${Math.max(0, share(to) - share(from))}%`);
  }
}

function draw() {
  drawAxis();
  if (rows) drawBand();
  for (const element of picture.querySelectorAll("[data-from]")) put(element, Number(element.dataset.from), Number(element.dataset.to));
  for (const element of picture.querySelectorAll("[data-at]")) element.setAttribute("x", `${share(Number(element.dataset.at))}%`);
  for (const grip of picture.querySelectorAll(".grip")) grip.setAttribute("x", `${share(Number(grip.line.dataset[grip.end]))}%`);
  drawPointer();
  sessionStorage.setItem(kept, JSON.stringify({ view, scroll: window.scrollY }));
}

function drawPointer() {
  const group = picture.querySelector(".pointer");
  group.removeAttribute("hidden");
  put(group.querySelector(".cursor"), cursor, cursor);
  put(group.querySelector(".chosen"), chosen ? chosen.from : 0, chosen ? chosen.to : 0);
}

// ── what was seen at the cursor ──────────────────────────────────────────────────────────────────

function seen() {
  if (!rows) return "";
  const index = place(cursor);
  const state = rows.states[index] ?? " ";
  if (state === " ") return words.unwatched;
  if (state === "-") return words.nobody;
  if (state === "z") return fill(words.cannot, { reason: words.settling });
  if (state >= "a") return fill(words.cannot, { reason: words.reasons[state.charCodeAt(0) - 97] });
  const percent = `${rows.sure[index]}\u00a0%`;
  return fill(words.looks, { name: words.names[words.expressions[state]], percent });
}

function tell() {
  const within = (element) => Number(element.dataset.from) <= cursor && cursor < Math.max(Number(element.dataset.to), Number(element.dataset.from) + 1000);
  const topics = [...picture.querySelectorAll(".topic")].filter((row) => [...row.querySelectorAll(".tag")].some(within)).map((row) => row.dataset.name);
  const parts = [clock(cursor), seen()];
  if (rows && rows.facing[place(cursor)] === "0") parts.push(words.away);
  parts.push(topics.length ? fill(words.topics, { topics: topics.join(", ") }) : words.none);
  if ([...picture.querySelectorAll(".excluded [data-from]")].some(within)) parts.push(words.excluded);
  const text = parts.filter(Boolean).join(" · ");
  const readout = document.getElementById("readout");
  readout.hidden = false;
  readout.textContent = chosen ? `${text} — ${fill(words.chosen, { start: clock(chosen.from), end: clock(chosen.to) })}` : text;
  const range = document.getElementById("moment");
  range.value = Math.floor(cursor / 1000);
  range.setAttribute("aria-valuetext", text);
}

async function look(ms) {
  cursor = inside(ms);
  drawPointer();
  try {
    await load();
    tell();
  } catch (error) {
    const readout = document.getElementById("readout");
    readout.hidden = false;
    readout.textContent = words.nothing;
  }
}

function choose(from, to) {
  chosen = { from: inside(Math.min(from, to)), to: inside(Math.max(from, to)) };
  const form = document.getElementById("stretch");
  if (form) {
    form.elements.from.value = clock(chosen.from);
    form.elements.to.value = clock(chosen.to);
  }
  drawPointer();
  tell();
}

// ── zoom and pan ─────────────────────────────────────────────────────────────────────────────────

let waiting = false;
function show(from, to) {
  const span = Math.min(length, Math.max(Math.min(SHORTEST, length), to - from));
  const start = Math.min(Math.max(0, from), length - span);
  view = { from: start, to: start + span };
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(async () => {
    waiting = false;
    await load().catch(() => {});
    draw();
  });
}

const zoom = (factor, about) => {
  const at = about ?? (cursor >= view.from && cursor <= view.to && cursor > 0 ? cursor : (view.from + view.to) / 2);
  show(at - (at - view.from) * factor, at + (view.to - at) * factor);
};
const pan = (part) => show(view.from + part * (view.to - view.from), view.to + part * (view.to - view.from));

const ACTS = {
  in: () => zoom(0.5),
  out: () => zoom(2),
  fit: () => show(0, length),
  back: () => pan(-0.5),
  on: () => pan(0.5),
  select: (button) => {
    choosing = !choosing;
    button.setAttribute("aria-pressed", choosing);
    root.classList.toggle("choosing", choosing);
  },
};

for (const button of root.querySelectorAll("[data-do]")) button.addEventListener("click", () => ACTS[button.dataset.do](button));

const chart = document.getElementById("chart");
chart.addEventListener("wheel", (event) => {
  if (event.ctrlKey) zoom(Math.exp(event.deltaY / 300), msAt(event.clientX));
  else if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) pan(event.deltaX / chart.clientWidth);
  else return;
  event.preventDefault();
}, { passive: false });

const fingers = new Map();
let begun = null;

chart.addEventListener("pointerdown", (event) => {
  if (event.target.closest("a, .grip") || event.button) return;
  fingers.set(event.pointerId, event.clientX);
  begun = { x: event.clientX, ms: msAt(event.clientX), view: { ...view }, moved: false };
  chart.setPointerCapture(event.pointerId);
});

chart.addEventListener("pointermove", (event) => {
  if (!fingers.has(event.pointerId)) {
    if (event.pointerType === "mouse" && !event.target.closest(".grip")) look(msAt(event.clientX));
    return;
  }
  const before = [...fingers.values()];
  fingers.set(event.pointerId, event.clientX);
  const now = [...fingers.values()];
  if (now.length === 2) {
    begun.moved = true;
    const gap = (xs) => Math.max(20, Math.abs(xs[0] - xs[1]));
    zoom(gap(before) / gap(now), msAt((now[0] + now[1]) / 2));
  } else if (Math.abs(event.clientX - begun.x) > 6 || begun.moved) {
    begun.moved = true;
    if (choosing || event.shiftKey) choose(begun.ms, msAt(event.clientX));
    else {
      const shift = ((begun.x - event.clientX) / chart.clientWidth) * (begun.view.to - begun.view.from);
      show(begun.view.from + shift, begun.view.to + shift);
    }
  }
});

for (const end of ["pointerup", "pointercancel"]) {
  chart.addEventListener(end, (event) => {
    if (!fingers.delete(event.pointerId) || !begun) return;
    if (!begun.moved && end === "pointerup") look(msAt(event.clientX));
    const [x] = fingers.values();
    begun = fingers.size ? { x, ms: msAt(x), view: { ...view }, moved: true } : null;
  });
}

// Keys on the slider: + − zoom, 0 shows all, [ and ] choose from and to the cursor.
const range = document.getElementById("moment");
range.addEventListener("input", () => {
  const ms = Number(range.value) * 1000;
  if (ms < view.from || ms > view.to) show(ms - (view.to - view.from) / 2, ms + (view.to - view.from) / 2);
  look(ms);
});
range.addEventListener("keydown", (event) => {
  const keys = { "+": ACTS.in, "=": ACTS.in, "-": ACTS.out, 0: ACTS.fit };
  if (keys[event.key]) keys[event.key]();
  else if (event.key === "[" && editable) choose(cursor, chosen && chosen.to > cursor ? chosen.to : cursor);
  else if (event.key === "]" && editable) choose(chosen && chosen.from < cursor ? chosen.from : cursor, cursor);
  else return;
  event.preventDefault();
});

// ── the ends of a tag, to be dragged ─────────────────────────────────────────────────────────────

function grips() {
  for (const line of picture.querySelectorAll(".tag")) {
    for (const end of ["from", "to"]) {
      const grip = document.createElementNS(SVG, "svg");
      const touch = document.createElementNS(SVG, "rect");
      const bar = document.createElementNS(SVG, "rect");
      Object.assign(grip, { line, end });
      grip.setAttribute("class", "grip");
      grip.setAttribute("overflow", "visible");
      grip.setAttribute("y", Number(line.getAttribute("y1")) - 16);
      for (const [name, value] of [["class", "touch"], ["x", end === "from" ? -18 : -4], ["width", 22], ["height", 32]]) touch.setAttribute(name, value);
      for (const [name, value] of [["class", "end"], ["x", end === "from" ? -3 : -1], ["y", 4], ["width", 4], ["height", 24], ["rx", 2]]) bar.setAttribute(name, value);
      grip.append(touch, bar);
      line.after(grip);
      grip.addEventListener("pointerdown", (event) => {
        event.stopPropagation();
        grip.setPointerCapture(event.pointerId);
        grip.began = line.dataset[end];
      });
      grip.addEventListener("pointermove", (event) => {
        if (grip.began === undefined) return;
        const ms = inside(msAt(event.clientX));
        const { from, to } = line.dataset;
        line.dataset[end] = end === "from" ? Math.min(ms, Number(to)) : Math.max(ms, Number(from));
        put(line, Number(line.dataset.from), Number(line.dataset.to));
        grip.setAttribute("x", `${share(Number(line.dataset[end]))}%`);
        look(Number(line.dataset[end]));
      });
      grip.addEventListener("pointercancel", () => {
        line.dataset[end] = grip.began ?? line.dataset[end];
        grip.began = undefined;
        draw();
      });
      grip.addEventListener("pointerup", () => {
        const changed = grip.began !== undefined && line.dataset[end] !== grip.began;
        grip.began = undefined;
        if (!changed) return;
        const form = document.getElementById("move");
        form.elements.tag.value = line.dataset.tag;
        form.elements.from.value = exact(Number(line.dataset.from));
        form.elements.to.value = exact(Number(line.dataset.to));
        form.submit();
      });
    }
  }
}

// ── begin ────────────────────────────────────────────────────────────────────────────────────────

if (length > 0) {
  root.classList.add("scripted");
  if (editable) grips();
  const before = JSON.parse(sessionStorage.getItem(kept) ?? "null");
  if (before && before.view.to <= length && before.view.to > before.view.from) view = before.view;
  const moment = /^#t=(\d+)$/.exec(location.hash);  // a link to one moment
  if (moment) {
    const ms = inside(Number(moment[1]) * 1000);
    view = { from: Math.max(0, ms - 60_000), to: Math.min(length, ms + 120_000) };
    look(ms);
  }
  if (view.from > 0 || view.to < length) show(view.from, view.to);
  else draw();
  if (before && document.querySelector(".undo")) window.scrollTo(0, before.scroll);
  window.addEventListener("pagehide", () => sessionStorage.setItem(kept, JSON.stringify({ view, scroll: window.scrollY })));
  new ResizeObserver(() => draw()).observe(chart);
}
