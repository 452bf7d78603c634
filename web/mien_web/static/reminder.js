// A reminder on a page that is open: asked for once a minute while somebody may see it.

const OFTEN = 60000; // ms between two questions
const GONE = "mien:reminder"; // which one was answered with "not now"

const line = document.getElementById("reminder");
const form = line.querySelector("form");
let asked = null;

async function ask() {
  if (document.hidden) return;
  try {
    const response = await fetch(line.dataset.url, {
      headers: { "Mien-Background": "1" }, // nobody need be there
      signal: AbortSignal.timeout(10000),
    });
    const gone = recall();
    asked = response.ok ? (await response.json()).asked.find((one) => one.at > (gone[one.person] ?? 0)) : null;
  } catch {
    return; // the box does not answer: what is shown stays
  }
  line.hidden = !asked;
  if (!asked) return;
  const text = line.querySelector("span");
  if (text.textContent !== asked.text) text.textContent = asked.text;
  form.elements.namedItem("person").value = asked.person;
}

function recall() {
  try {
    return JSON.parse(localStorage.getItem(GONE)) ?? {};
  } catch {
    return {};
  }
}

/** Nothing more of this reminder on this device; the box gives one for ten minutes. */
function dismiss() {
  try {
    localStorage.setItem(GONE, JSON.stringify({ ...recall(), [asked.person]: asked.at + 1 }));
  } catch { /* there is no storage: it comes again until its ten minutes are over */ }
  line.hidden = true;
}

form.querySelector("[data-does=dismiss]").addEventListener("click", dismiss);
form.querySelector("[data-does=snooze]").addEventListener("click", async () => {
  const button = form.querySelector("[data-does=snooze]");
  button.disabled = true;
  try {
    const response = await fetch(line.dataset.snooze, {
      method: "POST", body: new URLSearchParams(new FormData(form)), signal: AbortSignal.timeout(10000),
    });
    line.hidden = response.ok;
  } catch { /* it stays, and can be tapped again */ }
  button.disabled = false;
});

ask();
setInterval(ask, OFTEN);
document.addEventListener("visibilitychange", ask);
