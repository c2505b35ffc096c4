/** Controls that the widgets share. */
import { html, nothing } from "lit-html";

let numbered = 0;

/**
 * A slider with its value as a number beside it; either can be typed in or moved.
 * @param {{label: string, value: number, low: number, high: number, step?: number, text?: string, change: (value: number) => void}} how
 */
export function slider({ label, value, low, high, step = 1, text = "", change }) {
  const take = (event) => {
    const asked = Number(event.target.value);
    if (event.target.value === "" || !Number.isFinite(asked)) return;
    change(Math.min(high, Math.max(low, Math.round(asked / step) * step)));
  };
  return html`<div class="slider"><label><span>${label}</span>
    <input type="range" min=${low} max=${high} step=${step} .value=${String(value)} aria-valuetext=${text || nothing} @input=${take}></label>
    <input type="number" aria-label=${label} min=${low} max=${high} step=${step} .value=${String(value)} @change=${(event) => { take(event); event.target.value = String(value); }}></div>`;
}

/**
 * One of several, side by side.
 * @template T
 * @param {{label: string, options: [T, string][], value: T, change: (value: T) => void, titled?: boolean}} how `titled`: the label is shown
 */
export function segments({ label, options, value, change, titled = false }) {
  const group = html`<div class="segments" role="group" aria-label=${label}>${options.map(([each, text]) => html`<button
    aria-pressed=${String(each === value)} @click=${() => change(each)}>${text}</button>`)}</div>`;
  return titled ? html`<div class="field titled"><span aria-hidden="true">${label}</span>${group}</div>` : group;
}

/** @param {{label: string, value: boolean, change: (value: boolean) => void}} how */
export const check = ({ label, value, change }) => html`<label class="field"><input type="checkbox" .checked=${value} @change=${(event) => change(event.target.checked)}><span>${label}</span></label>`;

/**
 * A choice from a list that says what it is of.
 * @param {{label: string, options: [string, string][], value: string, change: (value: string) => void}} how
 */
export function choice({ label, options, value, change }) {
  return html`<label class="field"><span>${label}</span><select @change=${(event) => change(event.target.value)}>${options.map(([each, text]) => html`<option
    value=${each} .selected=${each === value}>${text}</option>`)}</select></label>`;
}

/** Return an id that no other element has. @param {string} start */
export const ownId = (start) => `${start}-${(numbered += 1)}`;
