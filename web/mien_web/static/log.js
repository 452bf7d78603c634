// The arrow keys go to the previous and the next day, week, month or year; and a browser that lies
// in another time zone than the box offers its own.

const TYPING = "input, select, textarea, summary, [contenteditable], [role=region]";

addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (event.target.closest(TYPING)) return;
  const way = { ArrowLeft: "prev", ArrowRight: "next" }[event.key];
  const link = way && document.querySelector(`main a[rel=${way}]`);
  if (!link) return;
  event.preventDefault();
  link.click();
});

const zone = document.querySelector("#zone");
const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
const offer = document.querySelector("#own-zone");
const known = zone && [...zone.options].some((option) => option.value === own);
if (offer && known && own !== (zone.value || zone.dataset.system)) {
  offer.textContent = offer.textContent.replace("{zone}", own);
  offer.hidden = false;
  offer.addEventListener("click", () => {
    zone.value = own;
    offer.hidden = true;
    zone.focus();
  });
}
