/** A kernel that was learned step by step in Python: its weights and its loss at each step. */
import { html } from "lit-html";
import { shapeElement } from "convscope/elements";
import { createCells } from "convscope/learn/cells";
import { choice } from "convscope/learn/controls";
import { numberText } from "convscope/learn/fill";
import { createPlayer } from "convscope/learn/player";

const TARGETS = ["vertical", "horizontal", "sobel", "diagonal", "blur", "identity"];
const SEEDS = 3;
const [WIDTH, HEIGHT] = [600, 140];

/** @param {any} room as `chapter.js` gives it */
export function createLearned(room) {
  const { texts, filled, changed } = room;
  let target = "vertical";
  let seed = 0;
  let step = 0;
  let asked = "";
  /** @type {any} */
  let found = null;
  const player = createPlayer({ words: room.words, label: room.words.position, changed, seek: (to) => { step = to; } });
  const [targetCells, learnedCells] = [createCells({}), createCells({})];
  const chart = shapeElement("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", class: "loss-curve" });
  const line = shapeElement("polyline", { class: "loss-line" }, chart);
  const dot = shapeElement("circle", { r: 5, class: "loss-now" }, chart);

  function ask() {
    const key = `${target} ${seed}`;
    if (key === asked) return;
    asked = key;
    room.record("learned-kernel", { target, seed }).then((answer) => {
      if (asked !== key) return;
      found = answer;
      changed();
    }, () => { if (asked === key) asked = ""; });
  }

  function set(settings) {
    if (TARGETS.includes(settings.target)) target = settings.target;
    if (settings.target || !found) again(seed);
  }

  function again(to) {
    player.pause();
    [seed, step, found, asked] = [to % SEEDS, 0, null, ""];
    changed();
  }

  const task = (_, mode) => ({ done: mode === "learn" && Boolean(found) && found.off[step] < found.close });

  const lossText = () => filled(texts.loss, { first: String(found.losses[0]), last: String(found.losses.at(-1)), count: found.losses.length - 1 });

  function draw() {
    const logs = found.losses.map((loss) => Math.log10(Math.max(loss, 1e-12)));
    const [low, high] = [Math.min(...logs), Math.max(...logs)];
    const point = (index) => [(index / (logs.length - 1)) * (WIDTH - 16) + 8, HEIGHT - 10 - ((logs[index] - low) / (high - low || 1)) * (HEIGHT - 20)];
    line.setAttribute("points", logs.map((_, index) => point(index).map((value) => value.toFixed(1)).join(",")).join(" "));
    const [x, y] = point(step);
    dot.setAttribute("cx", String(x));
    dot.setAttribute("cy", String(y));
    chart.setAttribute("aria-label", `${lossText()}. ${filled(texts.step, { step, loss: found.losses[step] })}`);
    targetCells.update({ rows: 3, columns: 3, text: (r, c) => numberText(found.target[r][c]), label: texts.target });
    learnedCells.update({ rows: 3, columns: 3, text: (r, c) => found.kernels[step][r][c].toFixed(2).replace("-", "−"), label: filled(texts.learned, { step }) });
  }

  function view() {
    const options = /** @type {[string, string][]} */ (TARGETS.map((name) => [name, texts[`kernels-${name}`]]));
    if (found) draw();
    else ask();
    return html`<div class="row">${choice({ label: texts.target, value: target, options, change: (name) => { target = name; again(seed); } })}
        <button @click=${() => again(seed + 1)}>${texts.again}</button></div>
      ${found ? html`
        <div class="pair small-grids"><figure><figcaption>${texts.target}</figcaption>${targetCells.element}</figure>
          <figure><figcaption>${filled(texts.learned, { step })}</figcaption>${learnedCells.element}</figure></div>
        ${player.view(found.kernels.length, step, filled(texts.step, { step, loss: found.losses[step] }))}
        <ul class="findings"><li>${filled(texts.step, { step, loss: found.losses[step] })}</li><li>${filled(texts.off, { off: found.off[step] })}</li></ul>
        <h4>${lossText()}</h4>${chart}` : room.waiting()}`;
  }

  return { view, set, task, close: player.close, pause: player.pause };
}
