// A cell's moments beside the map instead of on a page of their own, which every link also leads to.

const panel = document.getElementById("panel");
const place = panel.querySelector("div");
let latest = 0;

async function open(url) {
  const mine = ++latest;
  let moments = null;
  try {
    const answer = await fetch(url);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    moments = answer.ok && page.getElementById("moments");
  } catch {
    // The page itself will say what is the matter.
  }
  if (mine !== latest) return;
  if (!moments) {
    location.assign(url);
    return;
  }
  place.replaceChildren(document.importNode(moments, true));
  if (!panel.open) panel.show();
  panel.scrollTop = 0;
  place.querySelector("h1").focus();
}

document.addEventListener("click", (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  const link = event.target.closest(".sheet td > a, #panel a[href*='/map/moments']");
  if (!link) return;
  event.preventDefault();
  back = link.closest(".sheet") ? link : back;
  open(link.href);
});

let back = null;
panel.addEventListener("close", () => back?.focus());
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && panel.open) panel.close();
});
