/** Changes to the image and to the network; maps and prediction follow. */
import { html, nothing } from "lit-html";
import * as icons from "convscope/icons";
import * as api from "convscope/api";
import { madeAgain, sayFailed } from "convscope/loading";
import { changed, go, link, loaded, say, show, view } from "convscope/store";
import { TEXT } from "convscope/strings";
import { number, range } from "convscope/units";

const add = (change) => go({ interventions: [...link().interventions, change] });

/** Change the last one of its kind, or add it; one that changes nothing goes. */
function put(change, nothingLeft) {
  const list = link().interventions;
  const at = list.findLastIndex((other) => other.op === change.op);
  const kept = at < 0 ? [...list, change] : list.map((other, i) => (i === at ? change : other));
  go({ interventions: nothingLeft ? list.filter((_, i) => i !== at) : kept }, { replace: at >= 0 });
}

const last = (op) => link().interventions.findLast((change) => change.op === op);

/** Return a change in words. */
function changeText(change) {
  switch (change.op) {
    case "shift": return TEXT.shiftedBy(change.dy, change.dx);
    case "rotate": return TEXT.rotatedBy(number(change.degrees));
    case "blur": return TEXT.blurredBy(number(change.sigma));
    case "crop": return TEXT.croppedTo(change.box);
    case "occlude": return TEXT.occluded(change.box);
    case "channel_off": return TEXT.offText(change.value, change.channel);
    default: return TEXT.kernelText(change.module, change.out, change.in);
  }
}

export function interventionsPanel() {
  const list = link().interventions;
  const shift = last("shift") ?? { dy: 0, dx: 0 };
  const rotate = last("rotate")?.degrees ?? 0;
  const blur = last("blur")?.sigma ?? 0;
  const move = (dy, dx) => () => put({ op: "shift", dy: shift.dy + dy, dx: shift.dx + dx }, shift.dy + dy === 0 && shift.dx + dx === 0);
  const live = !loaded.session?.offline;
  if (!live) return nothing;
  return html`<details class="sub" ?open=${list.length > 0 || view.changesOpen} @toggle=${(e) => { view.changesOpen = e.target.open; }}>
    <summary><h2>${TEXT.change}</h2>${list.length ? html`<span class="muted small">${TEXT.changesMade(list.length)}</span>` : nothing}</summary>
    <div class="inside">
      ${list.length ? html`<div class="changes">${list.map((change, index) => html`<span class="change">${changeText(change)}<button @click=${() => go({ interventions: list.filter((_, i) => i !== index) })} aria-label=${TEXT.undoChange(changeText(change))}>${icons.close}</button></span>`)}
        <button class="quiet" @click=${() => go({ interventions: [] })}>${TEXT.undoAll}</button></div>` : nothing}
      <div class="row">
        <span class="row nudge" role="group" aria-label=${TEXT.shift}><span class="muted small">${TEXT.shift}</span>
          ${[["←", 0, -1, TEXT.left], ["→", 0, 1, TEXT.right], ["↑", -1, 0, TEXT.upward], ["↓", 1, 0, TEXT.downward]].map(([sign, dy, dx, says]) => html`<button class="icon" @click=${move(dy, dx)} aria-label=${says}>${sign}</button>`)}
          <span class="number small">${number(shift.dy)}, ${number(shift.dx)}</span></span>
        <label class="field"><span>${TEXT.rotate}</span><input type="range" min="-45" max="45" step="1" .value=${String(rotate)} @change=${(e) => put({ op: "rotate", degrees: Number(e.target.value) }, Number(e.target.value) === 0)}><span class="number small">${number(rotate)}°</span></label>
        <label class="field"><span>${TEXT.blur}</span><input type="range" min="0" max="8" step="0.25" .value=${String(blur)} @change=${(e) => put({ op: "blur", sigma: Number(e.target.value) }, Number(e.target.value) === 0)}><span class="number small">${number(blur)}</span></label>
        ${["crop", "occlude"].map((tool) => html`<button aria-pressed=${String(view.tool === tool)} @click=${() => show({ tool: view.tool === tool ? "" : tool })} title=${TEXT.dragHelp}>${TEXT[tool]}</button>`)}
        <button @click=${boxByKeys} title=${TEXT.boxByKeysHelp}>${TEXT.boxByKeys}</button>
      </div>
      ${view.tool ? html`<p class="muted small" role="status">${TEXT.dragHelp}</p>` : nothing}
      ${view.box ? boxForm() : nothing}
      ${kernelEditor()}
    </div></details>`;
}

