/** Elements that are made by hand: where a template would be drawn too often. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * Return a new element.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag @param {string} [className] @param {string} [text]
 */
export function made(tag, className = "", text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}

/** Return a new element of a drawing, in a parent where one is given. @param {string} name @param {Object<string, any>} attributes @param {Element} [parent] */
export function shapeElement(name, attributes, parent) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) if (value !== null) element.setAttribute(key, String(value));
  parent?.append(element);
  return element;
}
