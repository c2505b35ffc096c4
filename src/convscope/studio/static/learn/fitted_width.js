/** The width of a drawing, so that its text has the size of the page's at any width of the window. */

/**
 * Return a function that gives the width to draw an element in: its own, within limits.
 * @param {Element} element @param {() => void} changed called when the width is another one
 * @param {number[]} limits least and most, in pixels
 */
export function fittedWidth(element, changed, [least, most]) {
  let width = most;
  new ResizeObserver(([entry]) => {
    const found = Math.max(least, Math.min(most, Math.round(entry.contentRect.width)));
    if (found === width) return;
    width = found;
    changed();
  }).observe(element);
  return () => width;
}
