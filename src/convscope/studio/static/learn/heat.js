/** A grid of colours on a canvas, for pictures and larger grids, with a cell cursor as `cells` has it. */
import { made } from "convscope/elements";

const MOST_SPLIT = 64; // cells along an axis that are drawn larger than a pixel
const probe = made("span", "hidden-text");

/** Colours by name and scheme: reading one makes the browser compute styles. @type {Map<string, number[]>} */
const colours = new Map();

/** Return a colour of the style sheet as red, green, blue. @param {string} name such as --blue */
export function colourOf(name) {
  const key = `${name} ${document.documentElement.dataset.theme ?? ""} ${matchMedia("(prefers-color-scheme: dark)").matches}`;
  const found = colours.get(key) ?? readColour(name);
  colours.set(key, found);
  return found;
}

function readColour(name) {
  if (!probe.isConnected) document.body.append(probe);
  probe.style.color = `var(${name})`;
  const found = getComputedStyle(probe).color.match(/[\d.]+/g) ?? ["0", "0", "0"];
  return found.slice(0, 3).map(Number);
}

/** Return a colour between two. @param {number[]} from @param {number[]} to @param {number} share 0 to 1 */
export const between = (from, to, share) => from.map((value, index) => Math.round(value + (to[index] - value) * share));

/**
 * @typedef {{rows: number, columns: number, colour: (row: number, column: number) => number[], text?: ((row: number, column: number) => string)|null, cross?: (row: number, column: number) => boolean,
 *   cursor?: [number, number]|null, window?: [number, number, number, number]|null, spoken?: (row: number, column: number) => string, label: string}} Shown
 */

/**
 * @param {{move?: (row: number, column: number) => void, say?: (text: string) => void, paint?: (row: number, column: number, byKey: boolean) => void, step?: number, quiet?: boolean}} how
 *   `paint`: the pointer is drawn over a cell, or Space pressed; `quiet`: the cursor is shown while the grid has the focus
 */
