// The last two minutes of expressions as a thin band with the word of now, and how the camera is.

import { find, set } from "./topics.js";

const SECONDS = 120;
const PATIENCE = 8000;
const SHOWN = "mien:ribbon"; // remembered on this device

export function watch(main, words, running) {
  const ribbon = find("ribbon");
  const fold = find("fold");
  const camera = find("camera");
  const names = JSON.parse(main.dataset.names);
  const pause = find("pause");
  ribbon.replaceChildren(...Array.from({ length: SECONDS }, () => document.createElement("li")));

  function show(open) {
    find("strip").hidden = !open;
    fold.setAttribute("aria-expanded", String(open));
    fold.textContent = open ? words.hideStrip : words.showStrip;
    find("word").hidden = !open;
  }

  let newest = Date.now();
  function push(expression) {
    const cell = ribbon.firstElementChild;
    if (expression) cell.dataset.expression = expression;
    else delete cell.dataset.expression;
    cell.title = names[expression] ?? "";
    ribbon.append(cell);
  }

  function add(said) {
    // What was not looked at stays empty, also while the page was hidden or its tablet asleep.
    const missed = Math.round((Date.now() - newest) / 1000) - 1;
    for (let second = 0; second < Math.min(missed, SECONDS); second++) push(null);
    newest = Date.now();
    push(said.expression);
    set(find("word"), said.title);
    set(find("advice"), said.advice);
    camera.dataset.state = said.state;
    // While the strip is hidden, the expression stays hidden too; trouble does not.
    const reads = said.state === "live" && said.expression && said.expression !== "unknown";
    const pill = reads ? words.reads : said.title;
    set(camera.lastElementChild, pill);
    pause.dataset.paused = said.state === "paused" ? "yes" : "no";
    set(pause.lastElementChild, said.state === "paused" ? words.resume : words.pause);
  }

  async function loop() {
    for (;;) {
      const due = new Promise((resolve) => setTimeout(resolve, 1000));
      if (!document.hidden && running()) {
        try {
          const response = await fetch(main.dataset.look, {
            headers: { "Mien-Background": "1" }, signal: AbortSignal.timeout(PATIENCE),
          });
          if (response.ok) add(await response.json());
          else throw new Error(response.statusText);
        } catch {
          add({ state: "lost", title: words.lost, advice: "" });
        }
      }
      await due;
    }
  }

  pause.addEventListener("submit", async (event) => {
    event.preventDefault();
    const url = pause.dataset.paused === "yes" ? main.dataset.resume : main.dataset.pause;
    const body = new URLSearchParams(new FormData(pause));
    await fetch(url, { method: "POST", body, redirect: "manual" }).catch(() => {}); // the next look tells
  });

  fold.addEventListener("click", () => {
    const open = find("strip").hidden;
    show(open);
    try {
      localStorage.setItem(SHOWN, open ? "yes" : "no");
    } catch { /* it is not remembered */ }
  });
  let kept = null;
  try {
    kept = localStorage.getItem(SHOWN);
  } catch { /* it was not remembered */ }
  show(kept !== "no");
  loop();
}
