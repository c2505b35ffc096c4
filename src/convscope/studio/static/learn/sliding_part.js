/** A kernel that slides over an image: both, the map, and the sum of one cell term by term. */
import { html, nothing } from "lit-html";
import { made } from "convscope/elements";
import { mapOf, turned, windowSum } from "convscope/learn/arithmetic";
import { createCells } from "convscope/learn/cells";
import { check, choice, slider } from "convscope/learn/controls";
import { numberText } from "convscope/learn/fill";
import { createHeat } from "convscope/learn/heat";
import { cameraProblem, pictureOf, startCamera } from "convscope/learn/picture_sources";
import { createPlayer } from "convscope/learn/player";

const SMALL = 10; // rows that are shown as numbers
const DRAWN = 28; // side of a drawing
const INK = 255;
const NUMBERS = ["numbers", "bright-left", "dark-left", "corners", "impulse"];
const WITH_SIGN = (value) => (value < 0 ? `(−${numberText(-value)})` : numberText(value));
const rounded = (value) => Number(value.toFixed(2));

/** @param {any} room as `chapter.js` gives it @param {any} found the record edge-images */
export function createSliding(room, found) {
  const { texts, filled, changed, say } = room;
  /** @type {Object<string, number[][]>} */
  const images = { ...structuredClone(found.images), drawing: blank() };
  let image = "numbers";
  let kernel = "vertical";
  let weights = structuredClone(found.kernels.vertical);
  let [turn, relu, position, angle] = [false, false, 0, 45];
  let shown = 0; // cells up to this one are shown: all of them once the last one has been
  let at = /** @type {[number, number]} */ ([0, 0]); // the cursor on the image
  /** @type {null|(() => void)} */
  let stopCamera = null;
  let problem = "";
  let asking = 0; // the number of the last start or stop of the camera
  /** @type {{key: any[], map: number[][], low: number, high: number}|null} */
  let kept = null;

  const player = createPlayer({ words: room.words, label: room.words.position, changed, seek: (to) => { position = to; reveal(to); } });
  const move = (row, column) => { at = [row, column]; changed(); };
  const moveMap = (row, column) => { player.pause(); position = row * map()[0].length + column; reveal(Math.max(shown, position)); changed(); };
  const imageCells = createCells({ say, move, type: typed, quiet: true });
  const mapCells = createCells({ say, move: moveMap });
  const imageHeat = createHeat({ say, move, paint, quiet: true });
  const mapHeat = createHeat({ say, move: moveMap });
  const kernelCells = createCells({});

  function blank() {
    return Array.from({ length: DRAWN }, () => new Array(DRAWN).fill(0));
  }

  function reveal(to) {
    shown = to >= map().length * map()[0].length - 1 ? Infinity : to;
  }

  const pixels = () => images[image];
  const laid = () => (turn ? turned(weights) : weights);

  function map() {
    return computed().map;
  }

  /** The map and its range; computed anew where the image, the kernel or the turn has changed. */
  function computed() {
    const key = [pixels(), weights, turn];
    if (!kept || key.some((each, index) => each !== kept.key[index])) {
      const values = mapOf(pixels(), laid()).map((row) => row.map(rounded));
      let [low, high] = [Infinity, -Infinity];
      for (const row of values) for (const value of row) [low, high] = [Math.min(low, value), Math.max(high, value)];
      kept = { key, map: values, low, high };
    }
    return kept;
  }

  function place() {
    const columns = map()[0].length;
    position = Math.max(0, Math.min(position, map().length * columns - 1));
    return /** @type {[number, number]} */ ([Math.floor(position / columns), position % columns]);
  }

  function typed(row, column, key) {
    const change = { "-": (value) => -value, Backspace: () => 0, Delete: () => 0 }[key] ?? (/^\d$/.test(key) ? () => Number(key) : null);
    if (!change) return false;
    images[image] = pixels().map((line, r) => (r === row ? line.map((value, c) => (c === column ? change(value) : value)) : line));
    changed();
    return true;
  }

  /** Draw; a key takes away what it finds drawn. @param {number} row @param {number} column @param {boolean} byKey */
  function paint(row, column, byKey) {
    if (image !== "drawing") return;
    const value = byKey && images.drawing[row][column] ? 0 : INK;
    const spots = [[row, column], [row + 1, column], [row, column + 1], [row + 1, column + 1]];
    images.drawing = images.drawing.map((line, r) => line.map((before, c) => (spots.some(([y, x]) => y === r && x === c) ? value : before)));
    changed();
  }

  function choose(name) {
    endCamera();
    problem = "";
    image = name;
    [at, position] = [[0, 0], 0];
    changed();
  }

  function endCamera() {
    asking += 1;
    stopCamera?.();
    stopCamera = null;
  }

  async function camera() {
    problem = "";
    endCamera();
    const mine = asking;
    const seen = (grey) => {
      if (mine !== asking) return;
      images.camera = grey;
      image = "camera";
      changed();
    };
    try {
      const stop = await startCamera(seen);
      if (mine === asking) stopCamera = stop;
      else stop(); // meanwhile another picture or another mode was chosen, or the button pressed again
    } catch (error) {
      if (mine === asking) problem = filled(texts[`no-camera-${cameraProblem(error)}`], { problem: error.message });
    }
    changed();
  }

  async function file(event) {
    const [given] = event.target.files;
    event.target.value = ""; // the same file may be chosen again
    if (!given) return;
    try {
      images.file = await pictureOf(given);
      choose("file");
    } catch {
      problem = texts["no-picture"];
      changed();
    }
  }

  function preset(name) {
    if (name === "angle") return lean(angle);
    if (!(name in found.kernels)) return;
    [kernel, weights] = [name, structuredClone(found.kernels[name])];
    changed();
  }

  /** Take the kernel of an angle. @param {number} degrees */
  function lean(degrees) {
    [kernel, angle, weights] = ["angle", degrees, structuredClone(found.angles[String(degrees)])];
    changed();
  }

  function resize(size) {
    const by = (size - weights.length) / 2;
    weights = Array.from({ length: size }, (_, row) => Array.from({ length: size }, (__, column) => weights[row - by]?.[column - by] ?? 0));
    kernel = "own";
    changed();
  }

  function weigh(row, column, event) {
    const value = Number(event.target.value);
    if (event.target.value === "" || !Number.isFinite(value) || Math.abs(value) > 1000) return;
    weights = weights.map((line, r) => line.map((weight, c) => (r === row && c === column ? value : weight)));
    kernel = "own";
    changed();
  }

  function set(settings) {
    if ("turned" in settings) turn = settings.turned;
    if (settings.image in images) choose(settings.image);
    if (settings.kernel) preset(settings.kernel);
    if (typeof settings.relu === "boolean") relu = settings.relu;
    if (Number.isFinite(settings.position)) {
      position = settings.position;
      reveal(settings.shown === "all" ? Infinity : position);
    }
  }

  function task(id, mode) {
    const values = map();
    const here = mode === "correlation" || mode === "true";
    if (id === "zero") return { done: here && NUMBERS.includes(image) && kernel !== "own" && values.flat().every((value) => value === 0) };
    return { done: here && kernel === "own" && values.flat().includes(100) };
  }

  const shownValue = (value) => (relu ? Math.max(0, value) : value);
  const spokenCell = (row, column) => filled(texts.cell, { row: row + 1, column: column + 1, value: shownValue(map()[row]?.[column] ?? 0) });
  /** Take a change of the image, the kernel or ReLU, and say the cell that is worked out. */
  const andSay = (take) => (...asked) => { take(...asked); say(spokenCell(...place())); };

  function drawImage([row, column]) {
    const rows = pixels().length;
    const columns = pixels()[0].length;
    const window = /** @type {[number, number, number, number]} */ ([row, column, weights.length, weights.length]);
    const inside = (r, c) => r >= row && r < row + weights.length && c >= column && c < column + weights.length;
    const spoken = (r, c) => filled(texts["image-cell"], { row: r + 1, column: c + 1, value: pixels()[r][c] });
    if (rows <= SMALL) {
      imageCells.update({ rows, columns, cursor: at, window, spoken, text: (r, c) => numberText(pixels()[r][c]), mark: (r, c) => (inside(r, c) ? "in-window" : ""), label: `${filled(texts["image-label"], { rows, columns })} ${spoken(...at)}` });
      return imageCells.element;
    }
    const label = filled(image === "drawing" ? texts["drawing-label"] : texts["picture-label"], { rows, columns });
    imageHeat.update({ rows, columns, cursor: at, window, spoken, colour: (r, c) => [pixels()[r][c], pixels()[r][c], pixels()[r][c]], label });
    return imageHeat.element;
  }

  function drawMap(cursor) {
    const { map: values, low, high } = computed();
    const [rows, columns] = [values.length, values[0].length];
    const label = `${filled(texts["map-label"], { rows, columns })} ${spokenCell(...cursor)}`;
    const later = (r, c) => r * columns + c > shown;
    if (rows <= SMALL) {
      mapCells.update({ rows, columns, cursor, spoken: spokenCell, text: (r, c) => (later(r, c) ? "" : numberText(shownValue(values[r][c]))), mark: (r, c) => (later(r, c) ? "later" : ""), label });
      return mapCells.element;
    }
    const most = Math.max(Math.abs(low), Math.abs(high)) || 1;
    const grey = (value) => Math.round(127.5 + (shownValue(value) / most) * 127.5);
    mapHeat.update({ rows, columns, cursor, spoken: spokenCell, colour: (r, c) => { const g = grey(values[r][c]); return [g, g, g]; }, label });
    return mapHeat.element;
  }

  function sum([row, column]) {
    const { terms, sum: total } = windowSum(pixels(), laid(), row, column);
    const sums = terms.map((line) => rounded(line.reduce((all, term) => all + term.product, 0)));
    const lines = terms.map((line, index) => filled(texts["row-sum"], { terms: line.map(({ pixel, weight }) => `${numberText(pixel)}·${WITH_SIGN(weight)}`).join(" + "), sum: sums[index] }));
    const all = rounded(total);
    return html`<div class="worked-sum"><h4>${filled(texts.sum, { row: row + 1, column: column + 1 })}</h4>
      ${lines.map((line) => html`<p>${line}</p>`)}<p><strong>${filled(texts.total, { sums: sums.map(WITH_SIGN).join(" + "), sum: all })}</strong></p>
      ${relu ? html`<p>${filled(texts["after-relu"], { sum: all, after: Math.max(0, all) })}</p>` : nothing}</div>`;
  }

  const input = made("input", "hidden-text");
  input.type = "file";
  input.accept = "image/*";
  input.tabIndex = -1;
  input.setAttribute("aria-hidden", "true");
  input.addEventListener("change", file);

  function view() {
    const cursor = place();
    const names = [...Object.keys(found.images), "drawing", ...["file", "camera"].filter((name) => images[name])];
    const kernels = [...Object.keys(found.kernels), "angle", ...(kernel === "own" ? ["own"] : [])];
    kernelCells.update({ rows: weights.length, columns: weights.length, text: (r, c) => numberText(laid()[r][c]), label: texts.turned });
    const { low, high } = computed();
    return html`
      <div class="row">${choice({ label: texts.image, value: image, options: names.map((name) => [name, texts[`images-${name}`]]), change: andSay(choose) })}
        <button @click=${() => input.click()}>${texts["choose-file"]}</button>${input}
        <button @click=${() => (stopCamera ? (endCamera(), changed()) : camera())}>${stopCamera ? texts["stop-camera"] : texts["start-camera"]}</button>
        ${image === "drawing" ? html`<button @click=${() => { images.drawing = blank(); changed(); }}>${texts.clear}</button>` : nothing}</div>
      ${problem ? html`<p class="problem" role="alert">${problem}</p>` : nothing}
      <div class="row">${choice({ label: texts.kernel, value: kernel, options: kernels.map((name) => [name, texts[`kernels-${name}`]]), change: andSay(preset) })}
        ${choice({ label: texts.size, value: String(weights.length), options: ["1", "3", "5"].map((size) => [size, `${size}×${size}`]), change: andSay((size) => resize(Number(size))) })}
        ${check({ label: texts.relu, value: relu, change: andSay((on) => { relu = on; changed(); }) })}</div>
      ${kernel === "angle" ? slider({ label: texts.angle, value: angle, low: 0, high: 345, step: 15, text: `${angle}°`, change: andSay(lean) }) : nothing}
      <div class="convolved">
        <figure><figcaption>${texts.input}</figcaption>${drawImage(cursor)}</figure>
        <figure class="kernel"><figcaption>${texts.kernel}</figcaption><div class="weights" data-size=${weights.length}>${weights.map((line, row) => line.map((weight, column) => html`<input type="number" step="any"
          aria-label=${filled(texts.weight, { row: row + 1, column: column + 1 })} .value=${String(weight)} @change=${andSay((event) => weigh(row, column, event))}>`))}</div>
          ${turn ? html`<figcaption>${texts.turned}</figcaption>${kernelCells.element}` : nothing}</figure>
        <figure><figcaption>${texts.map}</figcaption>${drawMap(cursor)}</figure></div>
      ${player.view(map().length * map()[0].length, position, spokenCell(...cursor))}
      ${sum(cursor)}
      ${pixels().length > SMALL ? html`<p class="small muted">${filled(texts.range, { low, high })}</p>` : nothing}`;
  }

  function pause() {
    player.pause();
    endCamera();
  }

  return { view, set, task, close: pause, pause };
}
