/**
 * Receptive fields by look-up: the server's tables say, for each row and column of a value, what is read at every value
 * before it, or changed at every one after it. Nothing is computed here but offsets into the tables.
 */
import * as api from "convscope/api";
import { link } from "convscope/store";

/**
 * @typedef {{along: string|null, offset: number, count: number, and?: Entry[]}} Entry
 * @typedef {{header: any, numbers: Int16Array|Int32Array}} Tables
 * @typedef {import("./light.js").Box} Box
 */

/** @type {Map<string, Tables>} */
const known = new Map();
/** @type {Map<string, Promise<Tables>>} */
const asked = new Map();
/** @type {Set<() => void>} */
const listeners = new Set();
const KEPT = 400;

/** Return the tables of a packet. @param {import("./packet.js").Packet} packet @returns {Tables} */
export function tablesOf({ header, bytes }) {
  const Kind = header.dtype === "int32" ? Int32Array : Int16Array;
  return { header, numbers: new Kind(bytes.buffer, bytes.byteOffset, Math.floor(bytes.byteLength / Kind.BYTES_PER_ELEMENT)) };
}

/**
 * Return the first and the last position along one axis of a target; null where there is none.
 * @param {Tables["numbers"]} numbers @param {Entry|undefined} entry @param {Object<string, number>} at the cell, by axis
 * @returns {[number, number]|null}
 */
export function ends(numbers, entry, at) {
  if (!entry) return [0, 0];
  let first = -Infinity, last = Infinity;
  for (const { along, offset, count } of [entry, ...(entry.and ?? [])]) {
    const index = count === 1 ? 0 : Math.min(count - 1, at[along ?? ""] ?? 0);
    first = Math.max(first, numbers[offset + index]);
    last = Math.min(last, numbers[offset + count + index]);
  }
  return first <= last ? [first, last] : null;
}

/**
 * Return the boxes of all targets of a cell, by value.
 * @param {Tables} tables @param {number} y @param {number} x @returns {Map<string, Box>}
 */
export function boxes({ header, numbers }, y, x) {
  const found = new Map();
  for (const { value, axes, holes, status } of header.targets) {
    const rows = ends(numbers, axes.y, { y, x });
    const columns = ends(numbers, axes.x, { y, x });
    if (!rows || !columns) continue;
    found.set(value, { value, y0: rows[0], y1: rows[1], x0: columns[0], x1: columns[1], hull: Boolean(holes), status });
  }
  return found;
}

/** @param {string} model @param {string} value @param {number|null} c @param {string} direction */
function tables(model, value, c, direction) {
  const shared = known.get([model, value, "", direction].join("\n"));
  if (shared) return shared;
  return known.get([model, value, c, direction].join("\n"));
}

/** @param {string} model @param {string} value @param {number} c @param {number} y @param {number} x @returns {Map<string, Box>|null} */
export function backward(model, value, c, y, x) {
  const found = tables(model, value, c, "backward");
  return found ? boxes(found, y, x) : null;
}

/** @param {string} model @param {number} y @param {number} x @returns {Map<string, Box>|null} */
export function forward(model, y, x) {
  const found = tables(model, "input", 0, "forward");
  return found ? boxes(found, y, x) : null;
}

/**
 * Load the tables of a value; whether there are news comes back. One table is good for all channels of nearly every
 * value: it is asked for first, and the channel's own only where the channels differ.
 * @param {string} model @param {string} value @param {number} c @param {string} direction @returns {Promise<boolean>}
 */
async function loadTables(model, value, c, direction) {
  const [all, own] = ["", c].map((channel) => [model, value, channel, direction].join("\n"));
  try {
    const first = asked.get(all) ?? asked.set(all, api.reach(model, value, { direction }).then(tablesOf)).get(all);
    const shared = await first;
    if (shared.header.channels_agree || direction === "forward") return keep(all, shared);
    if (shared.header.channel === c) return keep(own, shared);
    const known = asked.get(own) ?? asked.set(own, api.reach(model, value, { channel: c, direction }).then(tablesOf)).get(own);
    return keep(own, await known);
  } catch {
    setTimeout(() => { asked.delete(all); asked.delete(own); }, 1000); // asked again when it is needed again
    return false;
  }
}

/** Keep tables; whether they are new comes back. @param {string} key @param {Tables} found */
function keep(key, found) {
  if (known.get(key) === found) return false;
  known.set(key, found);
  if (known.size > KEPT) known.delete(/** @type {string} */ (known.keys().next().value));
  for (const listener of listeners) listener();
  return true;
}

/** @param {string} model @param {string} value @param {number} c */
export const loadBackward = (model, value, c) => (tables(model, value, c, "backward") ? Promise.resolve(false) : loadTables(model, value, c, "backward"));

/** @param {string} model */
export const loadForward = (model) => (tables(model, "input", 0, "forward") ? Promise.resolve(false) : loadTables(model, "input", 0, "forward"));

/** Call back when tables have come. @param {() => void} listener */
export const onTables = (listener) => listeners.add(listener);

/** Return the values before the selected one; those that its tables name, once they are there. @returns {string[]} */
export function targets() {
  const { model, value, channel } = link();
  if (!value) return [];
  const found = tables(model, value, channel ?? 0, "backward");
  if (!found) {
    loadTables(model, value, channel ?? 0, "backward");
    return [];
  }
  return found.header.targets.map((/** @type {any} */ target) => target.value);
}

/** Forget all tables, as of another model. */
export function forgetReach() {
  known.clear();
  asked.clear();
}
