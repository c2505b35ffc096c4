/** A pattern that is moved over a picture: what a fully connected unit gives that holds it at one place, and what a filter gives. */
import { html } from "lit-html";
import { mapOf, windowSum } from "convscope/learn/arithmetic";
import { check } from "convscope/learn/controls";
import { between, colourOf, createHeat } from "convscope/learn/heat";

/** @param {any} room as `chapter.js` gives it @param {any} found the record shifted */
export function createShift(room, found) {
  const { texts, filled, changed, say } = room;
  const { side, pattern, order } = found;
  const most = side - pattern.length;
  let at = /** @type {[number, number]} */ ([...found.place]);
  let shuffled = false;
  const picture = createHeat({ move: to, say });
  const [unit, map] = [createHeat({}), createHeat({})];

  function to(row, column) {
    at = [Math.max(0, Math.min(most, row)), Math.max(0, Math.min(most, column))];
    changed();
  }

  /** @param {[number, number]} place of the pattern @param {boolean} mixed whether the pixels are shuffled */
  function set(place, mixed) {
    shuffled = mixed;
    to(...place);
  }

  const pixel = (index, [row, column]) => pattern[Math.floor(index / side) - row]?.[(index % side) - column] ?? 0;
  /** Return the picture with the pattern at a place, its pixels in their own order or in the other one. */
  const drawn = (place) => Array.from({ length: side }, (_, r) => Array.from({ length: side }, (__, c) => pixel(shuffled ? order[r * side + c] : r * side + c, place)));

  function values() {
    const image = drawn(at);
    const weights = drawn(found.place);
    const cells = mapOf(image, pattern);
    const largest = Math.max(...cells.flat());
    const row = cells.findIndex((line) => line.includes(largest));
    return { image, weights, cells, dense: windowSum(image, weights, 0, 0).sum, largest, row, column: cells[row].indexOf(largest) };
  }

  function task() {
    const { dense, largest } = values();
    return { done: dense === 0 && largest > 0 };
  }

  /** Return what the unit and the filter give, in words. */
  function given({ dense, largest, row, column }) {
    const text = { dense, filter: largest, row: row + 1, column: column + 1 };
    return [filled(texts["shift-unit"], text), filled(texts["shift-filter"], text)];
  }

  function view() {
    const now = values();
    const [paper, blue] = ["--paper", "--blue"].map(colourOf);
    const shade = (grid, high) => (r, c) => between(paper, blue, Math.max(0, grid[r][c]) / high);
    const spoken = () => given(values()).join(" "); // asked for once the pattern is moved
    const place = { row: at[0] + 1, column: at[1] + 1 };
    picture.update({ rows: side, columns: side, cursor: at, window: shuffled ? null : [...at, pattern.length, pattern.length], colour: shade(now.image, 1), spoken, label: `${texts["shift-label"]} ${filled(texts["shift-place"], place)}` });
    unit.update({ rows: side, columns: side, colour: shade(now.weights, 1), label: texts["shift-weights"] });
    map.update({ rows: now.cells.length, columns: now.cells.length, window: [now.row, now.column, 1, 1], colour: shade(now.cells, now.largest), label: texts["shift-map"] });
    return html`<div class="convolved alike">
        <figure><figcaption>${texts["shift-picture"]}</figcaption>${picture.element}</figure>
        <figure><figcaption>${texts["shift-weights"]}</figcaption>${unit.element}</figure>
        <figure><figcaption>${texts["shift-map"]}</figcaption>${map.element}</figure></div>
      ${check({ label: texts.shuffled, value: shuffled, change: (mixed) => { set(at, mixed); say(given(values()).join(" ")); } })}
      <p class="small muted">${texts["shift-label"]} ${filled(texts["shift-place"], place)} ${shuffled ? texts["shuffled-shown"] : ""}</p>
      <ul class="findings">${given(now).map((line) => html`<li>${line}</li>`)}</ul>`;
  }

  return { view, task, set };
}
