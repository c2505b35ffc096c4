/** Feature maps as pixels: a look-up table of colours over one byte a cell. Colours are those of report/colour_maps.py. */

/** Colours at equal distances, lowest first. @type {Object<string, string[]>} */
const STOPS = {
  cividis: ["#00224e", "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678", "#a59c74", "#c3b369", "#e1cc55", "#fee838"],
  viridis: ["#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725"],
  magma: ["#000004", "#180f3e", "#451077", "#721f81", "#9f2f7f", "#cd4071", "#f1605d", "#fd9567", "#feca8d", "#fcfdbf"],
  grey: ["#000000", "#ffffff"],
  diverging: ["#0b3a6f", "#2a6aa9", "#6aa3d3", "#b3d0e6", "#f5f5f3", "#f3c69b", "#de8f45", "#ab5a10", "#6b3204"],
};

/** The colour maps that may be chosen; "" takes cividis, and the diverging one where numbers are below 0. */
export const COLOURS = ["", "cividis", "viridis", "magma", "grey", "diverging"];

/** @type {Map<string, Uint32Array>} */
const tables = new Map();

/** Return 256 colours as pixels of an ImageData's Uint32Array (little endian: ABGR). */
export function colourTable(name) {
  const known = tables.get(name);
  if (known) return known;
  const stops = (STOPS[name] ?? STOPS.cividis).map((text) => [1, 3, 5].map((i) => parseInt(text.slice(i, i + 2), 16)));
  const table = new Uint32Array(256);
  for (let i = 0; i < 256; i += 1) {
    const place = (i / 255) * (stops.length - 1);
    const below = Math.min(Math.floor(place), stops.length - 2);
    const [r, g, b] = [0, 1, 2].map((k) => Math.round(stops[below][k] + (stops[below + 1][k] - stops[below][k]) * (place - below)));
    table[i] = (0xff000000 | (b << 16) | (g << 8) | r) >>> 0;
  }
  tables.set(name, table);
  return table;
}

/**
 * @typedef {{name: string, low: number, high: number}} Scale
 */

/**
 * Return the colours and their ends for numbers between two ends: from 0 where none is negative, else around 0.
 * @param {string} colours as chosen, "" for the fitting ones
 */
export function scaleOf(lo, hi, colours) {
  const name = colours || (lo < 0 ? "diverging" : "cividis");
  if (name === "diverging") {
    const end = Math.max(-lo, hi, 0);
    return { name, low: -end, high: end };
  }
  return { name, low: lo < 0 || name === "grey" ? lo : 0, high: hi };
}

/**
 * Return the colour of each byte of a channel whose bytes run from `lo` to `hi`.
 * @param {Scale} scale
 */
export function channelTable(lo, hi, scale) {
  const colours = colourTable(scale.name);
  return Uint32Array.from({ length: 256 }, (_, i) => colours[step(shareOf(lo + ((hi - lo) * i) / 255, scale))]);
}

/** Return where a number is on a scale, from 0 to 1; beyond them where it is. @param {Scale} scale */
const shareOf = (value, { name, low, high }) => (high > low ? (value - low) / (high - low) : name === "diverging" ? 0.5 : 0);

/** Return the number of the colour of a share. */
const step = (share) => Math.max(0, Math.min(255, Math.round(share * 255)));

/**
 * Return the colour of a number on a scale, as a CSS colour.
 * @param {Scale} scale
 */
export function cssColour(value, scale) {
  const share = shareOf(value, scale);
  const pixel = colourTable(scale.name)[step(Number.isFinite(share) ? share : 0)];
  return `rgb(${pixel & 255} ${(pixel >> 8) & 255} ${(pixel >> 16) & 255})`;
}

