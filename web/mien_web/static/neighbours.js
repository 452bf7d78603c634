// Asks every ten seconds how the other boxes are, while somebody looks.

const OFTEN = 10000; // ms between two questions
const place = document.getElementById("neighbours");
const lost = document.getElementById("lost");

async function ask() {
  const response = await fetch(place.dataset.source, {
    headers: { "Mien-Background": "1" }, // nobody need be there
    redirect: "manual",
    signal: AbortSignal.timeout(8000),
  });
  if (response.status === 401 || response.status === 403 || response.type === "opaqueredirect") return location.reload();
  if (!response.ok) throw new Error(response.statusText);
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html").body;
  if (fresh.querySelector("li") && !place.querySelector("li")) return location.reload(); // how to begin goes
  if (place.innerHTML.trim() !== fresh.innerHTML.trim()) place.replaceChildren(...fresh.childNodes);
}

for (;;) {
  await new Promise((resolve) => setTimeout(resolve, OFTEN));
  if (document.hidden) continue;
  await ask().then(() => { lost.hidden = true; }, () => { lost.hidden = false; });
}
