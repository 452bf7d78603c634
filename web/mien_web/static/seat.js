// The seat wizard: keeps the camera open while the page is, draws the seats, and reads the meter.

import { Stage, measured } from "./stage.js";

const SVG = "http://www.w3.org/2000/svg";
const AGAIN = 1000; // ms before asking again where there was no picture
const PATIENCE = 12000; // ms after which an unanswered question counts as lost
const STEP = 0.005; // of the picture, for an arrow key; ten times with Shift
const REACH = 25; // radius of a handle, CSS pixels
const CALM = 400; // ms between two looks of the meter

const main = document.getElementById("seat");
const byId = (id) => document.getElementById(id);
const { words, limits, seat: saved } = Object.fromEntries(
  ["words", "limits", "seat"].map((name) => [name, JSON.parse(main.dataset[name])]),
);
const stage = new Stage(byId("picture"), byId("overlay"));
const board = byId("zones");
const shapes = byId("shapes");
// Of this tab, also after a reload: it keeps its place among the viewers.
const viewer = sessionStorage.viewer ??= [...crypto.getRandomValues(new Uint8Array(8))]
  .map((byte) => byte.toString(16).padStart(2, "0")).join("");

const say = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
const number = (value, digits = 0) =>
  value.toLocaleString(document.documentElement.lang, { maximumFractionDigits: digits });

// ── the seats ───────────────────────────────────────────────────────────────────────────────────

const copy = () => JSON.parse(JSON.stringify(saved));
let seat = copy();
let chosen = null; // the polygon that was touched last
let dirty = false;

const rectangle = (left, top, right, bottom) => [[left, top], [right, top], [right, bottom], [left, bottom]];
const inside = (value) => Math.min(1, Math.max(0, value));
const rounded = (value) => Math.round(value * 1e4) / 1e4;

function polygons() {
  const named = seat.masked.map((points, place) => ({
    points, kind: "masked", name: say(words.masked, { number: place + 1 }),
  }));
  if (seat.client) named.unshift({ points: seat.client, kind: "client", name: words.client });
  return named;
}

function shift(points, dx, dy) {
  // As a whole and not beyond the edge, so that its form stays.
  const xs = points.map(([x]) => x);
  const ys = points.map(([, y]) => y);
  const x = Math.min(1 - Math.max(...xs), Math.max(-Math.min(...xs), dx));
  const y = Math.min(1 - Math.max(...ys), Math.max(-Math.min(...ys), dy));
  for (const point of points) {
    point[0] = rounded(point[0] + x);
    point[1] = rounded(point[1] + y);
  }
}

function stretch(point, dx, dy) {
  point[0] = rounded(inside(point[0] + dx));
  point[1] = rounded(inside(point[1] + dy));
}

function changed() {
  dirty = true;
  draw();
  settle();
}

/** What follows from the seats as they are now: the form, the buttons, the words. */
function settle() {
  byId("field").value = JSON.stringify(seat);
  byId("mark").textContent = seat.client ? words.whole : words.mark;
  byId("remove").disabled = !seat.masked.includes(chosen);
  byId("add").disabled = seat.masked.length >= Number(main.dataset.most);
  byId("save").disabled = main.dataset.state === "lost";
  byId("far").checked = seat.far;
  const alone = byId("alone");
  if (alone) {
    byId("alone-row").hidden = seat.masked.length > 0;
    alone.required = seat.masked.length === 0;
  }
  byId("unsaved").textContent = dirty ? words.unsaved : "";
}

