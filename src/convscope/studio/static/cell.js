/** One number worked out: its terms at their real positions, a sum that runs, and a step into any operand. */
import { html, nothing, render } from "lit-html";
import * as api from "convscope/api";
import { adds, groupsOf, real, stepsOf } from "convscope/arithmetic";
import { cssColour, inkOn, scaleOf } from "convscope/atlas";
import * as icons from "convscope/icons";
import { light } from "convscope/light";
import { formulaElement } from "convscope/mathml";
import { Playback, SPEEDS } from "convscope/playback";
import { createSource } from "convscope/source";
import { go, link, loaded, say, show, view } from "convscope/store";
import { TEXT } from "convscope/strings";
import { number, tiny } from "convscope/units";

/** @typedef {import("./arithmetic.js").Term} Term */

/** Return the name of a value on the page. @param {string} value */
export const valueName = (value) => (value === "input" ? TEXT.imageTitle : loaded.byValue.get(value)?.name || value);

/** Step into an operand: its own arithmetic is shown, with a way back. @param {NonNullable<Term["operand"]>} operand */
export function stepInto(operand) {
  const { value, channel, at } = link();
  if (operand.value === "weight") {
    say(TEXT.weightIs(operand.name ?? ""));
    return;
  }
  if (!loaded.byValue.has(operand.value) && operand.value !== "input") {
    say(TEXT.noUnit(operand.value));
    return;
  }
  const to = loaded.byValue.has(operand.value) ? operand.value : inputValue();
  view.trail = [...(view.trail ?? []), { value, c: channel, at }];
  go({ value: to, channel: operand.c, at: operand.at, step: null, page: 0 });
}

/** Return the key of the image among the units. */
const inputValue = () => loaded.graph?.units.find((unit) => unit.type === "input")?.value ?? "input";

