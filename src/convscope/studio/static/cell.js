/** One number worked out, step by step. */
import { html, nothing, render } from "lit-html";
import * as api from "convscope/api";
import { scaleOf } from "convscope/atlas";
import { isCommand, made } from "convscope/elements";
import * as icons from "convscope/icons";
import { madeAgain, sayFailed } from "convscope/loading";
import { formulaElement } from "convscope/mathml";
import { options } from "convscope/options";
import { Playback, SPEEDS, stepsOf } from "convscope/playback";
import { createSource } from "convscope/source";
import { listedTerms, readable, termText, valueName, windowTerms } from "convscope/terms";
import { go, link, loaded, pending, view } from "convscope/store";
import { TEXT } from "convscope/strings";
import { number, real } from "convscope/units";

export function createCell() {
  const element = made("div", "number-view");
  const source = createSource();
  const groupsElement = made("div", "groups");
  groupsElement.tabIndex = -1;
  const head = made("div", "number-head");
  const sums = made("div", "sums");
  const foot = made("div", "number-foot");
  const body = made("div", "number-body");
  source.element.tabIndex = sums.tabIndex = 0; // they scroll
  body.append(source.element, groupsElement, sums);
  element.append(head, body, foot);

  let cell = null;
  /** @type {import("./terms.js").Group[]} */
  let groups = [];
  /** @type {import("./playback.js").Step[]} */
  let steps = [];
  /** @type {HTMLElement[][][]} elements of each group's terms */
  let elements = [];
  let more = [];
  let paging = false;
  const playback = new Playback((index, playing) => {
    drawStep(index);
    if (!playing && link().room === "explore") go({ step: index >= steps.length - 1 ? null : index }, { replace: true });
  });

  function take(found) {
    cell = found;
    more = [];
    build();
    const asked = link().step;
    playback.reset(steps.length, asked === null ? steps.length - 1 : asked);
    drawStep(playback.index);
  }

  function build() {
    groups = [cell, ...more].flatMap((page) => page.groups).map(readable);
    steps = stepsOf(groups, (more.at(-1) ?? cell).steps);
    elements = [];
    groupsElement.replaceChildren();
    const all = groups.flatMap((group) => group.terms);
    const bounds = (list) => [Math.min(0, ...list), Math.max(0, ...list)];
    const [numberLow, numberHigh] = bounds(all.map((term) => term.number));
    const [weightLow, weightHigh] = bounds(all.map((term) => term.weight ?? 0));
    const [productLow, productHigh] = bounds(all.map((term) => term.product));
    const scales = {
      number: scaleOf(numberLow, numberHigh, numberLow < 0 ? "diverging" : "cividis"),
      weight: scaleOf(Math.min(weightLow, -1e-12), weightHigh, "diverging"),
      product: scaleOf(Math.min(productLow, -1e-12), productHigh, "diverging"),
    };
    groups.forEach((group, g) => {
      const section = made("section");
      const title = made("div", "group-title");
      title.append(made("b", "", group.channel !== null && groups.length > 1 && cell.kind === "products" && group.columns > 1 ? `${valueName(group.value)}, ${group.title}` : group.title || valueName(group.value)));
      if (cell.adds && groups.length > 1) title.append(TEXT.addsUp(number(group.sum, 4)));
      const weighted = group.terms.some((term) => term.weight !== null);
      const drawn = group.columns > 1 ? windowTerms(group, cell.adds, scales, cellSide(group, weighted), weighted) : listedTerms(group, productLow, productHigh);
      elements[g] = drawn.elements;
      section.append(title, drawn.element);
      groupsElement.append(section);
    });
    if (!groups.length) groupsElement.append(made("p", "empty", cell.kind === "input" ? TEXT.pixelIs : cell.formula?.text));
    if (cell.pages > 1 + more.length) {
      const button = made("button", "", TEXT.moreTerms((cell.group_count ?? 0) - groups.length));
      button.addEventListener("click", takeMore);
      groupsElement.append(button);
    }
  }

  /** Return how large the cells of a window's grids can be, in rem. @param {import("./terms.js").Group} group */
  function cellSide(group, weighted) {
    const count = weighted ? 3 : 1;
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    const room = (groupsElement.clientWidth || 640) / rem - 2 - (count - 1) * 2.2;
    return Math.max(1.1, Math.min(3.6, room / (count * group.columns) - 0.17));
  }

  async function takeMore() {
    if (paging) return;
    paging = true;
    const of = cell;
    try {
      const found = await api.cell(loaded.run.run, of.value, of.c, of.at, more.length + 1);
      if (of !== cell) return;
      more.push(found);
      build();
      playback.reset(steps.length, steps.length - 1);
      drawStep(playback.index);
    } catch (problem) {
      if (of === cell && problem.kind !== "stopped" && !madeAgain(problem)) sayFailed(problem, takeMore);
    } finally {
      paging = false;
    }
  }

  /** What is summed on pages that are not shown. */
  function restText() {
    if (groups[0]?.columns > 1) return TEXT.restOf(cell.group_count - groups.length);
    return TEXT.restTerms((cell.count ?? 0) - groups.reduce((sum, group) => sum + group.terms.length, 0));
  }

  /** Show a step: what is done, what is added now, the sum by then. */
  function drawStep(index) {
    const step = steps[index];
    if (!step) return;
    const atEnd = step.kind !== "term";
    let flat = 0;
    elements.forEach((group, g) => group.forEach((parts, t) => {
      const now = String(step.group === g && step.term === t);
      const done = String(atEnd || flat <= index);
      for (const part of parts) {
        if (part.dataset.now !== now) part.dataset.now = now;
        if (part.dataset.done !== done) part.dataset.done = done;
      }
      flat += 1;
    }));
    const box = elements[step.group]?.[step.term]?.[0];
    if (box && playback.playing) box.scrollIntoView({ block: "nearest" });
    const group = groups[Math.max(0, step.group)];
    source.show(cell, group, step.kind === "term" ? groups[step.group].terms[step.term] : null);
    renderSums(step, index);
    renderFoot(step, index);
  }

  function renderSums(step, index) {
    const rows = groups.length && (groups.length > 1 || cell.kind === "products") && cell.adds ? groups.map((group, g) => ({ text: group.title, value: group.sum, now: step.group === g })) : [];
    const rest = steps.find((one) => one.kind === "rest");
    const bias = steps.find((one) => one.kind === "bias");
    const notes = steps.filter((one) => one.kind === "line");
    if (rest) rows.push({ text: restText(), value: rest.number, now: step === rest });
    if (bias) rows.push({ text: TEXT.bias, value: bias.number, now: step === bias });
    for (const line of notes) rows.push({ text: line.title, value: line.number, now: step === line });
    const difference = Math.abs(real(cell.check?.difference));
    const close = difference <= 1e-4 * Math.max(1, Math.abs(real(cell.number)));
    render(html`
      <div><div class="muted small">${cell.adds ? TEXT.running : TEXT.result}</div><div class="running number" aria-live="off">${number(real(step.running ?? cell.number), 6)}</div></div>
      <table><tbody>
        ${rows.map((row) => html`<tr data-now=${String(row.now)}><th scope="row">${row.text}</th><td class="number">${number(real(row.value), 5)}</td></tr>`)}
        <tr class="total" data-now=${String(step.kind === "result" && index > 0 && playback.playing)}><th scope="row">${cell.name}</th><td class="number">${number(real(cell.number), 6)}</td></tr>
        ${(cell.following ?? []).map((line) => html`<tr><th scope="row" class="muted">${line.text}</th><td class="number">${number(real(line.number), 6)}</td></tr>`)}
      </tbody></table>
      ${cell.check ? html`<p class=${close ? "verdict good" : "verdict bad"}>${close ? TEXT.agrees : TEXT.differs} <span class="number">${number(difference, 2)}</span></p>` : nothing}`, sums);
  }

  const stepTo = (index) => { playback.pause(); playback.seek(index); };
  const stepButton = (label, icon, to) => html`<button class="icon" @click=${() => stepTo(to)} aria-label=${label}>${icon}</button>`;

  function renderFoot(step, index) {
    const { playing } = playback;
    const term = step.kind === "term" ? groups[step.group].terms[step.term] : null;
    const says = term ? termText(term) : step.kind === "rest" ? restText() : step.kind === "bias" ? TEXT.bias : step.kind === "line" ? step.title : TEXT.resultIs;
    render(html`
      ${stepButton(TEXT.toStart, icons.first, 0)}${stepButton(TEXT.stepBack, icons.back, index - 1)}
      <button class="icon primary" @click=${() => (playing ? playback.pause() : playback.play())} aria-label=${playing ? TEXT.pause : TEXT.play}>${playing ? icons.pause : icons.play}</button>
      ${stepButton(TEXT.stepOn, icons.next, index + 1)}${stepButton(TEXT.toEnd, icons.last, steps.length - 1)}
      <input type="range" min="0" max=${Math.max(0, steps.length - 1)} step="1" .value=${String(index)} aria-label=${TEXT.scrubber} aria-valuetext=${says} @input=${(e) => stepTo(Number(e.target.value))}>
      <label class="field"><span>${TEXT.speed}</span><select @change=${(e) => { playback.speed = Number(e.target.value); }}>${options(SPEEDS.map((speed) => [speed, `${number(speed)}×`]), playback.speed)}</select></label>
      <span class="says"><span class="number muted">${index + 1} / ${steps.length}</span> <b>${says}</b></span>`, foot);
  }

  element.addEventListener("keydown", (event) => {
    if (isCommand(event) || event.target.closest("input, select")) return;
    const focusable = [...groupsElement.querySelectorAll("button:not(:disabled)")];
    const at = focusable.indexOf(document.activeElement);
    const group = groups.find((one) => one.columns > 1);
    const keys = ({
      ",": () => stepTo(playback.index - 1),
      ".": () => stepTo(playback.index + 1),
      x: () => (playback.playing ? playback.pause() : playback.play()),
      Backspace: back,
    });
    const move = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: group?.columns ?? 1, ArrowUp: -(group?.columns ?? 1) }[event.key];
    if (move && at >= 0) focusable[Math.max(0, Math.min(focusable.length - 1, at + move))].focus();
    else if (keys[event.key]) keys[event.key]();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });

  function back() {
    const trail = view.trail ?? [];
    const to = trail[trail.length - 1];
    if (!to) return;
    view.trail = trail.slice(0, -1);
    go({ value: to.value, channel: to.c, at: to.at, step: null, page: 0 });
  }

  function renderHead() {
    const at = link();
    const trail = view.trail ?? [];
    const shown = cell && loaded.cell === cell ? cell : null;
    element.dataset.cell = shown ? `${shown.value}:${shown.c}:${shown.at.join(",")}` : "";
    element.dataset.number = shown ? String(shown.number) : "";
    render(html`
      ${trail.length ? html`<nav class="trail" aria-label=${TEXT.trail}><button class="icon quiet" @click=${back} aria-label=${TEXT.backTo}>${icons.back}</button>
        ${trail.slice(-4).map((step, i) => html`<button class="quiet" @click=${() => { view.trail = trail.slice(0, Math.max(0, trail.length - 4) + i); go({ value: step.value, channel: step.c, at: step.at, step: null, page: 0 }); }}>${valueName(step.value)} ${TEXT.cellShort(step.c, step.at)}</button><span class="muted" aria-hidden="true">›</span>`)}</nav>` : nothing}
      <h3>${valueName(at.value)} <span class="muted number">${at.at ? TEXT.cellShort(at.channel ?? 0, at.at) : ""}</span></h3>
      <span class="result number" role="status">${shown ? number(real(shown.number), 6) : pending.has("cell") || pending.has("run") ? html`<span class="spinner"></span>` : nothing}</span>
      ${shown || pending.size ? nothing : html`<span class="muted">${view.noCell ?? ""}</span>`}
      ${shown ? html`<span class="muted small">${shown.operation ?? shown.kind}</span>${shown.formula?.mathml ? html`<span title=${shown.formula.text}>${formulaOf(shown)}</span>` : nothing}` : nothing}
      <span class="spread"></span>
      <button class="icon quiet" @click=${() => go({ at: null, step: null })} aria-label=${TEXT.closeNumber} title=${TEXT.closeNumber}>${icons.close}</button>`, head);
  }

  const formulas = new WeakMap();
  function formulaOf(found) {
    if (!formulas.has(found)) formulas.set(found, formulaElement(found.formula));
    return formulas.get(found);
  }

  return {
    element,
    update() {
      const trail = view.trail ?? [];
      const at = link();
      const last = trail[trail.length - 1];
      // The browser's way back leads along the same trail.
      if (last && last.value === at.value && last.c === at.channel && String(last.at) === String(at.at)) view.trail = trail.slice(0, -1);
      body.hidden = foot.hidden = !loaded.cell;
      if (loaded.cell && loaded.cell !== cell) {
        const inside = groupsElement.contains(document.activeElement);
        take(loaded.cell);
        if (inside) (groupsElement.querySelector("button") ?? groupsElement)?.focus();
      } else if (loaded.cell && at.step !== null && at.step !== playback.index && !playback.playing) playback.seek(at.step);
      renderHead();
    },
  };
}
