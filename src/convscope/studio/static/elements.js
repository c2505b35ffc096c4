/** Elements that are made by hand: where a template would be drawn too often. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * Return a new element.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 */
export function made(tag, className = "", text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}

/** Return whether a key is pressed with one that makes it a command of the browser; AltGr writes signs, as [ is on many keyboards. */
export const isCommand = (event) => event.metaKey || ((event.ctrlKey || event.altKey) && !event.getModifierState("AltGraph"));

/** Return a new element of a drawing, in a parent where one is given. */
export function shapeElement(name, attributes, parent) {
  const element = document.createElementNS(SVG, name);
  setAll(element, attributes);
  parent?.append(element);
  return element;
}

/** Set attributes of an element, those that are null left out. */
export function setAll(element, attributes) {
  for (const [key, value] of Object.entries(attributes)) if (value !== null) element.setAttribute(key, String(value));
}
