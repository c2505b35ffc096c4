/** A grid of numbers with a cell cursor: by the pointer or by keys, and spoken where the cursor is. */
import { made, shapeElement } from "convscope/elements";

const CELL = 40;

/**
 * @typedef {{rows: number, columns: number, text: (row: number, column: number) => string, mark?: (row: number, column: number) => string,
 *   cursor?: [number, number]|null, window?: [number, number, number, number]|null, spoken?: (row: number, column: number) => string, label: string}} Shown
 */

/**
 * @param {{move?: (row: number, column: number) => void, enter?: (row: number, column: number) => void, type?: (row: number, column: number, key: string) => boolean, say?: (text: string) => void, step?: number, quiet?: boolean}} how
 *   `step`: cells that Shift with an arrow key moves by; `type` returns whether it has taken a key;
 *   `quiet`: the cursor is shown while the grid has the focus
 */
export function createCells({ move, enter, type, say, step = 3, quiet = false }) {
  const element = made("div", quiet ? "cells quiet" : "cells");
  const svg = shapeElement("svg", { "aria-hidden": "true" }, element);
  const rects = shapeElement("g", {}, svg);
  const texts = shapeElement("g", {}, svg);
  const frame = shapeElement("rect", { class: "window-frame" }, svg);
  const ring = shapeElement("rect", { class: "cell-cursor" }, svg);
  /** @type {Shown} */
  let shown = { rows: 0, columns: 0, text: () => "", label: "" };
  let [rows, columns] = [0, 0];

  if (move) {
    element.tabIndex = 0;
    element.setAttribute("role", "application");
    element.addEventListener("keydown", pressed);
    svg.addEventListener("pointerdown", (event) => {
      const box = svg.getBoundingClientRect();
      go(Math.floor(((event.clientY - box.top) / box.height) * rows), Math.floor(((event.clientX - box.left) / box.width) * columns));
    });
  }

  function pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const [row, column] = shown.cursor ?? [0, 0];
    const by = event.shiftKey ? step : 1;
    const to = { ArrowUp: [row - by, column], ArrowDown: [row + by, column], ArrowLeft: [row, column - by], ArrowRight: [row, column + by], Home: [row, 0], End: [row, columns - 1] }[event.key];
    if (to) go(to[0], to[1]);
    else if (event.key === "Enter" && enter) enter(row, column);
    else if (!type?.(row, column, event.key)) return;
    else if (say && shown.spoken) say(shown.spoken(row, column));
    event.preventDefault();
    event.stopPropagation();
  }

  function go(row, column) {
    const to = /** @type {[number, number]} */ ([Math.max(0, Math.min(rows - 1, row)), Math.max(0, Math.min(columns - 1, column))]);
    move?.(...to);
    if (say && shown.spoken) say(shown.spoken(...to));
  }

  function build() {
    rects.replaceChildren();
    texts.replaceChildren();
    svg.setAttribute("viewBox", `-1 -1 ${columns * CELL + 2} ${rows * CELL + 2}`);
    svg.style.maxWidth = `${columns * 2.9}rem`;
    for (let at = 0; at < rows * columns; at++) {
      const [x, y] = [(at % columns) * CELL, Math.floor(at / columns) * CELL];
      shapeElement("rect", { x, y, width: CELL, height: CELL, class: "cell" }, rects);
      shapeElement("text", { x: x + CELL / 2, y: y + CELL / 2, class: "cell-text" }, texts);
    }
  }

  function place(rect, box) {
    rect.style.display = box ? "" : "none";
    if (!box) return;
    const [row, column, height, width] = box;
    for (const [key, value] of Object.entries({ x: column * CELL, y: row * CELL, width: width * CELL, height: height * CELL })) rect.setAttribute(key, String(value));
  }

  /** Return the numbers of a grid without a cursor, row by row: a screen reader has nothing else of them. */
  function inWords() {
    const line = (row) => Array.from({ length: columns }, (_, column) => shown.text(row, column)).filter(Boolean).join(", ");
    return Array.from({ length: rows }, (_, row) => line(row)).join("; ");
  }

  /** @param {Shown} now */
  function update(now) {
    shown = now;
    if (now.rows !== rows || now.columns !== columns) {
      [rows, columns] = [now.rows, now.columns];
      build();
    }
    for (let at = 0; at < rows * columns; at++) {
      const [row, column] = [Math.floor(at / columns), at % columns];
      const [text, mark] = [now.text(row, column), `cell ${now.mark?.(row, column) ?? ""}`];
      const label = texts.children[at];
      if (label.textContent !== text) {
        label.textContent = text;
        label.classList.toggle("long", text.length > 3);
      }
      if (rects.children[at].getAttribute("class") !== mark) rects.children[at].setAttribute("class", mark);
    }
    place(frame, now.window ?? null);
    place(ring, move && now.cursor ? [...now.cursor, 1, 1] : null);
    element.setAttribute("aria-label", move ? now.label : `${now.label}: ${inWords()}`);
    if (!move) element.setAttribute("role", "img");
  }

  return { element, update };
}
