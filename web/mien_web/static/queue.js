// Taps that the box has not acknowledged yet. Each lies under a key of its own in the browser's
// storage, so that it outlives a reload and a closed browser, and two tabs do not overwrite another.

const PREFIX = "mien:tap:";
const memory = new Map(); // where the browser gives no storage
const page = id();

/** A random UUID; `crypto.randomUUID` is missing where the page comes without TLS. */
export function id() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

/** Keep a tap of a session until it is acknowledged. It has an id, a kind, and what that needs. */
export function keep(session, tap) {
  const number = Number(read("mien:tap-number") ?? 0) + 1;
  write("mien:tap-number", String(number));
  const key = `${PREFIX}${session}:${String(number).padStart(12, "0")}:${page}`; // two tabs may count the same
  write(key, JSON.stringify({ ...tap, page, wall: Date.now(), ticks: performance.now() }));
  return key;
}

/** The waiting taps of a session in the order in which they were made: key and tap. */
export function waiting(session) {
  return keys().filter((key) => key.startsWith(`${PREFIX}${session}:`)).sort()
    .map((key) => [key, parsed(read(key))]).filter(([, tap]) => tap);
}

/** Sessions with waiting taps. */
export function sessions() {
  return new Set(keys().filter((key) => key.startsWith(PREFIX)).map((key) => key.split(":")[2]));
}

export function drop(key) {
  memory.delete(key);
  try {
    localStorage.removeItem(key);
  } catch { /* there is no storage */ }
}

/** How long ago a tap was made, in ms. The ticks of a page stand still while its tablet sleeps; its
    clock may be set back. Within one load of the page the larger of the two is right after either. */
export function age(tap) {
  const passed = Date.now() - tap.wall;
  return tap.page === page ? Math.max(passed, performance.now() - tap.ticks) : passed;
}

function keys() {
  try {
    return [...new Set([...Object.keys(localStorage), ...memory.keys()])];
  } catch {
    return [...memory.keys()];
  }
}

function read(key) {
  try {
    return memory.get(key) ?? localStorage.getItem(key);
  } catch {
    return memory.get(key) ?? null;
  }
}

function write(key, value) {
  try {
    localStorage.setItem(key, value);
    memory.delete(key);
  } catch {
    memory.set(key, value);
  }
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
