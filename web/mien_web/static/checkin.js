// A check-in: what is entered outlives a reload, and what is saved outlives a lost Wi-Fi. It lies in
// this browser's storage until the box has acknowledged it; sent twice, it is known by its id.

import { id as uuid } from "./queue.js";

const SLOWEST = 15000; // ms between two attempts while the box does not answer
const PATIENCE = 10000; // ms after which an unanswered attempt counts as lost
const OLDEST = 12 * 3600e3; // ms after which a draft is of another mood
const LOADED = performance.now();

const find = (id) => document.getElementById(id);
const main = find("checkin");
const form = find("form");
const { person, token, act } = main.dataset;
const words = JSON.parse(main.dataset.words);
const DRAFT = `mien:draft:${person}`;
const WAITING = `mien:checkin:${person}:`;
const memory = new Map(); // where the browser gives no storage
const page = uuid();
let failures = 0;
let sending = false;
let timer = 0;
let mine = ""; // the check-in whose answer leads on to the next page
let saved = false; // it is kept, and the next page is on its way

// ── storage ──────────────────────────────────────────────────────────────────────────────────────

function read(key) {
  try {
    return JSON.parse(memory.get(key) ?? localStorage.getItem(key));
  } catch {
    return null;
  }
}

function write(key, value) {
  const text = JSON.stringify(value);
  try {
    localStorage.setItem(key, text);
    memory.delete(key);
  } catch {
    memory.set(key, text);
  }
}

function drop(key) {
  memory.delete(key);
  try {
    localStorage.removeItem(key);
  } catch { /* there is no storage */ }
}

function waiting() {
  let keys = [...memory.keys()];
  try {
    keys = [...new Set([...Object.keys(localStorage), ...keys])];
  } catch { /* there is no storage */ }
  return keys.filter((key) => key.startsWith(WAITING)).map((key) => [key, read(key)])
    .filter(([, one]) => one).sort(([, a], [, b]) => a.wall - b.wall);
}

/** How long ago it was saved, in ms: by ticks within one load of the page, as the phone's clock may
    be set meanwhile. */
function age(one) {
  const passed = one.page === page ? performance.now() - one.ticks : Date.now() - one.wall;
  return Math.max(0, Math.round(passed));
}

// ── the form ─────────────────────────────────────────────────────────────────────────────────────

function entries() {
  return [...new FormData(form)].filter(([name]) => name !== "token");
}

function said(list) {
  return list.some(([name, value]) => (["note", "new"].includes(name) ? value.trim() : ["mood", "emotion", "none", "activity"].includes(name)));
}

function fill(list) {
  for (const box of form.querySelectorAll("input[type=radio], input[type=checkbox]")) box.checked = false;
  for (const [name, value] of list) {
    if (name === "activity") chip(value).checked = true;
    const field = [...form.querySelectorAll(`[name="${name}"]`)];
    const one = field.find((input) => input.value === value && ["radio", "checkbox"].includes(input.type));
    if (one) one.checked = true;
    else if (field[0] && !["radio", "checkbox"].includes(field[0].type)) field[0].value = value;
  }
  const times = [...form.querySelectorAll("[type=radio][name=when]")];
  if (times.length && !times.some((one) => one.checked)) times[0].checked = true;
  show();
}

/** The checkbox of an activity, made where there is none. */
function chip(text) {
  const same = (box) => box.value.toLocaleLowerCase() === text.toLocaleLowerCase();
  const known = [...form.querySelectorAll("[name=activity]")].find(same);
  if (known) return known;
  const label = document.createElement("label");
  label.className = "chip";
  const box = document.createElement("input");
  box.type = "checkbox";
  box.name = "activity";
  box.value = text;
  const name = document.createElement("span");
  name.dir = "auto";
  name.textContent = text;
  label.append(box, name);
  find("activities").append(label);
  return box;
}

function addNew() {
  const field = find("new");
  for (const text of field.value.split(",").map((one) => one.trim()).filter(Boolean)) chip(text).checked = true;
  field.value = "";
  changed();
  field.focus();
}

function show() {
  const when = form.querySelector("[name=when]:checked");
  if (!when) return;
  const at = new Date(`${find("date").value}T${find("time").value}`);
  const lang = document.documentElement.lang === "de" ? "de" : "en-GB";
  const said = isNaN(at) ? "" : at.toLocaleString(lang, { dateStyle: "medium", timeStyle: "short" });
  find("when-said").textContent = when.value === "other" ? said : when.parentElement.textContent.trim();
}

function changed() {
  show();
  if (act !== "new") return;
  const list = entries();
  if (said(list)) write(DRAFT, { list, wall: Date.now() });
  else drop(DRAFT);
}

function anew() {
  drop(DRAFT);
  form.reset();
  form.elements.namedItem("id").value = uuid();
  for (const box of form.querySelectorAll("input[type=radio], input[type=checkbox]")) box.checked = box.name === "when" && box.value === "now";
  find("note").value = "";
  find("new").value = "";
  find("draft").hidden = true;
  problem("");
  show();
}

