// The words and bars beside the picture. All wording comes from the server, in `data-words`.

import { measured } from "./stage.js";

const CALM = 300; // ms between two changes of the figures: faster is unrest, not news
const QUIET = 8000; // ms between two sentences for a screen reader
const STRAIGHT = 12; // degrees of turn that count as straight on

export class Reading {
  constructor(words) {
    this.words = words;
    this.find = (id) => document.getElementById(id);
    this.bars = new Map(
      [...document.querySelectorAll("[data-expression]")].map((row) => [row.dataset.expression, row]),
    );
    this.shownAt = 0;
    this.spokenAt = 0;
    this.topic = null;
  }

  /** One moment of the live view. */
  show(live) {
    const topic = live.expression ?? live.reason ?? String(live.readings.length > 0);
    const now = performance.now();
    if (topic === this.topic && now - this.shownAt < CALM) return;
    this.topic = topic;
    this.shownAt = now;
    const { title, advice, spoken } = this.headline(live);
    this.say(title, advice, spoken);
    this.showBars(live);
    this.showFacts(live);
  }

  /** No moment to show: paused, lost, no camera. */
  showState({ title, advice }) {
    this.topic = title;
    this.say(title, advice, title);
    this.fill(null);
  }

  headline(live) {
    const { names, reasons, looks, looksSpoken, looksAdvice, cannotTell, advice, empty, settling } = this.words;
    if (live.expression) {
      const name = names[live.expression];
      const title = fill(looks, { name, percent: percent(live.probabilities[live.expression]) });
      return { title, advice: looksAdvice, spoken: fill(looksSpoken, { name }) };
    }
    if (live.reason) {
      const title = fill(cannotTell, { reason: reasons[live.reason] });
      return { title, advice: advice[live.reason], spoken: `${title}. ${advice[live.reason]}` };
    }
    const said = live.readings.length ? settling : empty;
    return { ...said, spoken: said.title };
  }

  say(title, advice, spoken) {
    set(this.find("title"), title);
    set(this.find("advice"), advice);
    const now = performance.now();
    if (spoken === this.spoken || (this.spokenAt && now - this.spokenAt < QUIET)) return;
    this.spoken = spoken;
    this.spokenAt = now;
    set(this.find("announce"), spoken);
  }

  fill(live) {
    this.showBars(live);
    this.showFacts(live);
  }

  showBars(live) {
    this.find("bars").classList.toggle("unsure", !live?.expression);
    for (const [expression, row] of this.bars) {
      const share = live?.readings.length ? live.probabilities[expression] : null;
      row.classList.toggle("leading", live?.expression === expression);
      row.querySelector("i").style.setProperty("--share", share ?? 0);
      set(row.querySelector(".share"), share === null ? "–" : percent(share));
    }
  }

  showFacts(live) {
    const { names, lastMinute } = this.words;
    fact(this.find("episode"), live?.episode && capital(names[live.episode]), this.length(live?.episode_s ?? 0));
    const facing = live?.facing_share ?? null;
    fact(this.find("facing"), facing !== null && percent(facing), lastMinute);
    const alone = live?.readings.length === 1 ? live.readings[0].turn : null;
    fact(this.find("head"), alone && measured(alone) && this.turned(alone), "");
    fact(this.find("people"), live && String(live.readings.length), "");
  }

  turned({ yaw, pitch }) {
    const { head } = this.words;
    if (Math.max(Math.abs(yaw), Math.abs(pitch)) < STRAIGHT) return head.straight;
    const [angle, way] = Math.abs(yaw) >= Math.abs(pitch)
      ? [yaw, yaw > 0 ? head.right : head.left]
      : [pitch, pitch > 0 ? head.up : head.down];
    return fill(way, { degrees: Math.round(Math.abs(angle)) });
  }

  length(time) {
    const whole = Math.floor(time);
    const rest = whole % 60;
    if (whole < 60) return fill(this.words.seconds, { seconds: whole });
    return fill(this.words.minutes, { minutes: Math.floor(whole / 60), seconds: String(rest).padStart(2, "0") });
  }
}

function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

function percent(share) {
  return `${Math.round(100 * share)}\u00a0%`; // as `languages.percent` writes it
}

function capital(word) {
  return word[0].toUpperCase() + word.slice(1);
}

function set(place, text) {
  if (place.textContent !== text) place.textContent = text;
}

function fact(place, value, detail) {
  const key = `${value || "–"}|${value && detail}`;
  if (place.dataset.key === key) return;
  place.dataset.key = key;
  place.textContent = value || "–";
  if (value && detail) {
    const small = document.createElement("small");
    small.textContent = detail;
    place.append(small);
  }
}