/** Return black or white, whichever has the larger contrast on a colour (WCAG 2). @param {string} css as `cssColour` returns it */
export function inkOn(css) {
  const [r, g, b] = (css.match(/\d+/g) ?? ["0", "0", "0"]).map((text) => {
    const share = Number(text) / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  const luminance = 0.2126 * r + 0.7152 * g + 0.0722 * b;
  return (luminance + 0.05) ** 2 > 1.05 * 0.05 ? "#000000" : "#ffffff";
}

/**
 * Paint bytes on a canvas of as many pixels as cells.
 * @param {Uint8Array} bytes @param {Uint32Array} table
 */
export function paintBytes(canvas, bytes, height, width, table) {
  painted(canvas, height, width, (pixels) => {
    for (let i = 0; i < pixels.length; i += 1) pixels[i] = table[bytes[i]];
  });
}

/** Give a canvas its size, and the pixels that are filled in. @param {(pixels: Uint32Array) => void} fill */
function painted(canvas, height, width, fill) {
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  const context = canvas.getContext("2d");
  if (!context || !width || !height) return;
  const picture = context.createImageData(width, height);
  fill(new Uint32Array(picture.data.buffer));
  context.putImageData(picture, 0, 0);
}

/**
 * Paint exact numbers on a canvas of as many pixels as cells; what is no number stays clear.
 * @param {Float32Array} numbers @param {Scale} scale
 * @param {(share: number) => number} [opacity] of a number's share of the scale
 */
export function paintNumbers(canvas, numbers, height, width, scale, opacity) {
  const colours = colourTable(scale.name);
  painted(canvas, height, width, (pixels) => {
    for (let i = 0; i < pixels.length; i += 1) {
      const share = shareOf(numbers[i], scale);
      if (Number.isNaN(share)) continue;
      const alpha = opacity ? Math.round(255 * opacity(Math.max(0, Math.min(1, share)))) : 255;
      pixels[i] = ((colours[step(share)] & 0xffffff) | (alpha << 24)) >>> 0;
    }
  });
}

/** Return the least and the largest of numbers. @param {Iterable<number>} numbers */
export function endsOf(numbers) {
  let lo = Infinity, hi = -Infinity;
  for (const x of numbers) {
    if (x < lo) lo = x;
    if (x > hi) hi = x;
  }
  return [lo, hi];
}

/** Paint a strip of a colour map, from its first to its last colour. */
export function paintStrip(canvas, name) {
  paintBytes(canvas, Uint8Array.from({ length: 256 }, (_, i) => i), 1, 256, colourTable(name));
}

/**
 * A page of feature maps as the server sends it: `shape` (C, H, W) is the whole value's; `lo` and `hi` are each channel's ends.
 * @typedef {{value: string, shape: number[], channels: number[], lo: number[], hi: number[], layer: {lo: number, hi: number}, network: {lo: number, hi: number},
 *   page: number, pages: number, kind: "map"|"vector", bytes: Uint8Array}} Atlas
 */

/** Return the atlas of a packet. @param {import("./packet.js").Packet} packet */
export function atlasOf({ header, bytes }) {
  const numbers = (list) => list.map(Number);
  return { ...header, lo: numbers(header.lo), hi: numbers(header.hi), bytes };
}

/** Return the rows and columns of an atlas's maps; one of each of none. @param {Atlas|null} atlas */
export function mapSize(atlas) {
  const [, height = 1, width = 1] = atlas?.shape ?? [];
  return { height, width };
}

/**
 * Return the scale of one map of an atlas.
 * @param {Atlas} atlas @param {number} index in the page @param {string} of map | layer | network
 */
export function mapScale(atlas, index, of, colours) {
  const signed = atlas.layer.lo < 0;
  const whole = of === "network" ? atlas.network : of === "layer" ? atlas.layer : null;
  const [lo, hi] = whole ? [whole.lo, whole.hi] : [atlas.lo[index], atlas.hi[index]];
  return scaleOf(lo, hi, colours || (signed ? "diverging" : "cividis"));
}

/** Return the bytes of one map of an atlas. @param {Atlas} atlas */
function mapBytes(atlas, index) {
  const { height, width } = mapSize(atlas);
  return atlas.bytes.subarray(index * height * width, (index + 1) * height * width);
}

/** Paint one map of an atlas. @param {Atlas} atlas */
export function paintMap(canvas, atlas, index, of, colours) {
  const { height, width } = mapSize(atlas);
  const table = channelTable(atlas.lo[index], atlas.hi[index], mapScale(atlas, index, of, colours));
  paintBytes(canvas, mapBytes(atlas, index), height, width, table);
}
