// A job that runs: asks how far it is, and loads the page again when it has ended.

const OFTEN = 500; // ms between two questions

async function follow(job) {
  const bar = job.querySelector("progress");
  const said = job.querySelector(".said");
  const lost = job.querySelector(".lost");
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, OFTEN));
    try {
      const response = await fetch(job.dataset.url, {
        headers: { "Mien-Background": "1" }, // nobody need be there meanwhile
        signal: AbortSignal.timeout(10000),
      });
      if ([401, 403, 404].includes(response.status)) return location.reload();
      const { state, done, total, text } = await response.json();
      if (state !== "running") return location.reload();
      if (total) {
        bar.max = total;
        bar.value = done;
      }
      if (text && said.textContent !== text) said.textContent = text;
      lost.hidden = true;
    } catch {
      lost.hidden = false;
    }
  }
}

for (const job of document.querySelectorAll(".job")) follow(job);
