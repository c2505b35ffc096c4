/** One axis of a stack: a row of cells for each layer, the cells that lead to the chosen one in colour. */
import { made, shapeElement } from "convscope/elements";
import { fittedWidth } from "convscope/learn/fitted_width";

const WIDTHS = [280, 640];
const [ROW, SHORT_ROW, MANY] = [26, 18, 8]; // height of a layer's row, and of one of many
const GAP = 4; // above and below what is drawn in a row
const NAMES = 118;

/** @param {() => void} changed called when the drawing is to be made for another width */
export function createAxisDrawing(changed) {
  const element = made("div", "axis-drawing");
  const svg = shapeElement("svg", { "aria-hidden": "true" }, element);
  element.setAttribute("role", "img");
  const width = fittedWidth(element, changed, WIDTHS);

  return {
    element,
    /**
     * @param {{levels: number[][], names: string[], label: string}} now `levels`: of each layer, the image first, the number
     *   of paths from each of its cells to the chosen one
     */
    update({ levels, names, label }) {
      element.setAttribute("aria-label", label);
      const whole = width();
      const high = levels.length > MANY ? SHORT_ROW : ROW;
      svg.setAttribute("viewBox", `0 0 ${whole} ${levels.length * high}`);
      svg.replaceChildren();
      levels.forEach((counts, level) => {
        const y = (levels.length - 1 - level) * high;
        const wide = (whole - NAMES) / counts.length;
        const name = shapeElement("text", { x: NAMES - 8, y: y + high / 2, class: "axis-name" }, svg);
        name.textContent = names[level];
        shapeElement("rect", { x: NAMES, y: y + GAP, width: whole - NAMES, height: high - 2 * GAP, class: "axis-row" }, svg);
        const most = Math.max(...counts);
        counts.forEach((count, at) => {
          if (!count) return;
          const rect = shapeElement("rect", { x: NAMES + at * wide, y: y + GAP, width: Math.max(1, wide - (wide > 4 ? 1 : 0)), height: high - 2 * GAP, class: "axis-cell" }, svg);
          rect.setAttribute("fill-opacity", String(0.35 + (0.65 * count) / most));
        });
      });
    },
  };
}
