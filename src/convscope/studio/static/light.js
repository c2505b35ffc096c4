/**
 * What is lit: the receptive field of a cell on the image and on every layer between, or all that a pixel reaches.
 *
 * Surfaces (the image, a map, a box of the drawing) register what they show and get boxes, in the same frame and
 * without a request, from tables that were loaded before. Where the pointer rests, the exact mask follows.
 */
import * as api from "convscope/api";
import { sayFailed } from "convscope/loading";
import { floats } from "convscope/packet";
import { backward, forward, loadBackward, loadForward, onTables } from "convscope/reach";
import { link, loaded, pending } from "convscope/store";

const REST = 120; // ms until the exact mask is asked for

/**
 * @typedef {{value: string, y0: number, y1: number, x0: number, x1: number, hull: boolean, status: string}} Box inclusive
 * @typedef {{kind: "cell", value: string, c: number, y: number, x: number} | {kind: "pixel", y: number, x: number}} Lit
 * @typedef {{value: string, light: (box: Box|null, lit: Lit|null) => void, mask?: (mask: Mask|null, lit: Lit|null) => void}} Surface
 * @typedef {{header: any, uses: Float32Array, weights: Float32Array, box: number[], height: number, width: number}} Mask
 */

/** @type {Set<Surface>} */
const surfaces = new Set();
/** @type {Set<(lit: Lit|null, boxes: Map<string, Box>|null) => void>} */
const watchers = new Set();
/** @type {Lit|null} */
let hovered = null;
/** @type {Lit|null} */
let shown = null;
let resting;
/** @type {Map<string, Mask>} */
const masks = new Map();

/** Tell a surface what is lit from now on. @param {Surface} surface @returns {() => void} ends it */
export function register(surface) {
  surfaces.add(surface);
  const boxes = shown ? boxesOf(shown) : null;
  surface.light(boxes?.get(surface.value) ?? null, shown);
  return () => surfaces.delete(surface);
}

/** Call back with what is lit. @param {(lit: Lit|null, boxes: Map<string, Box>|null) => void} watcher */
export function watch(watcher) {
  watchers.add(watcher);
  return () => watchers.delete(watcher);
}

/** Light what is under the pointer or the keyboard's cursor; null: what the link says. @param {Lit|null} lit */
export function light(lit) {
  if (equal(hovered, lit)) return;
  hovered = lit;
  draw();
}

/** Draw what is lit again, as after a change of the selected cell or of the surfaces. */
export function relight() {
  draw(true);
}

export const lit = () => shown;

onTables(() => { if (shown) draw(true); });

function draw(again = false) {
  const next = hovered ?? selected();
  if (!again && equal(next, shown)) return;
  shown = next;
  const boxes = next ? boxesOf(next) : null;
  for (const surface of surfaces) surface.light(boxes?.get(surface.value) ?? null, next);
  for (const watcher of watchers) watcher(next, boxes);
  clearTimeout(resting);
  const known = next?.kind === "cell" ? masks.get(maskKey(next)) : undefined;
  for (const surface of surfaces) surface.mask?.(known ?? null, next);
  if (next && !known) resting = setTimeout(() => rest(next), REST);
}

/** Return the cell that the link selects. */
function selected() {
  const { value, channel, at } = link();
  if (!at || channel === null || pending.has("graph") || !loaded.byValue.has(value)) return null;
  return { kind: "cell", value, c: channel, y: at[0], x: at[1] };
}

/** Return the box of every value that a cell reads, or that a pixel reaches. @param {Lit} next */
function boxesOf(next) {
  const { model } = link();
  if (next.kind === "cell") {
    const found = backward(model, next.value, next.c, next.y, next.x);
    if (!found) loadBackward(model, next.value, next.c);
    return found;
  }
  const found = forward(model, next.y, next.x);
  if (!found) loadForward(model);
  return found;
}

const maskKey = (next) => (next.kind === "cell" ? [loaded.run?.run, next.value, next.c, next.y, next.x].join("\n") : "");

/** Ask for the exact mask of what is lit. @param {Lit} next */
async function rest(next) {
  if (next.kind !== "cell" || !loaded.run || pending.has("run")) return; // asked when the run is there
  const key = maskKey(next);
  try {
    const packet = await api.field(loaded.run.run, next.value, next.c, [next.y, next.x]);
    masks.set(key, maskOf(packet));
    if (masks.size > 200) masks.delete((masks.keys().next().value));
  } catch (problem) {
    // The hull stays where it was stopped, or is of no pixel.
    if (problem.kind === "deadline") sayFailed(problem, relight);
    return;
  }
  if (shown && equal(shown, next)) for (const surface of surfaces) surface.mask?.(masks.get(key) ?? null, next);
}

/** Return the mask of a packet: how often each pixel of the box is used, then its weight. @param {import("./packet.js").Packet} packet */
export function maskOf(packet) {
  const { header } = packet;
  const { box } = header;
  const [height, width] = [box[2] - box[0], box[3] - box[1]];
  const count = height * width;
  return { header, box, height, width, uses: floats(packet, 0, count), weights: floats(packet, 4 * count, count) };
}

export function forgetMasks() {
  masks.clear();
}

const equal = (a, b) => a === b || (a && b && a.kind === b.kind && a.y === b.y && a.x === b.x && a.value === b.value && a.c === b.c);

/** Return the box of a cell or a pixel that is lit. @param {Lit} lit @returns {Box} */
export const boxOfCell = ({ y, x }) => ({ value: "", y0: y, y1: y, x0: x, x1: x, hull: false, status: "" });

/** Place an element over a map. @param {number[]} box y0, x0, y1, x1: the ends are not in it */
export function placed({ style }, [y0, x0, y1, x1], height, width) {
  style.left = `${(100 * x0) / width}%`;
  style.top = `${(100 * y0) / height}%`;
  style.width = `${(100 * (x1 - x0)) / width}%`;
  style.height = `${(100 * (y1 - y0)) / height}%`;
}

/**
 * Put a frame over a map: an element placed by shares of the map's size.
 * @param {Box|null} box
 */
export function frame(mark, box, height, width) {
  const y0 = Math.max(0, box?.y0), x0 = Math.max(0, box?.x0);
  const y1 = Math.min(height, box?.y1 + 1), x1 = Math.min(width, box?.x1 + 1);
  if (!(y1 > y0 && x1 > x0)) { // nothing to frame
    if (mark.dataset.on) delete mark.dataset.on;
    return;
  }
  placed(mark, [y0, x0, y1, x1], height, width);
  mark.dataset.on = "true";
  mark.dataset.hull = String(box.hull);
}