function problem(text) {
  find("problem").textContent = text;
  find("problem").hidden = !text;
  if (text) find("problem").scrollIntoView({ block: "center" });
}

form.addEventListener("input", (event) => {
  if (event.target.name === "none" && event.target.checked) {
    for (const box of form.querySelectorAll("[name=emotion]")) box.checked = false;
  } else if (event.target.name === "emotion" && event.target.checked) form.elements.namedItem("none").checked = false;
  if (["date", "time", "when"].includes(event.target.name)) askWhich([]);
  changed();
});
find("add").hidden = false;
find("add").addEventListener("click", addNew);
find("new").addEventListener("keydown", (event) => {
  if (event.key === "Enter") event.preventDefault(), addNew();
});
find("draft").querySelector("button").addEventListener("click", anew);

// ── saving ───────────────────────────────────────────────────────────────────────────────────────

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (find("new").value.trim()) addNew();
  const list = entries();
  const id = form.elements.namedItem("id").value;
  mine = WAITING + id;
  write(mine, { list, to: location.pathname, page, wall: Date.now(), ticks: performance.now() });
  drop(DRAFT);
  problem("");
  find("save").disabled = true;
  find("save").textContent = words.saving;
  send();
});

async function send() {
  if (sending) return;
  clearTimeout(timer);
  sending = true;
  try {
    for (const [key, one] of waiting()) await deliver(key, one);
    failures = 0;
  } catch {
    failures += 1;
    timer = setTimeout(send, Math.min(SLOWEST, 1000 * 2 ** Math.min(failures, 4)));
    if (mine) setAside();
  }
  sending = false;
  tell();
}

async function deliver(key, one) {
  const body = new URLSearchParams([...one.list, ["age_ms", age(one)], ["wall", Date.now()]]);
  const response = await fetch(one.to, {
    method: "POST", body, headers: { "Mien-Token": token }, signal: AbortSignal.timeout(PATIENCE),
  });
  if (response.status === 401 || response.status === 403) { // locked, or the page is older than its cookie
    if (performance.now() - LOADED > 3000) location.reload();
    throw new Error("not let in");
  }
  if (response.status >= 500 || response.status === 429) throw new Error("not now");
  const answer = await response.json().catch(() => ({}));
  drop(key);
  if (response.ok) {
    if (key === mine) {
      saved = true;
      location.assign(answer.url);
    } else arrived();
  } else if (key === mine) {
    again(answer, one);
  } else {
    problem(words.refused.replace("{why}", answer.error ?? words.failed));
  }
}

/** What was wrong is said, and what was entered is still there. */
function again(answer, one) {
  mine = "";
  if (act === "new") write(DRAFT, { list: one.list, wall: Date.now() });
  ready();
  askWhich(answer.twice ?? []);
  if (answer.when) form.querySelector(".when").open = true;
  problem(answer.error ?? words.failed);
}

/** An hour that comes twice: which one is meant. */
function askWhich(names) {
  form.querySelector(".twice")?.remove();
  if (!names.length) return;
  const list = document.createElement("div");
  list.className = "twice";
  list.append(...names.map((text, place) => {
    const label = document.createElement("label");
    label.className = "tick";
    const input = Object.assign(document.createElement("input"), { type: "radio", name: "fold", value: place });
    const name = document.createElement("span");
    name.textContent = text;
    label.append(input, name);
    return label;
  }));
  form.querySelector(".times").append(list);
}

/** The box does not answer: the form is free again, and what was entered waits. */
function setAside() {
  mine = "";
  ready();
  if (act === "new") anew();
  problem("");
}

function ready() {
  find("save").disabled = false;
  find("save").textContent = find("save").dataset.text;
}

function arrived() {
  const said = find("waits");
  said.hidden = false;
  said.textContent = words.arrived;
  said.dataset.arrived = "yes";
}

function tell() {
  const count = waiting().length;
  const said = find("waits");
  if (count) {
    said.textContent = count === 1 ? words.waits[0] : words.waits[1].replace("{count}", count);
    said.dataset.arrived = "";
  }
  said.hidden = !count && said.dataset.arrived !== "yes";
}

// ── the beginning ────────────────────────────────────────────────────────────────────────────────

find("save").dataset.text = find("save").textContent;
const draft = read(DRAFT);
if (act === "new" && !location.search && draft && find("problem").hidden) {
  if (Date.now() - draft.wall < OLDEST && said(draft.list)) {
    fill(draft.list);
    find("draft").querySelector("span").textContent = words.draft;
    find("draft").hidden = false;
  } else drop(DRAFT);
}
window.addEventListener("online", send);
window.addEventListener("pageshow", ({ persisted }) => { // gone back to, as it was left
  ready();
  if (persisted && act === "new" && saved) anew(); // its id is taken
});
if (waiting().length) send();
