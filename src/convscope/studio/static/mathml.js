/** Formulas that Python wrote as MathML, built element by element from a list of permitted names. */
import { made } from "convscope/elements";

const NAMESPACE = "http://www.w3.org/1998/Math/MathML";
const ELEMENTS = new Set("math mrow mi mn mo mtext mfrac msqrt msub msup munder".split(" "));

/**
 * Return a formula's element; its text where the markup is not MathML or not permitted.
 * @param {{mathml?: string|null, text?: string}} formula
 */
export function formulaElement({ mathml, text = "" }) {
  const root = mathml ? new DOMParser().parseFromString(mathml, "application/xml").documentElement : null;
  const built = root && root.localName === "math" ? copied(root) : null;
  if (built) {
    if (text) built.setAttribute("aria-label", text);
    return built;
  }
  return made("span", "", text);
}

function copied(source) {
  if (!ELEMENTS.has(source.localName)) return null;
  const element = document.createElementNS(NAMESPACE, source.localName);
  const display = source.getAttribute("display");
  if (display) element.setAttribute("display", display);
  for (const child of source.childNodes) {
    if (child.nodeType === Node.TEXT_NODE) element.append(document.createTextNode(child.nodeValue ?? ""));
    if (child.nodeType !== Node.ELEMENT_NODE) continue;
    const inner = copied(child);
    if (inner) element.append(inner);
  }
  return element;
}
