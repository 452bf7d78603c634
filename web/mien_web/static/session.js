// The session page. What is shown is what the box said last, with the taps on top that it has not
// acknowledged; so a tap shows at once, and two tablets in one session come to the same.

import * as queue from "./queue.js";
import { watch } from "./ribbon.js";
import { clock, element, find, set, showTopics } from "./topics.js";

const POLL = 2500; // ms between two questions when nothing is to be sent
const SLOWEST = 10000; // ms between two attempts while the box does not answer
const PATIENCE = 12000; // ms after which an unanswered question counts as lost
const READING = 15000; // ms that a sentence about what went wrong stays
const SURE = 5000; // ms in which the second tap stops
const TWICE = 500; // ms between the two taps of a double tap, at most
const TYPING = 1200; // ms without a key after which a note is sent
const BYTES = 40000; // of taps sent at once
const MOST = 100;
const STEPS = 40; // acts that can be undone

const main = find("session");
const { session, token } = main.dataset;
const words = JSON.parse(main.dataset.words);
let state = JSON.parse(main.dataset.first);
let heard = performance.now(); // when the box said so
const order = state.keywords.map((one) => one.id); // chips stay where the thumb found them
const aliases = new Map(); // a topic added twice: the id made here, the one that was there
const earlier = new Set([...queue.sessions()].filter((one) => one !== session)); // with waiting taps
let acts = recalled();
let failures = 0;
let editing = false;
let most = MOST; // taps sent at once; 1 after the box refused a parcel as a whole
let nudge = () => {};

// ── what is shown ────────────────────────────────────────────────────────────────────────────────

/** Milliseconds since the session's start. */
function elapsed() {
  return state.elapsed_ms + (state.running ? performance.now() - heard : 0);
}

/** The box's state with the waiting taps on top. */
function shown() {
  const view = structuredClone(state);
  for (const [, tap] of queue.waiting(session)) lay(view, tap, Math.max(0, elapsed() - queue.age(tap)));
  view.keywords.sort((a, b) => place(a.id) - place(b.id));
  return view;
}

function lay(view, tap, at) {
  const keyword = aliases.get(tap.keyword) ?? tap.keyword;
  const known = view.keywords.find((one) => one.id === keyword);
  const count = (by) => { view.counts[keyword] = (view.counts[keyword] ?? 0) + by; };
  if (tap.kind === "tag_on" && !(keyword in view.on)) view.on[keyword] = at, count(1);
  else if (tap.kind === "tag_off") delete view.on[keyword];
  else if (tap.kind === "moment") count(1);
  else if (tap.kind === "exclude_on") view.excluded ??= at;
  else if (tap.kind === "exclude_off") view.excluded = null;
  else if (tap.kind === "keyword_new") {
    const same = view.keywords.find((one) => one.text.toLowerCase() === tap.text.toLowerCase());
    if (same) aliases.set(tap.id, same.id), same.hidden = false;
    else view.keywords.push({ id: tap.id, text: tap.text, hidden: false });
  } else if (tap.kind === "keyword_rename" && known) known.text = tap.text;
  else if (tap.kind === "keyword_hide" && known) known.hidden = true;
  else if (tap.kind === "keyword_show" && known) known.hidden = false;
  else if (tap.kind === "note") {
    const note = view.notes.find((one) => one.id === tap.note);
    if (note) note.text = tap.text;
    else view.notes.push({ id: tap.note, at_ms: at, text: tap.text });
  } else if (tap.kind === "undo" && tap.inverse) {
    const { kind, from } = tap.inverse;
    if (kind === "tag_on") delete view.on[keyword], count(-1);
    else if (kind === "tag_off") view.on[keyword] = from;
    else if (kind === "moment") count(-1);
    else if (kind === "exclude_on") view.excluded = null;
    else if (kind === "exclude_off") view.excluded = from;
    else if (kind === "keyword_new" && known) known.hidden = true;
    else if (kind === "keyword_hide" && known) known.hidden = false;
    else if (kind === "keyword_show" && known) known.hidden = true;
    else if (kind === "keyword_rename" && known) known.text = from;
  } else if (tap.kind === "stop") view.running = false, view.ended ??= "stopped";
}

