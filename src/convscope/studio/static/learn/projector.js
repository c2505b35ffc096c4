/** Projector mode: one step at a time, large, with a ring around the pointer. Key p; space and the arrow keys go on. */
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

  function pressed(event) {
    if (!here() || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const { target, key } = event;
    if (key === "p" && !target.closest(TYPED)) set(!on);
    else if (on && key === "Escape") set(false);
    else if (on && !target.closest(MOVED) && ["ArrowRight", "ArrowDown", "PageDown"].includes(key)) step(1);
    else if (on && !target.closest(`${MOVED}, button, a, summary`) && key === " ") step(1);
    else if (on && !target.closest(MOVED) && ["ArrowLeft", "ArrowUp", "PageUp"].includes(key)) step(-1);
    else return;
    event.preventDefault();
  }

  addEventListener("keydown", pressed);
  addEventListener("pointermove", (event) => {
    if (!on) return;
    ring.style.left = `${event.clientX}px`;
    ring.style.top = `${event.clientY}px`;
  });
  return { get on() { return on; }, toggle: () => set(!on), end: () => { if (on) set(false); } };
}
