// Captures: labels by keyboard, and where the network looked, drawn over what it saw.

const cards = [...document.querySelectorAll(".capture")];
let current = null;

function mark(card) {
  current?.classList.remove("current");
  current = card;
  current?.classList.add("current");
}

mark(cards.find((card) => `#${card.id}` === location.hash) ?? cards.find((card) => card.dataset.labelled === "0") ?? cards[0] ?? null);

for (const card of cards) for (const event of ["focusin", "pointerdown"]) card.addEventListener(event, () => mark(card));

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
  const button = current?.querySelector(`[data-key="${CSS.escape(event.key.toLowerCase())}"]`);
  if (!button || event.repeat) return;
  event.preventDefault();
  button.click();
});

// The map is u8 [7, side, side]: small, so it is drawn as it is and scaled up smoothly.
function paint(canvas, values, side, expression) {
  const small = new OffscreenCanvas(side, side);
  const pixels = new ImageData(side, side);
  for (let i = 0; i < side * side; i++) {
    const warmth = values[expression * side * side + i];
    pixels.data.set([255, 190 - Math.round(0.5 * warmth), 40, Math.round(0.75 * warmth)], 4 * i);
  }
  small.getContext("2d").putImageData(pixels, 0, 0);
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = "high";
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
}

for (const figure of document.querySelectorAll(".cam")) {
  const button = figure.querySelector("button");
  if (!button) continue;
  const [canvas, caption, select] = ["canvas", "figcaption", "select"].map((name) => figure.querySelector(name));
  const side = Number(figure.dataset.side);
  let values = null;
  button.hidden = false;
  select.value = figure.dataset.shown;
  const draw = () => paint(canvas, values, side, Number(select.value));
  select.addEventListener("change", draw);
  button.addEventListener("click", async () => {
    if (!values) {
      const answer = await fetch(figure.dataset.maps).catch(() => null);
      if (!answer?.ok) {
        button.textContent = document.getElementById("captures").dataset.failed;
        return;
      }
      values = new Uint8Array(await answer.arrayBuffer());
    }
    const on = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", on);
    canvas.hidden = caption.hidden = !on;
    if (on) draw();
  });
}