/** New topics come first, the others stay. */
function place(id) {
  if (!order.includes(id)) order.unshift(id);
  return order.indexOf(id);
}

function render() {
  const view = shown();
  showTopics(view, editing, words);
  renderNotes(view);
  const waiting = queue.waiting(session).length;
  find("unsaved").hidden = !waiting;
  set(find("unsaved").querySelector("span"), waiting === 1 ? words.unsaved[0] : words.unsaved[1].replace("{count}", waiting));
  find("excluded").hidden = view.excluded === null;
  const exclude = find("exclude");
  exclude.setAttribute("aria-pressed", String(view.excluded !== null));
  set(exclude.querySelector("span"), view.excluded === null ? words.exclude : words.include);
  find("undo").disabled = !acts.length;
  find("nothing-kept").hidden = state.numbers || !view.running;
  const capture = find("capture");
  const why = !state.pictures ? words.noConsent : failures ? words.noCapture : "";
  capture.disabled = Boolean(why) || capture.dataset.busy === "yes";
  capture.querySelector("small").hidden = !why;
  set(capture.querySelector("small"), why);
  const ask = find("ask");
  ask.hidden = !(view.running && view.asks);
  set(ask.querySelector("span"), words.ask.replace("{minutes}", Math.max(1, Math.ceil(view.left_ms / 60000))));
  if (main.dataset.running !== (view.running ? "yes" : "no")) {
    main.dataset.running = view.running ? "yes" : "no";
    if (!view.running) find("over").querySelector("a").focus({ preventScroll: true });
  }
  find("over").hidden = view.running;
  set(find("how"), words.ended[view.ended] ?? "");
  tick(view);
}

function tick(view = shown()) {
  const now = elapsed();
  set(find("timer"), clock(now));
  set(find("length"), clock(state.running ? now : state.elapsed_ms));
  for (const time of document.querySelectorAll("#chips time")) {
    const from = view.on[time.dataset.keyword];
    set(time, from === undefined ? "" : clock(now - from));
  }
  if (view.excluded !== null) set(find("excluded").querySelector("time"), clock(now - view.excluded));
}

function renderNotes(view) {
  const listed = view.notes.filter((one) => one.id !== note.id && one.text.trim()).reverse();
  const key = JSON.stringify(listed);
  const list = find("notes");
  if (list.dataset.key !== key) {
    list.dataset.key = key;
    list.replaceChildren(...listed.map((one) => {
      const open = element("button", { class: "plain", "data-note": one.id });
      open.append(element("time", {}, clock(one.at_ms)), element("span", { dir: "auto" }, one.text));
      return element("li", {}, open);
    }));
  }
  const unsaved = queue.waiting(session).some(([, tap]) => tap.note === note.id) || note.due;
  set(find("note-saved"), note.id ? (unsaved ? words.noteUnsaved : words.saved) : "");
  find("next").disabled = !find("note").value.trim();
}

// ── taps ─────────────────────────────────────────────────────────────────────────────────────────

/** Do something: it shows at once, and is sent as soon as may be. */
function tap(kind, more = {}, said = "") {
  const made = { id: queue.id(), kind, ...more };
  queue.keep(session, made);
  if (said) {
    const { keyword, from } = more;
    remember({ id: made.id, kind, keyword: keyword ?? (kind === "keyword_new" ? made.id : undefined), from, said });
  }
  render();
  nudge();
  return made.id;
}

function remember(act) {
  keepActs([...acts, act].slice(-STEPS));
  set(find("last"), act.said);
}

