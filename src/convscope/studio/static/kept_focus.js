/** The keyboard's focus: where what has it is taken away, what is nearest gets it, so that Tab goes on from there. */

const SOON = 150; // ms in which most changes are drawn
/** What had the focus last, and what that was in, the innermost first. @type {any[]} */
let path = [];
let title = "";

/** What can't have the focus, whatever its tabIndex is. */
const NEVER = ":disabled, a:not([href], [tabindex])";
const there = (element) => element.getClientRects().length > 0 && !element.matches(NEVER) && getComputedStyle(element).visibility === "visible";
const isLost = () => document.activeElement === document.body || !there(document.activeElement);

/** Pass a lost focus on: to the heading of another page, else to the first control of what is around. */
function passOn() {
  if (!path.length || !isLost() || there(path[0])) return;
  let next = document.title === title ? null : document.querySelector("h1");
  for (const around of path.filter(there)) next ??= [...around.querySelectorAll("*")].find((one) => one.tabIndex >= 0 && there(one));
  next?.focus({ preventScroll: true });
}

/** Begin to pass a lost focus on. */
export function keepFocus() {
  addEventListener("focusin", ({ target }) => {
    [path, title] = [[], document.title];
    for (let element = target; element; element = element.parentElement) path.push(element);
  });
  // A press beside all controls takes the focus away for good.
  addEventListener("focusout", ({ target }) => setTimeout(() => { if (isLost() && there(target)) path = []; }));
  for (const kind of ["click", "keydown", "change"]) addEventListener(kind, () => setTimeout(passOn, SOON));
}
