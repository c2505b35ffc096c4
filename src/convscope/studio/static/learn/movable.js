/** A picture that is moved by dragging it or with the arrow keys. */
import { createHeat } from "convscope/learn/heat";

const FAR = 4; // cells that Shift with an arrow key moves by

/** @param {{move: (dy: number, dx: number) => void}} how `move` gets the number of cells by which the picture is to move */
export function createMovable({ move }) {
  const heat = createHeat({});
  const { element } = heat;
  let shown = { rows: 1, columns: 1 };
  let from = null;
  element.classList.add("movable");
  element.tabIndex = 0;
  element.setAttribute("role", "application");

  element.addEventListener("pointerdown", (event) => {
    element.setPointerCapture(event.pointerId);
    from = [event.clientY, event.clientX];
  });
  element.addEventListener("pointermove", (event) => {
    if (!from || !event.buttons) return;
    const box = element.getBoundingClientRect();
    const dy = Math.trunc(((event.clientY - from[0]) / box.height) * shown.rows);
    const dx = Math.trunc(((event.clientX - from[1]) / box.width) * shown.columns);
    if (!dy && !dx) return;
    from = [from[0] + (dy * box.height) / shown.rows, from[1] + (dx * box.width) / shown.columns];
    move(dy, dx);
  });
  element.addEventListener("pointerup", () => { from = null; });
  element.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const by = event.shiftKey ? FAR : 1;
    const to = { ArrowUp: [-by, 0], ArrowDown: [by, 0], ArrowLeft: [0, -by], ArrowRight: [0, by] }[event.key];
    if (!to) return;
    event.preventDefault();
    event.stopPropagation();
    move(to[0], to[1]);
  });

  return {
    element,
    /** @param {any} now as `createHeat` takes it */
    update(now) {
      shown = now;
      heat.update(now);
      element.setAttribute("role", "application");
    },
  };
}
