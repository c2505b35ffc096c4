/** Numbers put in the place of their names in a text. */

const RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹";

/** Return a power of ten: -9 -> "10⁻⁹". @param {number} power */
export const powerOfTen = (power) => `10${power < 0 ? "⁻" : ""}${[...String(Math.abs(power))].map((digit) => RAISED[Number(digit)]).join("")}`;

/** Return a number's text with its exponent as a power of ten: "1.5e−5" -> "1.5 × 10⁻⁵". @param {string} text */
export const scientific = (text) => text.replace(/e([+−-]?\d+)$/, (_, power) => ` × ${powerOfTen(Number(power.replace("−", "-")))}`);

/** Return a whole number with its thousands set apart, any other number in five digits, a small one with a power of ten. @param {any} value */
export function numberText(value) {
  if (typeof value !== "number") return String(value);
  const size = Math.abs(value);
  const rounded = Number(size.toPrecision(5));
  const plain = size && size < 1e-4 ? scientific(rounded.toExponential()) : grouped(Number.isInteger(value) ? String(BigInt(size)) : String(rounded));
  return value < 0 ? `−${plain}` : plain;
}

function grouped(text) {
  const [whole, rest] = text.split(".");
  const set = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  return rest === undefined ? set : `${set}.${rest}`;
}

/** Return sizes along the axes, one where they are equal: [32, null] -> "32×–". @param {(number|null)[]} sizes */
export const along = (sizes) => (sizes.every((each) => each === sizes[0]) ? sizes.slice(0, 1) : sizes).map((each) => (each === null ? "–" : numberText(each))).join("×");

/** Return a text with numbers in the place of their names. @param {string} text @param {Object<string, any>} [values] */
export const filled = (text, values = {}) =>
  text.replace(/\{([\w-]+)\}/g, (whole, name) => (name in values ? numberText(values[name]) : whole));
