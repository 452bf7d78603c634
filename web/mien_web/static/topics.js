// Topics as buttons, and what building a page takes.

export const find = (id) => document.getElementById(id);

export function clock(ms) {
  const whole = Math.max(0, Math.floor(ms / 1000));
  const [hours, minutes, seconds] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (number) => String(number).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(seconds)}` : `${minutes}:${two(seconds)}`;
}

export function element(name, attributes, ...inside) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...inside);
  return made;
}

export function set(place, text) {
  if (place.textContent !== text) place.textContent = text;
}

/** The topics of a view, each with its moment; or, while the list is edited, with its field. */
export function showTopics(view, editing, words) {
  const listed = view.keywords.filter((one) => editing || !one.hidden || one.id in view.on);
  find("empty").hidden = listed.length > 0;
  const list = find("chips");
  const key = JSON.stringify([editing, listed.map(({ id, text, hidden }) => [id, text, hidden])]);
  if (list.dataset.key !== key) {
    list.dataset.key = key;
    const held = document.activeElement?.closest("#chips button")?.dataset;
    list.replaceChildren(...listed.map((one, at) => (editing ? entry(one, words) : chip(one, at, words))));
    if (held) list.querySelector(`[data-keyword="${held.keyword}"][data-does="${held.does}"]`)?.focus();
  }
  if (editing) return;
  for (const one of listed) {
    const item = list.querySelector(`li[data-keyword="${one.id}"]`);
    const on = one.id in view.on;
    item.classList.toggle("on", on);
    item.querySelector("[data-does=toggle]").setAttribute("aria-pressed", String(on));
    set(item.querySelector("small"), view.counts[one.id] ? `${view.counts[one.id]}×` : "");
  }
}

function chip({ id, text }, at, words) {
  const item = element("li", { "data-keyword": id, class: "chip" });
  const toggle = element("button", { "data-keyword": id, "data-does": "toggle" });
  if (at < 9) toggle.setAttribute("aria-keyshortcuts", String(at + 1));
  toggle.append(
    element("b", { dir: "auto" }, text),
    element("span", { class: "how" }, element("time", { "data-keyword": id }), element("small", {})),
  );
  const label = words.momentOf.replace("{topic}", text);
  const moment = element("button", { "data-keyword": id, "data-does": "moment", "aria-label": label, title: label });
  moment.append(element("i", { "aria-hidden": "true" }));
  item.append(toggle, moment);
  return item;
}

function entry({ id, text, hidden }, words) {
  const item = element("li", { "data-keyword": id, class: "entry" });
  const field = element("input", { value: text, maxlength: find("topic").maxLength, "aria-label": words.topic, "data-keyword": id, dir: "auto" });
  const does = hidden ? "show" : "hide";
  item.append(
    field,
    element("button", { "data-keyword": id, "data-does": "rename", class: "quiet small" }, words.rename),
    element("button", { "data-keyword": id, "data-does": does, class: "quiet small" }, words[does]),
  );
  return item;
}