export function createCell() {
  const element = document.createElement("div");
  element.className = "number-view";
  const source = createSource();
  const groupsElement = document.createElement("div");
  groupsElement.className = "groups";
  groupsElement.tabIndex = -1;
  const head = document.createElement("div");
  const sums = document.createElement("div");
  sums.className = "sums";
  const foot = document.createElement("div");
  foot.className = "number-foot";
  const body = document.createElement("div");
  body.className = "number-body";
  body.append(source.element, groupsElement, sums);
  element.append(head, body, foot);
  head.className = "number-head";

  /** @type {any} */
  let cell = null;
  /** @type {import("./arithmetic.js").Group[]} */
  let groups = [];
  /** @type {import("./arithmetic.js").Step[]} */
  let steps = [];
  /** @type {HTMLElement[][][]} elements of each group's terms */
  let elements = [];
  /** @type {any[]} */
  let more = [];
  let paging = false;
  const playback = new Playback((index, playing) => {
    drawStep(index);
    if (!playing) go({ step: index >= steps.length - 1 ? null : index }, { replace: true });
  });

  /** Take another worked number. @param {any} found */
  function take(found) {
    cell = found;
    more = [];
    build();
    const asked = link().step;
    playback.reset(steps.length, asked === null ? steps.length - 1 : asked);
    drawStep(playback.index);
  }

  function build() {
    groups = groupsOf(cell, more);
    steps = stepsOf(cell, groups);
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
      const section = document.createElement("section");
      const title = document.createElement("div");
      title.className = "group-title";
      const name = document.createElement("b");
      name.textContent = group.channel !== null && groups.length > 1 && cell.kind === "products" && group.columns > 1 ? `${valueName(group.value)}, ${group.title}` : group.title || valueName(group.value);
      title.append(name);
      if (adds(cell.kind) && groups.length > 1) title.append(TEXT.addsUp(number(group.sum, 4)));
      section.append(title, group.columns > 1 ? grids(group, g, scales) : lines(group, g, productLow, productHigh));
      groupsElement.append(section);
    });
    if (!groups.length) {
      const empty = document.createElement("p");
      empty.className = "empty";
      empty.textContent = cell.kind === "input" ? TEXT.pixelIs : cell.formula?.text ?? "";
      groupsElement.append(empty);
    }
    if (cell.pages > 1 + pagesTaken()) {
      const button = document.createElement("button");
      button.textContent = TEXT.moreTerms((cell.group_count ?? 0) - groups.length);
      button.addEventListener("click", takeMore);
      groupsElement.append(button);
    }
  }

  let taken = 0;
  const pagesTaken = () => (more.length ? taken : 0);

  async function takeMore() {
    if (paging) return;
    paging = true;
    const of = cell;
    const page = pagesTaken() + 1;
    try {
      const found = await api.cell(loaded.run.run, of.value, of.c, of.at, page);
      if (of !== cell) return;
      taken = page;
      more = [...more, ...found.groups];
      build();
      playback.reset(steps.length, steps.length - 1);
      drawStep(playback.index);
    } catch (problem) {
      const { message, kind } = problem;
      if (kind !== "stopped") say(message, "error");
    } finally {
      paging = false;
    }
  }

  /** A window: numbers × weights = products, one grid each. */
  function grids(group, g, scales) {
    const equation = document.createElement("div");
    equation.className = "equation";
    const weighted = group.terms.some((term) => term.weight !== null);
    const parts = weighted ? ["number", "weight", "product"] : ["number"];
    elements[g] = group.terms.map(() => []);
    parts.forEach((part, i) => {
      if (i) equation.append(sign(i === 1 ? "×" : "="));
      const grid = document.createElement("div");
      grid.className = "term-grid";
      grid.style.gridTemplateColumns = `repeat(${group.columns}, max-content)`;
      const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
      const room = (groupsElement.clientWidth || 640) / rem - 2 - (parts.length - 1) * 2.2;
      const side = Math.max(1.1, Math.min(3.6, room / (parts.length * group.columns) - 0.17));
      grid.style.setProperty("--side", `${side}rem`);
      grid.setAttribute("role", "group");
      grid.setAttribute("aria-label", TEXT.gridLabels[part]);
      group.terms.forEach((term, t) => {
        const can = part === "number" && term.operand;
        const box = document.createElement(can ? "button" : "span");
        box.className = "term";
        const pad = part !== "weight" && !term.operand;
        if (pad) box.classList.add("pad");
        const value = term[part];
        if (!pad) {
          const colour = cssColour(value, scales[part]);
          box.style.backgroundColor = colour;
          box.style.color = inkOn(colour);
        }
        box.textContent = side >= 2.75 ? tiny(value) : "";
        box.title = termText(term);
        if (term.winner) box.dataset.winner = "true";
        if (can) enterable(box, term, t);
        elements[g][t].push(box);
        grid.append(box);
      });
      equation.append(grid);
    });
    if (adds(cell.kind)) {
      const sum = plain("");
      sum.append(sign("Σ ="), ` ${number(group.sum, 4)}`);
      equation.append(sum);
    }
    return equation;
  }

  /** Terms one below the other, with bars. */
  function lines(group, g, low, high) {
    const list = document.createElement("div");
    list.className = "term-list";
    const end = Math.max(-low, high) || 1;
    elements[g] = group.terms.map((term, t) => {
      const line = document.createElement("div");
      line.className = "term-line";
      const open = document.createElement("button");
      open.textContent = term.operand ? placeText(term.operand) : TEXT.padding;
      open.disabled = !term.operand;
      if (term.operand) enterable(open, term, t);
      const weighted = term.weight !== null;
      const track = document.createElement("span");
      track.className = "track";
      const fill = document.createElement("span");
      fill.className = term.product < 0 ? "fill negative" : "fill";
      const share = (50 * Math.abs(term.product)) / end;
      fill.style.left = `${term.product < 0 ? 50 - share : 50}%`;
      fill.style.width = `${share}%`;
      track.append(fill);
      line.append(open, plain(number(term.number, 4)), sign(weighted ? "×" : ""), plain(weighted ? number(term.weight, 4) : ""), sign(weighted ? "=" : ""), plain(weighted ? number(term.product, 4) : ""), track);
      if (term.winner) line.dataset.winner = "true";
      list.append(line);
      return [line];
    });
    return list;
  }

  /** @param {HTMLElement} box @param {Term} term @param {number} _index */
  function enterable(box, term, _index) {
    const operand = term.operand;
    box.dataset.operand = `${operand.value}:${operand.c}:${operand.at.join(",")}`;
    box.setAttribute("aria-label", TEXT.stepInto(termText(term)));
    box.addEventListener("click", () => stepInto(operand));
    const shine = () => { if (operand.value !== "weight") light({ kind: "cell", value: operand.value, c: operand.c, y: operand.at[0], x: operand.at[1] }); };
    box.addEventListener("pointerenter", shine);
    box.addEventListener("pointerleave", () => light(null));
    box.addEventListener("focus", () => { if (box.matches(":focus-visible")) shine(); });
    box.addEventListener("blur", () => light(null));
  }

  /** @param {Term} term */
  function termText(term) {
    const place = term.operand ? placeText(term.operand) : TEXT.padding;
    return term.weight === null ? `${place}: ${number(term.number, 5)}` : `${place}: ${number(term.number, 5)} × ${number(term.weight, 5)} = ${number(term.product, 5)}`;
  }

  /** What is summed on pages that are not shown. */
  function restText() {
    if (groups[0]?.columns > 1) return TEXT.restOf(cell.group_count - groups.length);
    return TEXT.restTerms((cell.count ?? 0) - groups.reduce((sum, group) => sum + group.terms.length, 0));
  }

  /** Show a step: what is done, what is added now, the sum by then. @param {number} index */
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

  /** @param {import("./arithmetic.js").Step} step @param {number} index */
  function renderSums(step, index) {
    const rows = groups.length && (groups.length > 1 || cell.kind === "products") && adds(cell.kind) ? groups.map((group, g) => ({ text: group.title, value: group.sum, now: step.group === g })) : [];
    const rest = steps.find((one) => one.kind === "rest");
    const bias = steps.find((one) => one.kind === "bias");
    const notes = steps.filter((one) => one.kind === "line");
    if (rest) rows.push({ text: restText(), value: rest.number, now: step === rest });
    if (bias) rows.push({ text: TEXT.bias, value: bias.number, now: step === bias });
    for (const line of notes) rows.push({ text: line.title, value: line.number, now: step === line });
    const difference = Math.abs(real(cell.check?.difference));
    const close = difference <= 1e-4 * Math.max(1, Math.abs(real(cell.number)));
    render(html`
      <div><div class="muted small">${adds(cell.kind) ? TEXT.running : TEXT.result}</div><div class="running number" aria-live="off">${number(Number.isNaN(step.running) ? real(cell.number) : step.running, 6)}</div></div>
      <table><tbody>
        ${rows.map((row) => html`<tr data-now=${String(row.now)}><td>${row.text}</td><td class="number">${number(row.value, 5)}</td></tr>`)}
        <tr class="total" data-now=${String(step.kind === "result" && index > 0 && playback.playing)}><td>${cell.name}</td><td class="number">${number(real(cell.number), 6)}</td></tr>
        ${(cell.following ?? []).map((line) => html`<tr><td class="muted">${line.text}</td><td class="number">${number(real(line.number), 6)}</td></tr>`)}
      </tbody></table>
      ${cell.check ? html`<p class=${close ? "verdict good" : "verdict bad"}>${close ? TEXT.agrees : TEXT.differs} <span class="number">${number(difference, 2)}</span></p>` : nothing}`, sums);
  }

  /** @param {import("./arithmetic.js").Step} step @param {number} index */
  function renderFoot(step, index) {
    const { playing } = playback;
    const term = step.kind === "term" ? groups[step.group].terms[step.term] : null;
    const says = term ? termText(term) : step.kind === "rest" ? restText() : step.kind === "bias" ? TEXT.bias : step.kind === "line" ? step.title : TEXT.resultIs;
    render(html`
      <button class="icon" @click=${() => { playback.pause(); playback.seek(0); }} aria-label=${TEXT.toStart}>${icons.first}</button>
      <button class="icon" @click=${() => { playback.pause(); playback.seek(playback.index - 1); }} aria-label=${TEXT.stepBack}>${icons.back}</button>
      <button class="icon primary" @click=${() => (playing ? playback.pause() : playback.play())} aria-label=${playing ? TEXT.pause : TEXT.play}>${playing ? icons.pause : icons.play}</button>
      <button class="icon" @click=${() => { playback.pause(); playback.seek(playback.index + 1); }} aria-label=${TEXT.stepOn}>${icons.next}</button>
      <button class="icon" @click=${() => { playback.pause(); playback.seek(steps.length - 1); }} aria-label=${TEXT.toEnd}>${icons.last}</button>
      <input type="range" min="0" max=${Math.max(0, steps.length - 1)} step="1" .value=${String(index)} aria-label=${TEXT.scrubber} aria-valuetext=${says} @input=${(e) => { playback.pause(); playback.seek(Number(e.target.value)); }}>
      <label class="field"><span>${TEXT.speed}</span><select @change=${(e) => { playback.speed = Number(e.target.value); }}>${SPEEDS.map((speed) => html`<option value=${speed} ?selected=${speed === playback.speed}>${number(speed)}×</option>`)}</select></label>
      <span class="says"><span class="number muted">${index + 1} / ${steps.length}</span> <b>${says}</b></span>`, foot);
  }

  element.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select")) return;
    const focusable = [...groupsElement.querySelectorAll("button:not(:disabled)")];
    const at = focusable.indexOf(document.activeElement);
    const group = groups.find((one) => one.columns > 1);
    const keys = ({
      ",": () => { playback.pause(); playback.seek(playback.index - 1); },
      ".": () => { playback.pause(); playback.seek(playback.index + 1); },
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
      <span class="result number" role="status">${shown ? number(real(shown.number), 6) : html`<span class="spinner"></span>`}</span>
      ${shown ? html`<span class="muted small">${shown.operation ?? shown.kind}</span>${shown.formula?.mathml ? html`<span title=${shown.formula.text}>${formulaOf(shown)}</span>` : nothing}` : nothing}
      <span class="spread"></span>
      <button class="icon quiet" @click=${() => go({ at: null, step: null })} aria-label=${TEXT.closeNumber} title=${TEXT.closeNumber}>${icons.close}</button>`, head);
  }

  /** @type {WeakMap<any, Element>} */
  const formulas = new WeakMap();
  /** @param {any} found */
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

/** @param {NonNullable<Term["operand"]>} operand */
function placeText(operand) {
  return operand.value === "weight" ? operand.name ?? TEXT.weight : `${valueName(operand.value)} ${TEXT.cellShort(operand.c, operand.at)}`;
}

/** @param {string} text */
function sign(text) {
  const element = document.createElement("span");
  element.className = "sign";
  element.textContent = text;
  return element;
}

/** @param {string} text */
function plain(text) {
  const element = document.createElement("span");
  element.className = "number";
  element.textContent = text;
  return element;
}

