/** The one holder of what the page shows: the link's state, and what the server has answered. */
import { DEFAULTS, formatState, parseState, same } from "convscope/state";

/** @typedef {import("./state.js").State} State */

/**
 * What is loaded, by name; a name is replaced whole. `null` is: not there yet.
 * @type {Object<string, any>}
 */
export const loaded = {
  session: null, graph: null, run: null, atlas: null, numbers: null, cell: null, terms: null, attribution: null,
  otherGraph: null, otherRun: null, otherAtlas: null, byId: new Map(), byValue: new Map(), otherByValue: new Map(),
};

/** What the page shows that no link says. @type {Object<string, any>} */
export const view = {
  pane: "middle", // of a narrow window
  folded: new Set(), // units whose parts are hidden
  repeats: new Set(), // first units of repeats that are shown one by one
  dialog: "", // the open dialog
  menu: "",
  query: "",
  said: null, // {text, kind, action, of} of the status line; `of`: what failed
  playing: false,
  speed: 1,
  tool: "", // what a drag on the image makes: crop | occlude
  weights: false, // effective weights over the exact mask
  opacity: 0.6, // of an attribution
  overlay: true,
};

/** Questions under way, by name. @type {Map<string, string>} */
export const pending = new Map();

/** @type {State} */
let state = { ...DEFAULTS };
/** Each room as it was last. @type {Object<string, State>} */
const rooms = {};
const listeners = new Set();

/** Return what the link says, of its room's fields. */
export const link = () => state;

/** Return what a room shows, or showed last. @returns {State} */
export const roomState = (room) => rooms[room] ?? { ...DEFAULTS, room };

/** Call back after anything has changed. */
export function subscribe(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Return a function that does some work soon: once for all its calls of one task. */
export function oncePerTask(work) {
  let scheduled = false;
  return () => {
    if (scheduled) return;
    scheduled = true;
    queueMicrotask(() => {
      scheduled = false;
      work();
    });
  };
}

/** Draw soon. */
export const changed = oncePerTask(() => { for (const listener of listeners) listener(); });

/** Take a state with the notes on it; whether it is another one. */
function become({ state: next, notes }) {
  if (notes.length) say(notes.join("; "));
  if (same(next, state)) return false;
  state = rooms[next.room] = next;
  changed();
  return true;
}

/**
 * Show something else: a new entry of the history unless `replace`. Another room is shown as it was last.
 * @param {Partial<State>} patch @param {{replace?: boolean}} [how]
 */
export function go(patch, { replace = false } = {}) {
  // What is shown is what the link says: fields of its room, within their limits.
  const fragment = formatState({ ...roomState(patch.room ?? state.room), ...patch });
  if (become(parseState(fragment))) write(fragment, replace);
}

const [TRIED_AGAIN, TRIES] = [1000, 15]; // ms, and how often
let late;
/** Write a link into the address. Firefox refuses more than 200 in 10 s: the last one is written later; some frames refuse all. */
function write(fragment, replace, tries = 0) {
  clearTimeout(late);
  try {
    history[replace ? "replaceState" : "pushState"](null, "", fragment);
  } catch {
    if (tries < TRIES) late = setTimeout(() => write(formatState(state), true, tries + 1), TRIED_AGAIN);
  }
}

/** Change what no link says. */
export function show(patch) {
  Object.assign(view, patch);
  changed();
}

/** Say one line at the bottom of the page. @param {"note"|"error"} [kind] @param {{label: string, act: () => void}|null} [action] */
export function say(text, kind = "note", action = null) {
  view.said = text ? { text, kind, action } : null;
  changed();
}

/** Take back what was said of a thing, once it is asked for again. */
export const unsay = (name) => { if (view.said?.of === name) say(""); };

/** Say what went wrong, unless newer work replaced it. @param {{message: string, kind?: string}} problem */
export function sayProblem({ message, kind }) {
  if (kind !== "stopped") say(message, "error");
}

/** Read the link, and follow it when it changes. */
export function followLink() {
  const read = () => become(parseState(location.hash));
  addEventListener("hashchange", read);
  addEventListener("popstate", read);
  read();
}

const THEMES = ["", "light", "dark"];
/** The page's colours; "" is as the system. */
export const theme = () => document.documentElement.dataset.theme ?? "";

export function nextTheme() {
  const to = THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length];
  document.documentElement.dataset.theme = to;
  try {
    localStorage.setItem("convscope-theme", to);
  } catch { /* a page without storage forgets it */ }
  changed();
}

export function keptTheme() {
  try {
    document.documentElement.dataset.theme = localStorage.getItem("convscope-theme") ?? "";
  } catch { /* a page without storage has the system's */ }
}
