/** Projector mode: one step at a time, large, with a ring around the pointer. Key p; → and ← change the step; space, ↓ and ↑ scroll a long text first. */
import { made } from "convscope/elements";

const TYPED = "input:not([type='range']), textarea, select, [contenteditable]";
const MOVED = `${TYPED}, input, [role='application'], [role='slider']`;

/** @param {{here: () => boolean, step: (by: number) => void, changed: () => void}} how `here`: whether the room is shown */
export function createProjector({ here, step, changed }) {
  let on = false;
  const ring = made("div", "pointer-ring");
  ring.setAttribute("aria-hidden", "true");

  function set(to) {
    on = to;
    if (on) document.documentElement.dataset.projector = "true";
    else delete document.documentElement.dataset.projector;
    if (on) document.body.append(ring);
    else ring.remove();
    changed();
  }

  const columns = () => [...document.querySelectorAll(".lesson > .steps, .lesson > .widget")];

  /** Go to another step, from its beginning. @param {number} by */
  function go(by) {
    step(by);
    for (const each of columns()) each.scrollTop = 0;
  }

  /** Scroll the text of a step, or go on where there is no more of it. @param {number} by */
  function read(by) {
    const [steps] = columns();
    const left = by > 0 ? steps?.scrollHeight - steps?.clientHeight - steps?.scrollTop : steps?.scrollTop;
    if (left > 1) steps.scrollTop += by * 0.8 * steps.clientHeight;
    else go(by);
  }

  function pressed(event) {
    if (!here() || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const { target, key } = event;
    if (key === "p" && !target.closest(TYPED)) set(!on);
    else if (on && key === "Escape") set(false);
    else if (on && !target.closest(MOVED) && key === "ArrowRight") go(1);
    else if (on && !target.closest(MOVED) && key === "ArrowLeft") go(-1);
    else if (on && !target.closest(MOVED) && ["ArrowDown", "PageDown"].includes(key)) read(1);
    else if (on && !target.closest(`${MOVED}, button, a, summary`) && key === " ") read(1);
    else if (on && !target.closest(MOVED) && ["ArrowUp", "PageUp"].includes(key)) read(-1);
    else return;
    event.preventDefault();
  }

  // The size of the text follows the screen's height, which zooming the page divides: it is multiplied by it again.
  const unzoomed = devicePixelRatio;
  addEventListener("resize", () => document.documentElement.style.setProperty("--zoom", String(Math.max(1, devicePixelRatio / unzoomed))));
  addEventListener("keydown", pressed);
  addEventListener("pointermove", (event) => {
    if (!on) return;
    ring.style.left = `${event.clientX}px`;
    ring.style.top = `${event.clientY}px`;
  });
  return { get on() { return on; }, toggle: () => set(!on), end: () => { if (on) set(false); } };
}
