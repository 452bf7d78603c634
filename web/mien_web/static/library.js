// The library: how many pictures are ticked, and how much is about to be sent.

const main = document.getElementById("library");
const words = JSON.parse(main.dataset.words);

function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

for (const form of document.querySelectorAll("form.many")) {
  const boxes = [...form.querySelectorAll("input[name=picture]")];
  const said = form.querySelector(".ticked");
  const all = form.querySelector("[data-all]");
  const acts = form.querySelectorAll("button[name=act]");
  const show = () => {
    const count = boxes.filter((box) => box.checked).length;
    form.dataset.ticked = count;
    said.hidden = false;
    said.textContent = fill(words.ticked, { count });
    for (const act of acts) act.disabled = count === 0;
  };
  all.hidden = false;
  all.addEventListener("click", () => {
    const tick = boxes.some((box) => !box.checked);
    for (const box of boxes) box.checked = tick;
    show();
  });
  form.addEventListener("change", show);
  window.addEventListener("pageshow", show); // a browser that goes back keeps the ticks
}

const upload = document.querySelector("form.upload");
if (upload) {
  const files = [...upload.querySelectorAll("input[type=file]")];
  const said = upload.querySelector(".chosen");
  const most = Number(main.dataset.most);
  const number = new Intl.NumberFormat(document.documentElement.lang, { maximumFractionDigits: 1 });
  const weigh = () => {
    const chosen = files.flatMap((input) => [...input.files]);
    const bytes = chosen.reduce((sum, file) => sum + file.size, 0);
    const mb = number.format(bytes / 2 ** 20);
    const heavy = bytes > most;
    said.textContent = !chosen.length ? ""
      : fill(heavy ? words.heavy : words.chosen, { count: chosen.length, mb, most: most / 2 ** 20 });
    files[0].setCustomValidity(heavy ? said.textContent : "");
  };
  upload.addEventListener("change", weigh);
  upload.addEventListener("submit", () => {
    said.textContent = words.sending;
    upload.querySelector("button").disabled = true;
  });
  window.addEventListener("pageshow", () => { upload.querySelector("button").disabled = false; });
}