export function createHeat({ move, say, paint, step = 8, quiet = false }) {
  const element = made("div", quiet ? "heat quiet" : "heat");
  const canvas = made("canvas");
  const small = made("canvas");
  canvas.setAttribute("aria-hidden", "true");
  const frame = made("div", "heat-window");
  const ring = made("div", "heat-cursor");
  element.append(canvas, frame, ring);
  /** @type {Shown} */
  let shown = { rows: 1, columns: 1, colour: () => [0, 0, 0], label: "" };

  if (move) {
    element.tabIndex = 0;
    element.setAttribute("role", "application");
    element.addEventListener("keydown", pressed);
    element.addEventListener("pointerdown", (event) => {
      element.setPointerCapture(event.pointerId);
      pointed(event);
    });
    element.addEventListener("pointermove", (event) => { if (event.buttons) pointed(event); });
  } else element.setAttribute("role", "img");

  function pointed(event) {
    const box = canvas.getBoundingClientRect();
    const at = /** @type {[number, number]} */ ([Math.floor(((event.clientY - box.top) / box.height) * shown.rows), Math.floor(((event.clientX - box.left) / box.width) * shown.columns)]);
    go(...at);
    if (paint && shown.cursor) paint(...shown.cursor, false);
  }

  function pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const [row, column] = shown.cursor ?? [0, 0];
    const by = event.shiftKey ? step : 1;
    const to = { ArrowUp: [row - by, column], ArrowDown: [row + by, column], ArrowLeft: [row, column - by], ArrowRight: [row, column + by], Home: [row, 0], End: [row, shown.columns - 1] }[event.key];
    if (to) go(to[0], to[1]);
    else if (event.key === " " && paint) painted(row, column);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  function painted(row, column) {
    paint(row, column, true);
    if (say && shown.spoken) say(shown.spoken(row, column));
  }

  function go(row, column) {
    const to = /** @type {[number, number]} */ ([Math.max(0, Math.min(shown.rows - 1, row)), Math.max(0, Math.min(shown.columns - 1, column))]);
    shown.cursor = to;
    move?.(...to);
    if (say && shown.spoken) say(shown.spoken(...to));
  }

  /** @param {Shown} now */
  function update(now) {
    shown = now;
    const { rows, columns } = now;
    element.setAttribute("aria-label", now.label);
    element.style.aspectRatio = `${columns} / ${rows}`;
    const split = rows <= MOST_SPLIT && columns <= MOST_SPLIT;
    const most = Math.max(rows, columns);
    const scale = !split ? 1 : now.text ? Math.max(26, Math.min(96, Math.floor(640 / most))) : Math.max(4, Math.floor(768 / most));
    if (canvas.width !== columns * scale || canvas.height !== rows * scale) {
      canvas.width = columns * scale;
      canvas.height = rows * scale;
    }
    canvas.style.imageRendering = split && now.text ? "auto" : ""; // text is made smaller, not pixels larger
    const ink = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    if (split && now.text) cellsInto(ink, now, scale);
    else if (split) scaledInto(ink, now, scale);
    else pixelsInto(ink, now);
    place(frame, now.window ?? null);
    place(ring, move && now.cursor ? [...now.cursor, 1, 1] : null);
  }

  function cellsInto(ink, { rows, columns, colour, text, cross }, scale) {
    const gap = Math.max(1, scale * 0.03);
    ink.clearRect(0, 0, columns * scale, rows * scale);
    ink.font = fontOf(ink, longestText(rows, columns, text), scale);
    ink.textAlign = "center";
    ink.textBaseline = "middle";
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const found = colour(row, column);
        const [x, y] = [column * scale, row * scale];
        ink.fillStyle = `rgb(${found.join(" ")})`;
        ink.fillRect(x, y, scale - gap, scale - gap);
        const dark = found[0] * 0.299 + found[1] * 0.587 + found[2] * 0.114 < 115;
        ink.fillStyle = ink.strokeStyle = dark ? "#fff" : "#111";
        if (cross?.(row, column)) crossInto(ink, x, y, scale);
        else if (scale >= 26) ink.fillText(text(row, column), x + scale / 2, y + scale / 2);
      }
    }
  }

  /** Return a font in which the longest text fits into a cell. */
  function fontOf(ink, longest, scale) {
    const size = scale * 0.42;
    ink.font = `${size}px system-ui, sans-serif`;
    return `${size * Math.min(1, (scale * 0.9) / Math.max(1, ink.measureText(longest).width))}px system-ui, sans-serif`;
  }

  function longestText(rows, columns, text) {
    let longest = "";
    for (let at = 0; at < rows * columns; at++) {
      const found = text(Math.floor(at / columns), at % columns);
      if (found.length > longest.length) longest = found;
    }
    return longest;
  }

  /** Draw a pixel for each cell, and enlarge that. */
  function scaledInto(ink, found, scale) {
    const { rows, columns, cross } = found;
    Object.assign(small, { width: columns, height: rows });
    pixelsInto(/** @type {CanvasRenderingContext2D} */ (small.getContext("2d")), found);
    ink.imageSmoothingEnabled = false;
    ink.drawImage(small, 0, 0, columns * scale, rows * scale);
    if (!cross) return;
    ink.strokeStyle = "#fff";
    for (let at = 0; at < rows * columns; at++) {
      const [row, column] = [Math.floor(at / columns), at % columns];
      if (cross(row, column)) crossInto(ink, column * scale, row * scale, scale);
    }
  }

  function crossInto(ink, x, y, scale) {
    ink.lineWidth = Math.max(1, scale * 0.05);
    ink.beginPath();
    ink.moveTo(x + scale * 0.25, y + scale * 0.25);
    ink.lineTo(x + scale * 0.75, y + scale * 0.75);
    ink.moveTo(x + scale * 0.75, y + scale * 0.25);
    ink.lineTo(x + scale * 0.25, y + scale * 0.75);
    ink.stroke();
  }

  function pixelsInto(ink, { rows, columns, colour }) {
    const pixels = ink.createImageData(columns, rows);
    for (let at = 0; at < rows * columns; at++) {
      pixels.data.set(colour(Math.floor(at / columns), at % columns), at * 4);
      pixels.data[at * 4 + 3] = 255;
    }
    ink.putImageData(pixels, 0, 0);
  }

  function place(box, at) {
    box.style.display = at ? "" : "none";
    if (!at) return;
    const [row, column, height, width] = at;
    box.style.left = `${(column / shown.columns) * 100}%`;
    box.style.top = `${(row / shown.rows) * 100}%`;
    box.style.width = `${(width / shown.columns) * 100}%`;
    box.style.height = `${(height / shown.rows) * 100}%`;
  }

  return { element, update };
}
