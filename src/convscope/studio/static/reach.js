/**
 * Receptive fields by look-up: the server's tables say, for each row and column of a value, what is read at every value
 * before it, or changed at every one after it. Nothing is computed here but offsets into the tables.
 */
import * as api from "convscope/api";
import { link, loaded, pending } from "convscope/store";

/**
 * @typedef {{along: string|null, offset: number, count: number, and?: Entry[]}} Entry
 * @typedef {{header: any, numbers: Int16Array|Int32Array}} Tables
 * @typedef {import("./light.js").Box} Box
 */

/** Tables by model, value and direction; each good for a range of channels. @type {Map<string, Tables[]>} */
const known = new Map();
/** @type {Map<string, Promise<Tables>>} */
const asked = new Map();
const listeners = new Set();
const KEPT = 400; // values

/** Return the tables of a packet. @param {import("./packet.js").Packet} packet */
export function tablesOf({ header, bytes }) {
  const Kind = header.dtype === "int32" ? Int32Array : Int16Array;
  return { header, numbers: new Kind(bytes.buffer, bytes.byteOffset, Math.floor(bytes.byteLength / Kind.BYTES_PER_ELEMENT)) };
}

/**
 * Return the first and the last position along one axis of a target; null where there is none.
 * @param {Tables["numbers"]} numbers @param {Entry|undefined} entry @param {Object<string, number>} at the cell, by axis
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
 * @param {Tables} tables @returns {Map<string, Box>}
 */
export function boxes({ header, numbers }, y, x) {
  const found = new Map();
  for (const { value, axes, holes, status } of header.targets) {
    const rows = ends(numbers, axes.y, { y, x });
    const columns = ends(numbers, axes.x, { y, x });
    if (!rows || !columns) continue;
    found.set(value, { value, y0: rows[0], y1: rows[1], x0: columns[0], x1: columns[1], hull: Boolean(holes || axes.y?.and || axes.x?.and), status });
  }
  return found;
}

/** Return the first and the last channel that tables are good for. */
export function channelsOf(header) {
  return header.channels_agree || header.direction === "forward" ? [0, Infinity] : header.channels;
}

function tables(model, value, c, direction) {
  return known.get([model, value, direction].join("\n"))?.find(({ header }) => {
    const [first, last] = channelsOf(header);
    return first <= c && c <= last;
  });
}

export function backward(model, value, c, y, x) {
  const found = tables(model, value, c, "backward");
  return found ? boxes(found, y, x) : null;
}

export function forward(model, y, x) {
  const found = tables(model, "input", 0, "forward");
  return found ? boxes(found, y, x) : null;
}

/**
 * Load the tables of a value; whether they are there now comes back. One table is good for all channels of nearly every
 * value: it is asked for first, and the channel's own only where the channels differ.
 * @returns {Promise<boolean>}
 */
async function loadTables(model, value, c, direction) {
  const key = [model, value, direction].join("\n");
  const own = `${key}\n${c}`;
  try {
    await once(key, () => ask(key, { direction }, model, value));
    if (!tables(model, value, c, direction)) await once(own, () => ask(key, { channel: c, direction }, model, value));
    return Boolean(tables(model, value, c, direction));
  } catch {
    // Asked again when it is needed again, but not at once.
    setTimeout(() => { asked.delete(key); asked.delete(own); }, 1000);
    return false;
  }
}

function once(key, work) {
  const promise = asked.get(key) ?? work();
  asked.set(key, promise);
  return promise;
}

async function ask(key, how, model, value) {
  const found = tablesOf(await api.reach(model, value, how));
  const [first, last] = channelsOf(found.header);
  if (first <= last) {
    known.set(key, [...(known.get(key) ?? []), found]);
    if (known.size > KEPT) {
      const oldest = (known.keys().next().value);
      known.delete(oldest);
      for (const name of asked.keys()) if (name === oldest || name.startsWith(`${oldest}\n`)) asked.delete(name);
    }
    for (const listener of listeners) listener();
  }
  return found;
}

export const loadBackward = (model, value, c) => (tables(model, value, c, "backward") ? Promise.resolve(false) : loadTables(model, value, c, "backward"));

export const loadForward = (model) => (tables(model, "input", 0, "forward") ? Promise.resolve(false) : loadTables(model, "input", 0, "forward"));

/** Call back when tables have come. */
export const onTables = (listener) => listeners.add(listener);

const NONE = [];

/** Return the targets of the selected value's tables, once they are there: those of the same tables are the same list. */
export function targets() {
  const { model, value, channel } = link();
  if (pending.has("graph") || !loaded.byValue.has(value)) return NONE;
  const found = tables(model, value, channel ?? 0, "backward");
  if (!found) {
    loadTables(model, value, channel ?? 0, "backward");
    return NONE;
  }
  return found.header.targets;
}

/** Forget all tables, as of another model. */
export function forgetReach() {
  known.clear();
  asked.clear();
}
