// Sends a backup to the box in pieces, so that it fits through and shows how far it is; a piece that
// got lost is sent again, from where the box says that its file ends.

const form = document.getElementById("restore");
const [file, button] = [form.querySelector("#file"), form.querySelector("button")];
const sending = form.querySelector(".sending");
const [bar, said] = [sending.querySelector("progress"), sending.querySelector("p")];
const failed = form.querySelector(".failed");
const AGAIN = 2000; // ms before a lost piece is sent again
const PATIENCE = 60; // so often

const mb = (bytes) => (bytes / 1e6).toFixed(1);

function show(done, total) {
  bar.max = total;
  bar.value = done;
  said.textContent = form.dataset.sent.replace("{done}", mb(done)).replace("{total}", mb(total));
}

async function piece(whole, at) {
  const url = `${form.dataset.pieceUrl}?at=${at}&of=${whole.size}`;
  const response = await fetch(url, {
    method: "POST",
    headers: { "Mien-Token": form.elements.token.value, "Content-Type": "application/octet-stream" },
    body: whole.slice(at, at + Number(form.dataset.piece)),
    signal: AbortSignal.timeout(60_000),
  });
  const told = await response.json().catch(() => ({}));
  if (Number.isInteger(told.at)) return told.at;
  const error = new Error(told.error || `${response.status}`);
  error.final = true;
  throw error;
}

async function send(whole) {
  let [at, lost] = [0, 0];
  show(0, whole.size);
  do {
    try {
      at = await piece(whole, at);
      lost = 0;
      show(at, whole.size);
    } catch (error) {
      if (error.final || ++lost > PATIENCE) throw error;
      said.textContent = form.dataset.lost;
      await new Promise((resolve) => setTimeout(resolve, AGAIN));
    }
  } while (at < whole.size);
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  button.disabled = true;
  sending.hidden = false;
  failed.hidden = true;
  try {
    await send(file.files[0]);
    form.submit();
  } catch (error) {
    failed.textContent = error.message;
    failed.hidden = false;
    sending.hidden = true;
    button.disabled = false;
  }
});
