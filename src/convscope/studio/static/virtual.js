/** Long lists: only the rows in view are in the document. */
import { made } from "convscope/elements";

/**
 * Return the rows to draw of a list of rows of equal height: those in view and some around them.
 * @param {{count: number, row: number, top: number, height: number, extra?: number}} list
 * @returns {{first: number, last: number}} `last` is not drawn
 */
export function visible({ count, row, top, height, extra = 8 }) {
  const first = Math.max(0, Math.min(count, Math.floor(top / row) - extra));
  const last = Math.min(count, Math.ceil((top + height) / row) + extra);
  return { first, last: Math.max(first, last) };
}

/**
 * Return where a list must be scrolled so that a row is in view; its present place where the row is.
 * @param {{index: number, row: number, top: number, height: number}} place
 */
export function scrolledTo({ index, row, top, height }) {
  if (index * row < top) return index * row;
  if ((index + 1) * row > top + height) return (index + 1) * row - height;
  return top;
}

/** A list that keeps the rows in view in the document, and reuses their elements while it is scrolled. */
export class VirtualList {
  /**
   * @param {HTMLElement} scroller the element that scrolls; it becomes the list's box
   * @param {{row: number, make: () => HTMLElement, fill: (element: HTMLElement, index: number) => void}} options
   *   the height of a row in px, what makes an empty row, what fills it
   */
  constructor(scroller, { row, make, fill }) {
    this.scroller = scroller;
    this.row = row;
    this.make = make;
    this.fill = fill;
    this.count = 0;
    // Where it is scrolled to and how high it is, so that neither is asked of a page that is not laid out yet.
    this.top = 0;
    this.height = 0;
    this.awaited = -1; // a row that is to be in view once the height is known
    /** @type {Map<number, HTMLElement>} */
    this.shown = new Map();
    this.space = made("div", "virtual-space");
    this.space.setAttribute("role", "presentation");
    scroller.append(this.space);
    const moved = () => {
      this.top = scroller.scrollTop;
      this.height = scroller.clientHeight;
      this.draw();
      if (this.height && this.awaited >= 0) this.show(this.awaited);
    };
    scroller.addEventListener("scroll", moved, { passive: true });
    new ResizeObserver(moved).observe(scroller);
  }

  /** Redraw a list of this number of rows. */
  update(count) {
    this.count = count;
    this.space.style.height = `${count * this.row}px`;
    this.top = Math.max(0, Math.min(this.top, count * this.row - this.height)); // as the browser moves it
    this.draw(true);
  }

  /** Put the rows in view into the document. @param {boolean} [again] fill rows that are there already */
  draw(again = false) {
    const { first, last } = visible({ count: this.count, row: this.row, top: this.top, height: this.height || 600 });
    const free = [];
    for (const [index, element] of this.shown) {
      if (index < first || index >= last) {
        free.push(element);
        this.shown.delete(index);
      } else if (again) this.place(element, index);
    }
    for (let index = first; index < last; index += 1) {
      if (this.shown.has(index)) continue;
      const element = free.pop() ?? this.space.appendChild(this.make());
      this.place(element, index);
      this.shown.set(index, element);
    }
    for (const element of free) element.remove();
  }

  /** Put a row where it belongs, and fill it. */
  place(element, index) {
    element.style.transform = `translateY(${index * this.row}px)`;
    this.fill(element, index);
  }

  show(index) {
    this.awaited = this.height ? -1 : index;
    if (!this.height) return;
    const to = scrolledTo({ index, row: this.row, top: this.top, height: this.height });
    if (to === this.top) return;
    this.scroller.scrollTop = to;
    this.top = this.scroller.scrollTop;
    this.draw();
  }
}