/** What can be undone is remembered for this tab, also after a reload. */
function keepActs(left) {
  acts = left;
  try {
    sessionStorage.setItem(`mien:acts:${session}`, JSON.stringify(acts));
  } catch { /* until a reload only */ }
}

function recalled() {
  try {
    return JSON.parse(sessionStorage.getItem(`mien:acts:${session}`)) ?? [];
  } catch {
    return [];
  }
}

function undo() {
  const act = acts.at(-1);
  if (!act) return;
  keepActs(acts.slice(0, -1));
  tap("undo", { of: act.id, keyword: act.keyword, inverse: { kind: act.kind, from: act.from } });
  set(find("last"), words.undone.replace("{act}", act.said));
  if (act.kind === "capture") find("seen").hidden = true;
}

function toggle(keyword) {
  const view = shown();
  const known = view.keywords.find((one) => one.id === keyword);
  if (!known) return;
  const on = keyword in view.on;
  const said = (on ? words.off : words.on).replace("{topic}", known.text);
  tap(on ? "tag_off" : "tag_on", { keyword, from: view.on[keyword] }, said);
}

function exclude() {
  const { excluded } = shown();
  if (excluded === null) tap("exclude_on", {}, words.excludeOn);
  else tap("exclude_off", { from: excluded }, words.excludeOff);
}

function touch({ keyword, does }) {
  const known = shown().keywords.find((one) => one.id === keyword);
  if (!known) return;
  const say = (sentence) => sentence.replace("{topic}", known.text);
  if (does === "toggle") toggle(keyword);
  else if (does === "moment") tap("moment", { keyword }, say(words.moment));
  else if (does === "hide") tap("keyword_hide", { keyword }, say(words.hidden));
  else if (does === "show") tap("keyword_show", { keyword }, say(words.shown));
  else if (does === "rename") rename(known, find("chips").querySelector(`input[data-keyword="${keyword}"]`).value);
}

function rename(known, value) {
  const text = value.trim().replaceAll(/\s+/g, " ");
  if (!text || text === known.text) return;
  tap("keyword_rename", { keyword: known.id, text, from: known.text }, words.renamed.replace("{topic}", text));
}

find("chips").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) touch(button.dataset);
});
find("chips").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target.matches("input")) {
    touch({ keyword: event.target.dataset.keyword, does: "rename" });
  }
});

find("add").addEventListener("submit", (event) => {
  event.preventDefault();
  const field = find("topic");
  const text = field.value.trim().replaceAll(/\s+/g, " ");
  if (!text) return;
  field.value = "";
  const made = tap("keyword_new", { text }, words.added.replace("{topic}", text));
  const keyword = aliases.get(made) ?? made;
  if (!(keyword in shown().on)) toggle(keyword); // it is talked about now
});

find("edit").addEventListener("click", () => {
  editing = !editing;
  find("edit").setAttribute("aria-pressed", String(editing));
  set(find("edit"), words.edit[Number(editing)]);
  render();
});
find("exclude").addEventListener("click", exclude);
find("undo").addEventListener("click", undo);
find("here").addEventListener("click", () => tap("here"));

let sure;
const stop = find("stop");
const nothing = find("last").textContent;

function relax() {
  clearTimeout(sure);
  stop.classList.remove("sure");
  stop.querySelector("small").hidden = true;
  set(find("last"), acts.at(-1)?.said ?? nothing);
}

stop.addEventListener("click", () => {
  if (stop.ariaDisabled) return;
  if (stop.classList.contains("sure")) {
    relax();
    send();
    tap("stop");
    return;
  }
  stop.ariaDisabled = "true"; // a double tap is one tap, and a stop cannot be undone
  setTimeout(() => { stop.ariaDisabled = null; }, TWICE);
  stop.classList.add("sure");
  stop.querySelector("small").hidden = false;
  set(find("last"), stop.querySelector("small").textContent);
  sure = setTimeout(relax, SURE);
});

// ── notes ────────────────────────────────────────────────────────────────────────────────────────

