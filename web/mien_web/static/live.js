// The live page: asks for one picture after another, and says what became of it.

import { Reading } from "./reading.js";
import { Stage } from "./stage.js";

const AGAIN = 1000; // ms before asking again where there was no picture
const HEALTH = 5000; // ms between two looks at the health
const PATIENCE = 12000; // ms after which an unanswered question counts as lost

const main = document.getElementById("live");
const pill = document.getElementById("pill");
const note = document.getElementById("note");
const form = document.getElementById("switch");
const button = form.querySelector("button");
const trouble = document.getElementById("trouble");
const health = document.getElementById("health");
const words = JSON.parse(main.dataset.words);
const stage = new Stage(document.getElementById("picture"), document.getElementById("overlay"));
const reading = new Reading(words);
// Of this tab, also after a reload: it keeps its place among the viewers.
const viewer = sessionStorage.viewer ??= [...crypto.getRandomValues(new Uint8Array(8))]
  .map((byte) => byte.toString(16).padStart(2, "0")).join("");

let nudge = () => {};
let lastFlip = Promise.resolve();

/** Wait, or go on at once when somebody calls `nudge`. */
function wait(ms) {
  return new Promise((resolve) => {
    nudge = resolve;
    setTimeout(resolve, ms);
  });
}

function enter(state) {
  if (main.dataset.state === state) return;
  main.dataset.state = pill.dataset.state = state;
  pill.querySelector("span").textContent = words.pills[state];
  document.title = words.titles[state] ?? words.titles.else;
  const paused = state === "paused";
  form.action = paused ? form.dataset.resume : form.dataset.pause;
  button.querySelector("span").textContent = paused ? words.resume : words.pause;
  button.disabled = state === "lost";
  checkHealth().catch(() => {}); // what changed here shows there too
}

function leave(state, sentence) {
  enter(state);
  stage.clear();
  note.hidden = true;
  const { title, advice } = words.states[state];
  reading.showState({ title, advice: sentence || advice });
}

async function once(after) {
  const press = lastFlip;
  const response = await fetch(`${health.dataset.picture}?after=${after}&viewer=${viewer}`, {
    signal: AbortSignal.timeout(PATIENCE),
  });
  if (response.headers.has("Mien-Live")) {
    const live = JSON.parse(response.headers.get("Mien-Live"));
    const picture = await createImageBitmap(await response.blob());
    if (press !== lastFlip) return 0; // asked before the button was pressed: not to be shown
    stage.show(picture, live);
    enter("live");
    reading.show(live);
    note.hidden = !live.note;
    if (note.textContent !== live.note) note.textContent = live.note;
    return live.frame;
  }
  const said = await response.json();
  if (press !== lastFlip) return 0;
  leave(said.state, said.sentence);
  await wait(AGAIN);
  return 0;
}

async function watch() {
  for (let after = 0; ;) {
    if (document.hidden) await wait(2 ** 30); // nobody looks: no picture is made
    await lastFlip;
    try {
      after = await once(after);
    } catch {
      after = 0;
      leave("lost");
      await wait(AGAIN);
    }
  }
}

async function checkHealth() {
  const response = await fetch(health.dataset.source, { signal: AbortSignal.timeout(PATIENCE) });
  if (!response.ok) return;
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html").querySelector("details");
  const shown = health.querySelector("details");
  // Swap the inside only, so that the focus and what a person opened or closed stay.
  for (const part of ["summary", "ul"]) {
    const [to, from] = [shown.querySelector(part), fresh.querySelector(part)];
    if (to.innerHTML !== from.innerHTML) to.replaceChildren(...from.childNodes);
  }
  if (shown.dataset.status !== fresh.dataset.status) {
    shown.dataset.status = fresh.dataset.status;
    shown.className = fresh.className;
    shown.open = fresh.open;
  }
}

async function watchHealth() {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, HEALTH));
    if (!document.hidden) await checkHealth().catch(() => {}); // the picture's loop says it is lost
  }
}

async function flip(action) {
  const pausing = action.endsWith("pause");
  trouble.textContent = "";
  leave(pausing ? "closing" : "starting"); // the picture goes at once, before the service answers
  try {
    const response = await fetch(action, {
      method: "POST",
      body: new URLSearchParams(new FormData(form)),
      redirect: "manual",
      signal: AbortSignal.timeout(PATIENCE),
    });
    if (response.type === "opaqueredirect") {
      if (pausing) leave("paused");
    } else {
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      trouble.textContent = page.querySelector("main p")?.textContent ?? words.failed;
    }
  } catch {
    trouble.textContent = words.unreached;
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  // What the button said when it was pressed counts: a double tap on Pause pauses twice.
  const { action } = form;
  lastFlip = lastFlip.then(() => flip(action));
  nudge();
});

document.addEventListener("keydown", (event) => {
  if (event.repeat || event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key !== "p" && event.key !== " ") return;
  if (event.target.closest("a, button, input, summary, textarea, select")) {
    if (event.key === " ") return; // Space belongs to what has the focus
  }
  event.preventDefault();
  button.focus({ focusVisible: true });
  form.requestSubmit();
});

document.addEventListener("visibilitychange", () => nudge());

watch();
watchHealth();