function element(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

/** The elements stay as long as there are as many corners, so that the focus and a drag do too. */
function draw() {
  const { width, height } = board.getBoundingClientRect();
  board.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const wanted = polygons();
  const form = JSON.stringify(wanted.map(({ points, name }) => [points.length, name]));
  if (shapes.dataset.form !== form) {
    shapes.dataset.form = form;
    shapes.replaceChildren(...wanted.flatMap(built));
  }
  for (const part of shapes.querySelectorAll("[data-seat]")) {
    const { points } = wanted[part.dataset.seat];
    const scaled = points.map(([x, y]) => [x * width, y * height]);
    if (part.dataset.corner !== undefined) {
      const [x, y] = scaled[part.dataset.corner];
      part.setAttribute("cx", x);
      part.setAttribute("cy", y);
      part.classList.toggle("chosen", points === chosen);
    } else if (part.tagName === "text") {
      part.setAttribute("x", scaled.reduce((sum, [x]) => sum + x, 0) / scaled.length);
      part.setAttribute("y", Math.min(height - 12, Math.max(...scaled.map(([, y]) => y)) - 22)); // below the face
    } else {
      part.setAttribute("points", scaled.join(" "));
    }
  }
}

function built({ points, kind, name }, place) {
  const polygon = (attributes) => element("polygon", { "data-seat": place, ...attributes });
  const label = element("text", { "data-seat": place, class: "name", "aria-hidden": "true" });
  label.textContent = name;
  return [
    polygon({ class: "edge" }),
    polygon({ class: `shape ${kind}`, tabindex: 0, role: "button", "aria-label": say(words.move, { seat: name }) }),
    ...(kind === "masked" ? [polygon({ class: "weave" })] : []),
    label,
    ...points.flatMap((_, corner) => [
      element("circle", { "data-seat": place, "data-corner": corner, class: "dot", r: 9 }),
      element("circle", {
        "data-seat": place, "data-corner": corner, class: "handle", r: REACH, tabindex: 0, role: "button",
        "aria-label": say(words.corner, { corner: corner + 1, seat: name }),
      }),
    ]),
  ];
}

function move(part, dx, dy) {
  const { points } = polygons()[part.dataset.seat];
  if (part.dataset.corner === undefined) shift(points, dx, dy);
  else stretch(points[part.dataset.corner], dx, dy);
  changed();
}

function choose(part) {
  chosen = polygons()[part.dataset.seat].points;
  draw();
  settle();
}

board.addEventListener("pointerdown", (press) => {
  const part = press.target.closest("[tabindex]");
  if (!part) return;
  press.preventDefault();
  part.focus({ focusVisible: false });
  choose(part);
  board.setPointerCapture(press.pointerId);
  const { width, height } = board.getBoundingClientRect();
  let [x, y] = [press.clientX, press.clientY];
  const follow = (drag) => {
    if (drag.pointerId !== press.pointerId) return;
    move(part, (drag.clientX - x) / width, (drag.clientY - y) / height);
    [x, y] = [drag.clientX, drag.clientY];
  };
  const end = (up) => {
    if (up.pointerId !== press.pointerId) return;
    board.removeEventListener("pointermove", follow);
    for (const kind of ["pointerup", "pointercancel"]) board.removeEventListener(kind, end);
  };
  board.addEventListener("pointermove", follow);
  for (const kind of ["pointerup", "pointercancel"]) board.addEventListener(kind, end);
});

board.addEventListener("focusin", (event) => {
  if (event.target.closest("[tabindex]")) choose(event.target);
});

board.addEventListener("keydown", (press) => {
  const part = press.target.closest("[tabindex]");
  const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[press.key];
  if (!part || !way) return;
  press.preventDefault();
  const step = press.shiftKey ? STEP * 10 : STEP;
  move(part, way[0] * step, way[1] * step);
});

byId("mark").addEventListener("click", () => {
  seat.client = seat.client ? null : rectangle(0.3, 0.15, 0.7, 0.95);
  chosen = seat.client;
  changed();
});

byId("add").addEventListener("click", () => {
  const place = 0.04 * seat.masked.length;
  chosen = rectangle(0.03 + place, 0.35 + place / 2, 0.25 + place, 0.95);
  seat.masked.push(chosen);
  changed();
});

byId("remove").addEventListener("click", () => {
  seat.masked = seat.masked.filter((points) => points !== chosen);
  chosen = null;
  changed();
});

byId("reset").addEventListener("click", () => {
  seat = copy();
  chosen = null;
  changed();
  dirty = false;
  settle();
});

byId("far").addEventListener("change", () => {
  seat.far = byId("far").checked;
  changed();
});

new ResizeObserver(draw).observe(board);
settle();
draw();

// ── the meter ───────────────────────────────────────────────────────────────────────────────────

const small = document.createElement("canvas");
small.width = small.height = 16;
const sample = small.getContext("2d", { willReadFrequently: true });
const advice = byId("advice");
let looked = 0;

function gauge(name, share, kind, text, here = false) {
  const row = main.querySelector(`[data-${name}]`);
  row.querySelector("i").style.setProperty("--share", Math.min(1, Math.max(0.02, share)));
  row.classList.toggle("poor", kind === "poor");
  row.classList.toggle("fair", kind === "fair");
  row.classList.toggle("here", here);
  row.querySelector("b").textContent = text;
}

/** Mean grey of the face, 0–255, of what the canvas shows. */
function brightness([x, y, w, h], live) {
  const { width, height } = stage.canvas;
  const [sx, sy] = [width / live.width, height / live.height];
  sample.drawImage(stage.canvas, x * sx, y * sy, w * sx, h * sy, 0, 0, 16, 16);
  const { data } = sample.getImageData(0, 0, 16, 16);
  let sum = 0;
  for (let at = 0; at < data.length; at += 4) sum += 0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2];
  return sum / (data.length / 4);
}

function size(width) {
  if (width < limits.face) return ["poor", words.small];
  return width < 2 * limits.face ? ["fair", words.enough] : ["good", words.good];
}

function tell(sentence) {
  if (advice.textContent !== sentence) advice.textContent = sentence; // said anew only when new
}

