/** One axis of a stack: a row of cells for each layer, the cells that lead to the chosen one in colour. */
import { made, shapeElement } from "convscope/elements";

const WIDTH = 640;
const HEIGHT = 26; // of a layer's row
const NAMES = 118;

export function createAxisDrawing() {
  const element = made("div", "axis-drawing");
  const svg = shapeElement("svg", { "aria-hidden": "true" }, element);
  element.setAttribute("role", "img");

  return {
    element,
    /**
     * @param {{levels: number[][], names: string[], label: string}} now `levels`: of each layer, the image first, the number
     *   of paths from each of its cells to the chosen one
     */
    update({ levels, names, label }) {
      element.setAttribute("aria-label", label);
      svg.setAttribute("viewBox", `0 0 ${WIDTH} ${levels.length * HEIGHT}`);
      svg.replaceChildren();
      levels.forEach((counts, level) => {
        const y = (levels.length - 1 - level) * HEIGHT;
        const wide = (WIDTH - NAMES) / counts.length;
        const name = shapeElement("text", { x: NAMES - 8, y: y + HEIGHT / 2, class: "axis-name" }, svg);
        name.textContent = names[level];
        shapeElement("rect", { x: NAMES, y: y + 4, width: WIDTH - NAMES, height: HEIGHT - 8, class: "axis-row" }, svg);
        const most = Math.max(...counts);
        counts.forEach((count, at) => {
          if (!count) return;
          const rect = shapeElement("rect", { x: NAMES + at * wide, y: y + 4, width: Math.max(1, wide - (wide > 4 ? 1 : 0)), height: HEIGHT - 8, class: "axis-cell" }, svg);
          rect.setAttribute("fill-opacity", String(0.35 + (0.65 * count) / most));
        });
      });
    },
  };
}
