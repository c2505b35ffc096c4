/**
 * What a link of the page says: read, written and kept within range. `studio/state.py` does the same, and says how.
 *
 *     #/explore?v=1&m=resnet18&i=sample:3&l=layer2.0.conv2&c=17&at=14,14&x=shift:3,-2;off:layer1.0.relu:5
 */

export const VERSION = 1;
export const ORDERS = ["index", "energy", "contribution", "gradient"];
export const SCALES = ["map", "layer", "network"];
const LINK_LIMIT = 16384;
const MOST_INTERVENTIONS = 16;
const MOST_WEIGHTS = 15 * 15;
const LARGEST = 65535;
const LARGEST_NUMBER = 1e6;
const SMALLEST_NUMBER = 1e-6;
const MOST_DEGREES = 360;
const LARGEST_SHIFT = 4096;
const LARGEST_SIGMA = 32;
const LESSON = /^[a-z0-9][a-z0-9-]{0,63}$/;
const WORD = /^[a-z][a-z0-9-]{0,31}$/;

/** The state of a link that says nothing; what each field is stands in `state.py`. @typedef {typeof DEFAULTS} State */
export const DEFAULTS = Object.freeze({
  room: "explore", model: "", image: "", value: "", channel: null, at: null, order: "index", scale: "layer", colours: "",
  page: 0, step: null, interventions: [], attribution: "", target: null, other: "", run: "", new: false, compare: [], lesson: "", seed: null,
});

/** Return the name of the run of a model's key, run:NAME, run:NAME@best or run:NAME@step-N; "" of another model. @param {string} model */
export const runNameOf = (model) => /^run:(.+?)(@(best|step-\d{1,12}))?$/s.exec(model)?.[1] ?? "";

/** What is needed instead of what a link says. */
class Unreadable extends Error {}

/**
 * Return what a link's fragment says, and a note for each part that is left out or moved into range.
 * @param {string} link
 */
export function parseState(link) {
  const notes = [];
  const characters = link.length > LINK_LIMIT ? Array.from(link) : null;
  if (characters && characters.length > LINK_LIMIT) {
    notes.push(`the link has ${characters.length} characters: the first ${LINK_LIMIT} are read`);
    link = characters.slice(0, LINK_LIMIT).join("");
  }
  const [path, query] = parted(link.replace(/^#/, ""), "?");
  const [named, lesson] = parted(path.replace(/^\/+|\/+$/g, ""), "/");
  const known = named === "learn" ? !lesson || LESSON.test(lesson) : ["explore", "train"].includes(named) && !lesson;
  if (!known && (named || lesson)) notes.push("the link names no part of this page: Explore is shown");
  const fields = FIELDS[known ? named : "explore"];
  /** @type {Map<string, string>} */
  const given = new Map();
  for (const pair of query.split("&")) {
    const [key, text] = parted(pair, "=");
    if (given.has(key) || (!fields.has(key) && key !== "v")) continue;
    attempt(notes, key, () => given.set(key, decoded(text)));
  }
  if ((given.get("v") ?? String(VERSION)) !== String(VERSION)) {
    notes.push(`the link is of another version than ${VERSION}: what is understood of it is shown`);
  }
  given.delete("v");
  /** @type {State} */
  const state = { ...DEFAULTS, ...(known ? { room: named, lesson } : {}) };
  for (const [key, text] of given) {
    const { name, read } = fields.get(key);
    attempt(notes, key, () => {
      state[name] = read(text, (shown) => notes.push(moved(key, text, shown)));
    });
  }
  return { state, notes };
}

/**
 * Return the fragment of a link that says this, of its room's fields; what is as it is without a link is left out.
 * @param {Partial<State>} state
 */
export function formatState(state) {
  const whole = { ...DEFAULTS, ...state };
  const pairs = [`v=${VERSION}`];
  for (const [key, { name, write = String }] of FIELDS[whole.room]) {
    const value = whole[name];
    if (!same(value, DEFAULTS[name])) pairs.push(`${key}=${encoded(write(value))}`);
  }
  const lesson = whole.room === "learn" && whole.lesson ? `/${whole.lesson}` : "";
  return `#/${whole.room}${lesson}?${pairs.join("&")}`;
}

/**
 * Return the state within the shape (C, H, W) of its value and the number of classes, and notes of what moved.
 * @param {State} state @param {number[]|null} shape @param {number|null} [classes]
 */
export function clamped(state, shape, classes = null) {
  const notes = [];
  const within = { ...state };
  if (shape) {
    const [channels, height = 1, width = 1] = shape;
    if (state.channel !== null && state.channel >= channels) {
      within.channel = channels - 1;
      notes.push(moved("c", String(state.channel), String(channels - 1)));
    }
    if (state.at && (state.at[0] >= height || state.at[1] >= width)) {
      within.at = [Math.min(state.at[0], height - 1), Math.min(state.at[1], width - 1)];
      notes.push(moved("at", state.at.join(","), within.at.join(",")));
    }
  }
  if (classes && state.target !== null && state.target >= classes) {
    within.target = classes - 1;
    notes.push(moved("class", String(state.target), String(classes - 1)));
  }
  return { state: within, notes };
}

/** Return whether two values of a state are equal. */
export const same = (a, b) => a === b || (typeof a === "object" && JSON.stringify(a) === JSON.stringify(b));

const moved = (key, text, shown) => `${key}=${Array.from(text).slice(0, 40).join("")} is out of range: ${shown} is shown`;

function attempt(notes, key, work) {
  try {
    work();
  } catch (reason) {
    if (!(reason instanceof Unreadable)) throw reason;
    notes.push(`${key} is left out: ${reason.message}`);
  }
}

function parted(text, mark) {
  const at = text.indexOf(mark);
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + mark.length)];
}

