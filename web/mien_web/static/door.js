// On every page: locks the screen when nobody was there for a while. The server measures the time;
// this module asks it how much is left, tells it of touches and keys, and goes to the lock screen.

const AGAIN = 30_000; // ms between two questions, and between two reports that somebody is here
const WARNING = 60; // seconds before the lock in which the page says so

const top = document.querySelector("[data-door]");
let reported = Date.now();
let due;

async function ask(here) {
  const headers = here ? {} : { "Mien-Background": "1" };
  let left = null;
  try {
    const response = await fetch(top.dataset.door, { headers, signal: AbortSignal.timeout(10_000) });
    left = (await response.json()).left;
  } catch {
    // The box does not answer: the page itself says so, and the next question may get through.
  }
  if (left === 0) {
    const back = encodeURIComponent(location.pathname + location.search);
    location.replace(`${top.dataset.lock}?next=${back}`);
    return;
  }
  document.getElementById("soon").hidden = left === null || left > WARNING;
  clearTimeout(due);
  const next = left === null ? AGAIN : (left > WARNING ? left - WARNING : left) * 1000 + 200;
  due = setTimeout(ask, Math.min(AGAIN, Math.max(1000, next)));
}

function touched() {
  const soon = document.getElementById("soon");
  if (soon.hidden && Date.now() - reported < AGAIN) return;
  reported = Date.now();
  soon.hidden = true;
  ask(true);
}

if (top) {
  for (const kind of ["pointerdown", "keydown", "wheel"]) addEventListener(kind, touched, { passive: true });
  // A tablet that slept, or a page that comes out of the browser's memory, asks at once.
  document.addEventListener("visibilitychange", () => document.hidden || ask());
  addEventListener("pageshow", (event) => event.persisted && ask());
  ask();
}

for (const box of document.querySelectorAll("[data-reveals]")) {
  box.hidden = box.nextElementSibling.hidden = false;
  box.addEventListener("change", () => {
    document.getElementById(box.dataset.reveals).type = box.checked ? "text" : "password";
  });
}

// Where the menu is wider than the screen, the page's own entry is in sight.
document.querySelector(".top nav [aria-current]")?.scrollIntoView({ inline: "nearest", block: "nearest" });

// The open user menu closes when something else is touched, or with Escape.
for (const menu of document.querySelectorAll(".who")) {
  document.addEventListener("pointerdown", (event) => {
    if (!menu.contains(event.target)) menu.open = false;
  });
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
}