function blank(sentence) {
  for (const name of ["metres='1'", "metres='2'", "metres='3'", "gauge='turn'", "gauge='light'"]) gauge(name, 0, "", "–");
  tell(sentence);
}

function measure(live) {
  if (performance.now() - looked < CALM) return;
  looked = performance.now();
  const face = [...live.readings].sort((a, b) => b.box[2] - a.box[2])[0];
  if (!face) {
    blank(words.nobody);
    return;
  }
  const metres = Number(main.querySelector("[name=metres]:checked").value);
  const width = face.box[2];
  for (const at of [1, 2, 3]) {
    // How wide a face looks goes with one over its distance.
    const there = (width * metres) / at;
    const [kind, word] = size(there);
    gauge(`metres='${at}'`, there / (4 * limits.face), kind, `${say(words.pixels, { count: number(there) })} – ${word}`, at === metres);
  }
  const { yaw, pitch } = face.turn;
  const turned = Math.max(Math.abs(yaw) / limits.yaw, Math.abs(pitch) / limits.pitch);
  const degrees = say(words.degrees, { count: number(Math.max(Math.abs(yaw), Math.abs(pitch))) });
  if (measured(face.turn)) gauge("gauge='turn'", turned, turned > 1 ? "poor" : "good", `${degrees} – ${turned > 1 ? words.away : words.straight}`);
  else gauge("gauge='turn'", 0, "", words.unknown);
  const grey = brightness(face.box, live);
  const dark = face.reason === "too dark" || grey < limits.dark;
  const bright = face.reason === "too bright" || grey > limits.bright;
  gauge("gauge='light'", grey / 255, dark || bright ? "poor" : "good", dark ? words.dark : bright ? words.bright : words.light);

  const said = [];
  const [kind] = size(width);
  if (kind === "poor") said.push(words.smallHere);
  if (turned > 1) said.push(words.turn);
  if (dark || bright) said.push(dark ? words.tooDark : words.tooBright);
  else if (face.reason === "blurred") said.push(words.blurred);
  if (kind !== "poor") {
    // To the half metre: it is a rule of thumb, and the words stay calm.
    const far = Math.floor((2 * width * metres) / limits.face) / 2;
    const near = kind === "good" ? words.goodHere : words.enoughHere;
    said.push(far > 3 ? words.goodFar : say(near, { metres: number(far, 1) }));
  }
  if (live.readings.length > 1) said.push(words.several);
  tell(said.join(" "));
}

// ── the camera ──────────────────────────────────────────────────────────────────────────────────

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function enter(state, title, sentence) {
  if (title) {
    const [head, line] = byId("state").children;
    if (head.textContent !== title) head.textContent = title;
    if (line.textContent !== sentence) line.textContent = sentence;
  }
  if (main.dataset.state === state) return;
  main.dataset.state = state;
  if (state !== "live") {
    stage.clear();
    blank("–");
  }
  settle();
}

function aim(end) {
  return fetch(main.dataset.aim, {
    method: "POST",
    headers: { "Mien-Token": main.dataset.token },
    body: new URLSearchParams(end ? { end: "1" } : {}),
    keepalive: end,
    signal: AbortSignal.timeout(PATIENCE),
  });
}

async function keepOpen() {
  for (;;) {
    if (!document.hidden) {
      try {
        const said = await (await aim(false)).json();
        if (said.state && said.state !== "starting") enter(said.state, said.title, said.sentence);
      } catch { /* the picture's loop says that it is lost */ }
    }
    await wait(Number(main.dataset.renew));
  }
}

async function watch() {
  for (let after = 0; ;) {
    if (document.hidden) {
      await wait(AGAIN); // nobody looks: no picture is made
      continue;
    }
    try {
      const response = await fetch(`${main.dataset.picture}?after=${after}&viewer=${viewer}`, {
        signal: AbortSignal.timeout(PATIENCE),
      });
      if (response.headers.has("Mien-Live")) {
        const live = JSON.parse(response.headers.get("Mien-Live"));
        const picture = await createImageBitmap(await response.blob());
        main.querySelector(".stage").style.setProperty("--ratio", `${live.width} / ${live.height}`);
        seat.drawn = `${live.width}x${live.height}`; // what the corners are fractions of
        byId("field").value = JSON.stringify(seat);
        enter("live");
        stage.show(picture, live);
        measure(live);
        after = live.frame;
        continue;
      }
      if (!response.ok) throw new Error(response.statusText);
      const said = await response.json();
      enter(said.state, said.title, said.sentence);
    } catch {
      enter("lost", words.lostTitle, words.lostLine);
    }
    after = 0;
    await wait(AGAIN);
  }
}

document.addEventListener("visibilitychange", () => {
  aim(document.hidden).catch(() => {}); // closed at once; opened at once
});
addEventListener("pagehide", () => aim(true).catch(() => {}));

keepOpen();
watch();