function decoded(text) {
  if (/%(?![0-9A-Fa-f]{2})/.test(text)) throw new Unreadable("a % must be followed by two hexadecimal digits");
  try {
    return decodeURIComponent(text);
  } catch {
    throw new Unreadable("its bytes are not UTF-8");
  }
}

function encoded(text) {
  return encodeURIComponent(text.replace(/\p{Surrogate}/gu, "?")).replace(/%(3A|2C|3B|2F|40)/g, (code) => decodeURIComponent(code));
}

function wholeNumber(text, note, low = 0, high = LARGEST) {
  if (!/^-?\d{1,9}$/.test(text)) throw new Unreadable("a whole number is needed");
  const asked = Number(text) + 0;
  const found = Math.min(Math.max(asked, low), high);
  if (found !== asked) note(String(found));
  return found === 0 ? 0 : found;
}

function decimal(text, low = -LARGEST_NUMBER, high = LARGEST_NUMBER) {
  if (!/^-?\d{1,18}(\.\d{1,30})?$/.test(text)) throw new Unreadable("a number in decimals is needed");
  const found = Math.min(Math.max(Number(text), low), high);
  return Math.abs(found) >= SMALLEST_NUMBER ? found : 0;
}

function cell(text, note) {
  const parts = text.split(",");
  if (parts.length !== 2) throw new Unreadable("a row and a column are needed, as 14,14");
  let changed = false;
  const [row, column] = parts.map((part) => wholeNumber(part, () => { changed = true; }));
  if (changed) note(`${row},${column}`);
  return [row, column];
}

function word(text) {
  if (!WORD.test(text)) throw new Unreadable("a name of lower-case letters is needed");
  return text;
}

const oneOf = (known) => (text) => {
  if (!known.includes(text)) throw new Unreadable(`one of ${known.join(", ")} is needed`);
  return text;
};

function interventions(text, note) {
  const found = text.split(";").filter(Boolean).map(intervention);
  if (found.length > MOST_INTERVENTIONS) note(`the first ${MOST_INTERVENTIONS}`);
  return found.slice(0, MOST_INTERVENTIONS);
}

