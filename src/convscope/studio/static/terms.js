/** The terms of a worked number: grids of a window, or lines with bars; each leads to its operand. */
import { cssColour, inkOn } from "convscope/atlas";
import { made } from "convscope/elements";
import { light } from "convscope/light";
import { go, link, loaded, say, view } from "convscope/store";
import { TEXT } from "convscope/strings";
import { number, real, tiny } from "convscope/units";

/**
 * @typedef {{operand: {value: string, c: number, at: number[], name?: string}|null, weight: number|null, number: number, product: number, running?: number, winner?: boolean}} Term
 * @typedef {{title: string, terms: Term[], sum: number, columns: number, value: string, channel: number|null, box: number[]|null}} Group
 */

/** Return a group with its numbers as such: JSON has texts for NaN and the infinities. @returns {Group} */
export const readable = (group) => ({
  ...group,
  sum: real(group.sum),
  terms: group.terms.map((term) => ({ ...term, number: real(term.number), product: real(term.product), weight: term.weight === null ? null : real(term.weight) })),
});

/** Return the name of a value on the page. */
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

/**
 * A window: numbers × weights = products, one grid each; its element, and those of each term.
 * @param {Group} group @param {boolean} adds whether the terms are added up @param {Object<string, import("./atlas.js").Scale>} scales
 * @param {number} side of a cell, in rem @param {boolean} weighted whether the terms have weights
 */
export function windowTerms(group, adds, scales, side, weighted) {
  const equation = made("div", "equation");
  const parts = weighted ? ["number", "weight", "product"] : ["number"];
  const elements = group.terms.map(() => []);
  parts.forEach((part, i) => {
    if (i) equation.append(sign(i === 1 ? "×" : "="));
    const grid = made("div", "term-grid");
    grid.style.gridTemplateColumns = `repeat(${group.columns}, max-content)`;
    grid.style.setProperty("--side", `${side}rem`);
    grid.setAttribute("role", "group");
    grid.setAttribute("aria-label", TEXT.gridLabels[part]);
    group.terms.forEach((term, t) => {
      const can = part === "number" && term.operand;
      const pad = part !== "weight" && !term.operand;
      const box = made(can ? "button" : "span", pad ? "term pad" : "term");
      const value = term[part];
      if (!pad) {
        const colour = cssColour(value, scales[part]);
        box.style.backgroundColor = colour;
        box.style.color = inkOn(colour);
      }
      box.textContent = side >= 2.75 ? tiny(value) : "";
      box.title = termText(term);
      if (term.winner) box.dataset.winner = "true";
      if (can) enterable(box, term);
      elements[t].push(box);
      grid.append(box);
    });
    equation.append(grid);
  });
  if (adds) {
    const sum = plain("");
    sum.append(sign("Σ ="), ` ${number(group.sum, 4)}`);
    equation.append(sum);
  }
  return { element: equation, elements };
}

/** Terms one below the other, with bars; their element, and those of each. @param {Group} group */
export function listedTerms(group, low, high) {
  const list = made("div", "term-list");
  const end = Math.max(-low, high) || 1;
  const elements = group.terms.map((term) => {
    const line = made("div", "term-line");
    const open = made("button", "", term.operand ? placeText(term.operand) : TEXT.padding);
    open.disabled = !term.operand;
    if (term.operand) enterable(open, term);
    const weighted = term.weight !== null;
    const track = made("span", "track");
    const fill = made("span", term.product < 0 ? "fill negative" : "fill");
    const share = (50 * Math.abs(term.product)) / end;
    fill.style.left = `${term.product < 0 ? 50 - share : 50}%`;
    fill.style.width = `${share}%`;
    track.append(fill);
    line.append(open, plain(number(term.number, 4)), sign(weighted ? "×" : ""), plain(weighted ? number(term.weight, 4) : ""), sign(weighted ? "=" : ""), plain(weighted ? number(term.product, 4) : ""), track);
    if (term.winner) line.dataset.winner = "true";
    list.append(line);
    return [line];
  });
  return { element: list, elements };
}

/** Let a press step into a term, and light what it reads. @param {Term} term */
function enterable(box, term) {
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

export function termText(term) {
  const place = term.operand ? placeText(term.operand) : TEXT.padding;
  return term.weight === null ? `${place}: ${number(term.number, 5)}` : `${place}: ${number(term.number, 5)} × ${number(term.weight, 5)} = ${number(term.product, 5)}`;
}

function placeText(operand) {
  return operand.value === "weight" ? operand.name ?? TEXT.weight : `${valueName(operand.value)} ${TEXT.cellShort(operand.c, operand.at)}`;
}

const sign = (text) => made("span", "sign", text);

const plain = (text) => made("span", "number", text);