const note = { id: null, sent: "", due: 0 };

/** Send the note as it stands; what waits of it unsent is replaced. */
function send() {
  clearTimeout(note.due);
  note.due = 0;
  const { value } = find("note");
  if (note.id === null || value === note.sent) return;
  note.sent = value;
  for (const [key, waits] of queue.waiting(session)) {
    if (waits.kind === "note" && waits.note === note.id && !flying.has(waits.id)) queue.drop(key);
  }
  tap("note", { note: note.id, text: value });
}

function open(id, text) {
  send();
  Object.assign(note, { id, sent: text });
  find("note").value = text;
  render();
  find("note").focus();
}

find("note").addEventListener("input", () => {
  note.id ??= queue.id();
  clearTimeout(note.due);
  note.due = setTimeout(send, TYPING);
  renderNotes(shown());
});
find("note").addEventListener("blur", send);
find("next").addEventListener("click", () => open(null, ""));
find("notes").addEventListener("click", (event) => {
  const id = event.target.closest("button")?.dataset.note;
  const chosen = shown().notes.find((one) => one.id === id);
  if (chosen) open(id, chosen.text);
});

// ── the captured face ────────────────────────────────────────────────────────────────────────────

let away;
async function capture() {
  const button = find("capture");
  if (button.disabled) return;
  button.dataset.busy = "yes";
  render();
  const id = queue.id();
  complain("");
  try {
    const response = await ask(main.dataset.capture, { id });
    const said = await response.json();
    if (!response.ok) return complain(said.error ?? response.statusText);
    hear(said.state);
    remember({ id, kind: "capture", said: words.captured });
    const seen = find("seen");
    seen.querySelector("img").src = said.face;
    set(seen.querySelector("p"), said.said);
    seen.hidden = false;
    clearTimeout(away);
    away = setTimeout(() => { seen.hidden = true; }, 8000);
  } catch {
    complain(words.noFace);
  } finally {
    button.dataset.busy = "no";
    render();
  }
}
find("capture").addEventListener("click", capture);

// ── the box ──────────────────────────────────────────────────────────────────────────────────────

const flying = new Set(); // ids of taps on their way

function ask(url, body) {
  const asking = { signal: AbortSignal.timeout(PATIENCE), redirect: "manual", headers: { "Mien-Background": "1" } };
  if (body) {
    Object.assign(asking, { method: "POST", body: JSON.stringify(body) });
    asking.headers = { "Content-Type": "application/json", "Mien-Token": token };
  }
  return fetch(url, asking);
}

function hear(said) {
  state = said;
  heard = performance.now();
}

/** Send waiting taps of a session, as many as go into one parcel. */
async function deliver(of) {
  const parcel = [];
  let bytes = 0;
  for (const [key, tap] of queue.waiting(of).slice(0, most)) {
    const { page, wall, ticks, inverse, from, ...sent } = tap;
    sent.age_ms = Math.round(queue.age(tap));
    bytes += 3 * JSON.stringify(sent).length;
    if (parcel.length && bytes > BYTES) break;
    parcel.push([key, sent]);
  }
  for (const [, { id }] of parcel) flying.add(id);
  try {
    const response = await ask(main.dataset.taps.replace("SESSION", of), { taps: parcel.map(([, sent]) => sent) });
    if (response.ok) {
      const { answers, state: said } = await response.json();
      parcel.forEach(([key, sent], at) => settle(key, sent, answers[at], of));
      if (of === session) hear(said);
      return;
    }
    if (response.status !== 400 && response.status !== 413) throw await refusal(response);
    most = 1;
    if (parcel.length === 1) { // never to be understood: it would hold up all others
      queue.drop(parcel[0][0]);
      most = MOST;
      complain(await sentence(response) ?? response.statusText);
    }
  } finally {
    flying.clear();
  }
}