function intervention(text) {
  const [op, rest] = parted(text, ":");
  if (op === "shift") {
    const [dy, dx] = wholes(rest, 2, -LARGEST_SHIFT, LARGEST_SHIFT);
    return { op, dy, dx };
  }
  if (op === "rotate") return { op, degrees: decimal(rest, -MOST_DEGREES, MOST_DEGREES) };
  if (op === "blur") return { op, sigma: decimal(rest, 0, LARGEST_SIGMA) };
  if (op === "crop" || op === "occlude") {
    const box = wholes(rest, 4, 0, LARGEST);
    if (box[0] >= box[2] || box[1] >= box[3]) throw new Unreadable(`${op} needs Y0,X0,Y1,X1 with Y0 < Y1 and X0 < X1`);
    return { op, box };
  }
  if (op === "off") {
    const at = rest.lastIndexOf(":");
    return { op: "channel_off", value: named(rest.slice(0, Math.max(at, 0))), channel: wholes(rest.slice(at + 1), 1, 0, LARGEST)[0] };
  }
  if (op === "kernel") {
    const parts = rest.split(":");
    if (parts.length < 4) throw new Unreadable("kernel needs a module, two channels and weights");
    const [out, into, weights] = parts.slice(-3);
    const rows = weights.split("/").map((row) => row.split(",").map((weight) => decimal(weight)));
    if (new Set(rows.map((row) => row.length)).size > 1 || rows.flat().length > MOST_WEIGHTS) {
      throw new Unreadable(`kernel needs rows of the same length, at most ${MOST_WEIGHTS} weights in all`);
    }
    const [o, i] = [out, into].map((part) => wholes(part, 1, 0, LARGEST)[0]);
    return { op, module: named(parts.slice(0, -3).join(":")), out: o, in: i, weights: rows };
  }
  throw new Unreadable("it names a change that is not known");
}

function wholes(text, count, low, high) {
  const parts = text.split(",");
  if (parts.length !== count) throw new Unreadable(`${count} whole numbers are needed`);
  return parts.map((part) => wholeNumber(part, () => {}, low, high));
}

function named(text) {
  const name = innerDecoded(text);
  if (!name) throw new Unreadable("the name of a layer is needed");
  return name;
}

const innerDecoded = (text) => text.replaceAll("%3B", ";").replaceAll("%2C", ",").replaceAll("%25", "%");

const innerEncoded = (name) => name.replaceAll("%", "%25").replaceAll(";", "%3B").replaceAll(",", "%2C");

/** Return a number in decimals with the fewest digits that give it back. */
export function numberText(x) {
  const found = Math.min(Math.max(x, -LARGEST_NUMBER), LARGEST_NUMBER);
  return !Number.isFinite(found) || Math.abs(found) < SMALLEST_NUMBER ? "0" : String(found);
}

/** Return one intervention as a link writes it. @param {Object<string, any>} change */
export function interventionText(change) {
  if (change.op === "shift") return `shift:${change.dy},${change.dx}`;
  if (change.op === "rotate") return `rotate:${numberText(change.degrees)}`;
  if (change.op === "blur") return `blur:${numberText(change.sigma)}`;
  if (change.op === "channel_off") return `off:${innerEncoded(change.value)}:${change.channel}`;
  if (change.op === "kernel") {
    const rows = change.weights.map((row) => row.map(numberText).join(",")).join("/");
    return `kernel:${innerEncoded(change.module)}:${change.out}:${change.in}:${rows}`;
  }
  return `${change.op}:${change.box.join(",")}`;
}

const text = (name) => ({ name, read: (given) => given });
const whole = (name) => ({ name, read: wholeNumber });

/** How each key of a room is read and written, in the order in which a link has them. */
const FIELDS = {
  explore: new Map([
    ["m", text("model")],
    ["i", text("image")],
    ["l", text("value")],
    ["c", whole("channel")],
    ["at", { name: "at", read: cell, write: (at) => at.join(",") }],
    ["order", { name: "order", read: oneOf(ORDERS) }],
    ["scale", { name: "scale", read: oneOf(SCALES) }],
    ["map", { name: "colours", read: word }],
    ["page", whole("page")],
    ["step", whole("step")],
    ["x", { name: "interventions", read: interventions, write: (changes) => changes.map(interventionText).join(";") }],
    ["a", { name: "attribution", read: word }],
    ["class", whole("target")],
    ["m2", text("other")],
  ]),
  train: new Map([
    ["run", text("run")],
    ["new", { name: "new", read: (given) => given === "1", write: (open) => (open ? "1" : "0") }],
    ["compare", { name: "compare", read: (given) => given.split(",").filter(Boolean).map(innerDecoded).slice(0, 8), write: (names) => names.map(innerEncoded).join(",") }],
  ]),
  learn: new Map([["step", whole("step")], ["seed", { name: "seed", read: (given, note) => wholeNumber(given, note, 0, 1e9) }]]),
};