/** A box by its four numbers, for the keyboard. */
function boxByKeys() {
  const [, height = 1, width = 1] = loaded.graph?.input?.slice(-3) ?? [];
  show({ box: view.box ? null : [Math.floor(height / 4), Math.floor(width / 4), Math.floor((3 * height) / 4), Math.floor((3 * width) / 4)] });
}

function boxForm() {
  const take = (e, op) => {
    const box = [0, 1, 2, 3].map((i) => Math.round(Number(e.target.form.elements[`box${i}`].value)));
    if (!(box[0] < box[2] && box[1] < box[3])) say(TEXT.emptyBox, "error");
    else {
      show({ box: null });
      add({ op, box });
    }
  };
  return html`<form class="row" @submit=${(e) => e.preventDefault()}>
    ${TEXT.boxSides.map((side, i) => html`<label class="field"><span>${side}</span><input name=${`box${i}`} type="number" min="0" step="1" .value=${String(view.box[i])}></label>`)}
    <button type="button" @click=${(e) => take(e, "crop")}>${TEXT.crop}</button><button type="button" @click=${(e) => take(e, "occlude")}>${TEXT.occlude}</button></form>`;
}

/** The kernels of the selected channel, number by number. */
function kernelEditor() {
  const { model, value, channel } = link();
  const unit = loaded.byValue.get(value);
  if (!/conv/i.test(unit?.type ?? "") || channel === null) return nothing;
  const now = view.kernel;
  const here = now?.model === model && now.value === value && now.out === channel ? now : null;
  const rows = here?.weights;
  return html`<div class="row"><button @click=${() => openKernel(unit, channel, 0)}>${TEXT.replaceKernel(channel)}</button>
    ${here ? html`<label class="field"><span>${TEXT.inputChannel}</span><input type="number" min="0" max=${here.inputs - 1} step="1" .value=${String(here.in)} @change=${(e) => openKernel(unit, channel, Math.max(0, Math.round(Number(e.target.value))))}><span class="muted small">${range(0, here.inputs - 1)}</span></label>` : nothing}</div>
    ${rows ? html`<form @submit=${(e) => { e.preventDefault(); takeKernel(e.target); }}>
      <div class="kernel-edit" .style=${`grid-template-columns:repeat(${rows[0].length},max-content)`}>
      ${rows.map((row, y) => row.map((weight, x) => html`<input type="text" name=${`w${y}-${x}`} inputmode="decimal" aria-label=${TEXT.weightAt(y, x)} .value=${String(Number(weight.toPrecision(5)))}>`))}
      </div><div class="row"><button class="primary">${TEXT.use}</button>${Object.entries(TEXT.kernels).map(([name, label]) => html`<button type="button" @click=${() => { view.kernel = { ...now, weights: here.presets[name] }; changed(); }}>${label}</button>`)}</div></form>` : nothing}`;
}

/** Show the kernel of a channel and one of its inputs. */
async function openKernel(unit, out, into) {
  const { model } = link();
  try {
    view.kernel = { ...(await api.kernel(loaded.run.run, unit.name, out, into)), model, value: unit.value };
    changed();
  } catch (problem) {
    if (problem.kind !== "stopped" && !madeAgain(problem)) sayFailed(problem, () => openKernel(unit, out, into));
  }
}

function takeKernel(form) {
  const { module, out, in: into, weights } = view.kernel;
  const read = (input) => Number(input.value.replace("−", "-"));
  const rows = weights.map((row, y) => row.map((_, x) => read(form.elements[`w${y}-${x}`])));
  if (!rows.flat().every(Number.isFinite)) {
    [...form.elements].find((input) => !Number.isFinite(read(input))).focus();
    say(TEXT.noNumber, "error");
    return;
  }
  const kept = link().interventions.filter((c) => !(c.op === "kernel" && c.module === module && c.out === out && c.in === into));
  go({ interventions: [...kept, { op: "kernel", module, out, in: into, weights: rows }] });
}
