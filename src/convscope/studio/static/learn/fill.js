/** Numbers put in the place of their names in a text. */

/** Return a whole number with its thousands set apart, any other number in five digits. @param {any} value */
export function numberText(value) {
  if (typeof value !== "number") return String(value);
  const size = Math.abs(value);
  const plain = grouped(Number.isInteger(value) ? String(BigInt(size)) : String(Number(size.toPrecision(5))));
  return value < 0 ? `−${plain}` : plain;
}

function grouped(text) {
  const [whole, rest] = text.split(".");
  const set = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  return rest === undefined ? set : `${set}.${rest}`;
}

/** Return a text with numbers in the place of their names. @param {string} text @param {Object<string, any>} [values] */
export const filled = (text, values = {}) =>
  text.replace(/\{([\w-]+)\}/g, (whole, name) => (name in values ? numberText(values[name]) : whole));