function settle(key, sent, answer, of) {
  queue.drop(key);
  if (of !== session) return;
  if (sent.kind === "keyword_new" && answer.keyword) aliases.set(sent.id, answer.keyword);
  if (answer.said) complain(answer.said);
  if (!answer.ok) keepActs(acts.filter((act) => act.id !== sent.id));
}

/** Why the box did not do it; `said` is its sentence, if it has one: what nginx says has none. */
async function refusal(response) {
  const status = response.type === "opaqueredirect" ? 401 : response.status;
  return Object.assign(new Error(response.statusText), { status, said: await sentence(response) });
}

async function sentence(response) {
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  return page.querySelector("main p")?.textContent;
}

async function once() {
  if (queue.waiting(session).length) await deliver(session);
  else {
    const response = await ask(main.dataset.stateAt);
    if (!response.ok) throw await refusal(response);
    hear(await response.json());
  }
  for (const one of earlier) {
    try {
      if (queue.waiting(one).length) await deliver(one);
      else earlier.delete(one);
    } catch (error) {
      if (error.status !== 404) throw error;
      earlier.delete(one); // of somebody else, who may open it again
    }
  }
}

async function sync() {
  for (;;) {
    try {
      await once();
      failures = 0;
      knock("");
    } catch (error) {
      failures += 1;
      if (error.status === 401) knock(words.signIn, main.dataset.login, words.again.signIn);
      else if (error.status === 403) knock(words.reload, location.href, words.again.reload);
      else if (error.status === 404) knock(words.gone, main.dataset.clients, words.again.clients);
      else if (error.said) knock(`${error.said} ${words.kept}`);
      else if (failures > 1) knock(words.offline);
    }
    render();
    const busy = !failures && queue.waiting(session).length;
    if (!busy) await pause(failures ? Math.min(SLOWEST, 1000 * 2 ** (failures - 1)) : POLL);
  }
}

function pause(ms) {
  return new Promise((resolve) => {
    nudge = resolve;
    if (!document.hidden || queue.waiting(session).length) setTimeout(resolve, ms);
  });
}

function knock(said, way, label) {
  find("door").hidden = !said;
  set(find("door").querySelector("span"), said);
  find("again").hidden = !way;
  if (!way) return;
  find("again").href = way;
  set(find("again"), label);
}

let complaint;
function complain(said) {
  clearTimeout(complaint);
  if (said) complaint = setTimeout(complain, READING, "");
  find("problem").hidden = !said;
  set(find("problem"), said);
}

/** Keep the last half minute as the client's face at rest. */
async function neutral() {
  find("neutral").disabled = true;
  try {
    const { ok, message, error } = await (await ask(main.dataset.neutral, {})).json();
    if (ok) set(find("last"), message);
    else complain(message ?? error);
  } catch {
    complain(words.failed);
  }
  find("neutral").disabled = false;
}

find("neutral").addEventListener("click", neutral);
addEventListener("online", () => nudge());
document.addEventListener("visibilitychange", () => nudge());
addEventListener("pagehide", send);

// ── keys ─────────────────────────────────────────────────────────────────────────────────────────

document.addEventListener("keydown", (event) => {
  if (event.repeat || event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.target.closest("input, textarea, select") || main.dataset.running !== "yes") return;
  const key = event.key.toLowerCase();
  if (/^[1-9]$/.test(key)) find("chips").querySelectorAll("[data-does=toggle]")[key - 1]?.click();
  else if (key === "c") capture();
  else if (key === "u") undo();
  else if (key === "x") exclude();
  else if (key === "n") find("note").focus();
  else return;
  event.preventDefault();
});

// ── beginning ────────────────────────────────────────────────────────────────────────────────────

if (acts.length) set(find("last"), acts.at(-1).said);
watch(main, words, () => state.running && main.dataset.running === "yes");
setInterval(() => document.hidden || tick(), 1000);
find("add").firstElementChild.disabled = false; // before this script it would load the page anew
render();
sync();
