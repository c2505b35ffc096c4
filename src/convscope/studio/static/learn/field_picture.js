/** A picture with the receptive field of one cell on it; the cell is chosen with the pointer or the arrow keys. */
import { made } from "convscope/elements";

const SIDE = 384; // of the canvas, in pixels
const FAR = 4; // cells that Shift with an arrow key moves by

/** @param {{room: any, move: (row: number, column: number) => void}} how */
export function createFieldPicture({ room, move }) {
  const element = made("div", "heat field-picture");
  const canvas = made("canvas");
  canvas.width = canvas.height = SIDE;
  canvas.setAttribute("aria-hidden", "true");
  const frame = made("div", "heat-window");
  element.append(canvas, frame);
  element.tabIndex = 0;
  element.setAttribute("role", "application");
  /** @type {CanvasImageSource|null} */
  let source = null;
  let shown = null;

  room.optional.record("shifted-predictions", { picture: "0" }).then((found) => {
    if (source) return;
    const pixels = Uint8Array.from(atob(found.pixels), (character) => character.charCodeAt(0));
    const drawn = made("canvas");
    drawn.width = drawn.height = found.side - 2 * found.margin;
    const image = new ImageData(found.side, found.side);
    for (let at = 0; at < found.side ** 2; at += 1) image.data.set([pixels[3 * at], pixels[3 * at + 1], pixels[3 * at + 2], 255], 4 * at);
    drawn.getContext("2d").putImageData(image, -found.margin, -found.margin);
    source = drawn;
    if (shown) update(shown);
  }, () => {}); // without it the fields are shown on grey

  function go(row, column) {
    if (!shown) return;
    const within = (at) => Math.max(0, Math.min(shown.cells - 1, at));
    move(within(row), within(column));
  }

  function pointed(event) {
    const box = element.getBoundingClientRect();
    go(Math.floor(((event.clientY - box.top) / box.height) * shown.cells), Math.floor(((event.clientX - box.left) / box.width) * shown.cells));
  }
  element.addEventListener("pointerdown", (event) => {
    element.setPointerCapture(event.pointerId);
    pointed(event);
  });
  element.addEventListener("pointermove", (event) => { if (event.buttons) pointed(event); });
  element.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !shown) return;
    const by = event.shiftKey ? FAR : 1;
    const to = { ArrowUp: [-by, 0], ArrowDown: [by, 0], ArrowLeft: [0, -by], ArrowRight: [0, by] }[event.key];
    if (!to) return;
    event.preventDefault();
    event.stopPropagation();
    go(shown.cell[0] + to[0], shown.cell[1] + to[1]);
  });

  /** Darken what is outside the field, or each pixel by its number of paths. */
  function shade(ink, { size, field, counts }) {
    const pixels = ink.getImageData(0, 0, SIDE, SIDE);
    const pixelAt = (place) => Math.floor((place * size) / SIDE);
    const most = counts?.map((each) => Math.max(...each));
    /** Along one axis; the two of a pixel are multiplied. */
    const share = (axis, place) => {
      const at = pixelAt(place);
      if (counts) return Math.sqrt(counts[axis][at] / most[axis]);
      return at >= field[axis][0] && at <= field[axis][1] ? 1 : 0;
    };
    const columns = Array.from({ length: SIDE }, (_, place) => share(1, place));
    for (let row = 0; row < SIDE; row += 1) {
      const down = share(0, row);
      for (let column = 0; column < SIDE; column += 1) {
        const light = 0.35 + 0.65 * down * columns[column];
        const at = 4 * (row * SIDE + column);
        for (let channel = 0; channel < 3; channel += 1) pixels.data[at + channel] *= light;
      }
    }
    ink.putImageData(pixels, 0, 0);
  }

  /**
   * @param {{size: number, cells: number, cell: [number, number], field: number[][], counts: number[][]|null, label: string}} now
   *   `field`: first and last pixel along each axis, which may be outside
   */
  function update(now) {
    shown = now;
    element.setAttribute("aria-label", now.label);
    const ink = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { willReadFrequently: true }));
    ink.fillStyle = "#888";
    ink.fillRect(0, 0, SIDE, SIDE);
    if (source) {
      const [wide, high] = [/** @type {any} */ (source).width, /** @type {any} */ (source).height];
      const side = Math.min(wide, high);
      ink.drawImage(source, (wide - side) / 2, (high - side) / 2, side, side, 0, 0, SIDE, SIDE);
    }
    shade(ink, now);
    const [top, left] = now.field.map(([first]) => Math.max(0, first));
    const [bottom, right] = now.field.map(([, last]) => Math.min(now.size - 1, last));
    const share = (value) => `${(100 * value) / now.size}%`;
    Object.assign(frame.style, { top: share(top), left: share(left), height: share(bottom - top + 1), width: share(right - left + 1) });
  }

  return { element, update, /** @param {CanvasImageSource} bitmap */ photo(bitmap) { source = bitmap; } };
}
