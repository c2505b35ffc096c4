/** Texts of the course: numbers put in the place of their names, `code` and [links](#/...) in paragraphs. */
import { html } from "lit-html";

/** Return a whole number with its thousands set apart, any other number in five digits. @param {any} value */
export function numberText(value) {
  if (typeof value !== "number") return String(value);
  const size = Math.abs(value);
  const plain = Number.isInteger(value) ? grouped(String(BigInt(size))) : grouped(String(Number(size.toPrecision(5))));
  return value < 0 ? `−${plain}` : plain;
}

function grouped(text) {
  const [whole, rest] = text.split(".");
  const set = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  return rest === undefined ? set : `${set}.${rest}`;
}

/** Return a text with numbers in the place of their names. @param {string} text @param {Object<string, any>} [values] */
export const filled = (text, values = {}) =>
  text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? numberText(values[name]) : whole));

/** Return a paragraph's parts: text, `code` and [links](#/...). @param {string} text */
export function prose(text) {
  return text.split(/(`[^`]*`|\[[^\]]*\]\(#\/[^)\s]*\))/).map((part) => {
    if (part.startsWith("`") && part.length > 1) return html`<code>${part.slice(1, -1)}</code>`;
    const link = /^\[([^\]]*)\]\((#\/[^)\s]*)\)$/.exec(part);
    return link ? html`<a href=${link[2]}>${link[1]}</a>` : part;
  });
}
