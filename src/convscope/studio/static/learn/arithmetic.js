/**
 * The arithmetic of the widgets, which have to answer a slider at once and in a copy of the course without a server. Nothing
 * else is computed in the page. A test compares every function with `geometry` and `reference` in Python.
 *
 * A window is `{kernel, stride, padding, dilation}` along one axis; padding is a number for both sides, or [before, after].
 * @typedef {{kernel: number, stride?: number, padding?: number|[number, number], dilation?: number}} Window
 * @typedef {number[][]} Grid
 */

const sides = ({ padding = 0 }) => (Array.isArray(padding) ? padding : [padding, padding]);

/** Return the pixels from a kernel's first tap to its last. @param {Window} window */
export const span = ({ kernel, dilation = 1 }) => dilation * (kernel - 1) + 1;

/** Return the padding on each side that keeps the size at stride 1. @param {number} kernel @param {number} [dilation] */
export const samePadding = (kernel, dilation = 1) => {
  const total = dilation * (kernel - 1);
  return /** @type {[number, number]} */ ([Math.floor(total / 2), total - Math.floor(total / 2)]);
};

/** @param {number} size @param {Window} window */
export const paddedSize = (size, window) => size + sides(window)[0] + sides(window)[1];

/** Return the output size; 0 where no window fits. @param {number} size @param {Window} window */
export function outputSize(size, window) {
  const room = paddedSize(size, window) - span(window);
  return room < 0 ? 0 : Math.floor(room / (window.stride ?? 1)) + 1;
}

/** Return what is left over of the padded axis behind the last window. @param {number} size @param {Window} window */
export const leftOver = (size, window) =>
  Math.max(0, paddedSize(size, window) - (outputSize(size, window) - 1) * (window.stride ?? 1) - span(window));

/** Return the positions that window number `index` reads, those in the padding too. @param {Window} window @param {number} index */
export function taps(window, index) {
  const { kernel, stride = 1, dilation = 1 } = window;
  return Array.from({ length: kernel }, (_, tap) => index * stride - sides(window)[0] + tap * dilation);
}

/** Return in how many windows each pixel lies. @param {number} size @param {Window} window */
export function useCounts(size, window) {
  const counts = new Array(size).fill(0);
  for (let index = 0; index < outputSize(size, window); index++) {
    for (const at of taps(window, index)) if (at >= 0 && at < size) counts[at] += 1;
  }
  return counts;
}

/** Return the output size of a transposed convolution; 0 where padding cuts all of it away. @param {number} size @param {Window} window */
export const transposedSize = (size, window) =>
  Math.max(0, (size - 1) * (window.stride ?? 1) + span(window) - sides(window)[0] - sides(window)[1]);

/** Return how many inputs are added to each output of a transposed convolution. @param {number} size @param {Window} window */
export function sumCounts(size, window) {
  const counts = new Array(transposedSize(size, window)).fill(0);
  for (let index = 0; index < size; index++) {
    for (const at of taps(window, index)) if (at >= 0 && at < counts.length) counts[at] += 1;
  }
  return counts;
}

/**
 * Return the products of a kernel with the window whose first tap is at (row, column), in rows, and their sum; what lies
 * outside the image is 0.
 * @param {Grid} image @param {Grid} kernel @param {number} row @param {number} column
 */
export function windowSum(image, kernel, row, column) {
  const terms = kernel.map((line, i) => line.map((weight, j) => {
    const pixel = image[row + i]?.[column + j] ?? 0;
    return { pixel, weight, product: pixel * weight };
  }));
  let sum = 0;
  for (const line of terms) for (const { product } of line) sum += product;
  return { terms, sum };
}

/** Return the map of an image under a kernel. @param {Grid} image @param {Grid} kernel @param {{stride?: number, padding?: number}} [how] */
export function mapOf(image, kernel, { stride = 1, padding = 0 } = {}) {
  const rows = outputSize(image.length, { kernel: kernel.length, stride, padding });
  const columns = outputSize(image[0].length, { kernel: kernel[0].length, stride, padding });
  const cell = (row, column) => windowSum(image, kernel, row * stride - padding, column * stride - padding).sum;
  return Array.from({ length: rows }, (_, row) => Array.from({ length: columns }, (__, column) => cell(row, column)));
}

/** Return a kernel turned by 180 degrees. @param {Grid} kernel */
export const turned = (kernel) => kernel.map((line) => [...line].reverse()).reverse();

/**
 * Return the receptive field after each layer of a stack, in pixels of the input: its size, the stride between neighbouring
 * fields, and where the first one starts.
 * @param {Window[]} layers
 */
export function folded(layers) {
  let [size, stride, start] = [1, 1, 0];
  return layers.map((layer) => {
    size += (span(layer) - 1) * stride;
    start -= sides(layer)[0] * stride;
    stride *= layer.stride ?? 1;
    return { size, stride, start };
  });
}

/**
 * Return from how many paths each cell reaches one cell behind the last layer, along one axis: an array for the input and for
 * each layer.
 * @param {Window[]} layers @param {number} size of the input @param {number} cell
 */
export function pathCounts(layers, size, cell) {
  const sizes = layers.reduce((found, layer) => [...found, outputSize(found[found.length - 1], layer)], [size]);
  const counts = sizes.map((length) => new Array(length).fill(0));
  counts[layers.length][cell] = 1;
  for (let level = layers.length; level > 0; level--) {
    counts[level].forEach((paths, index) => {
      if (paths) for (const at of taps(layers[level - 1], index)) if (at in counts[level - 1]) counts[level - 1][at] += paths;
    });
  }
  return counts;
}

/** Return weights, biases and MACs of a fully connected layer. @param {number} inputs @param {number} units */
export const linearCost = (inputs, units) => ({ weights: inputs * units, biases: units, macs: inputs * units });

/**
 * Return weights, biases and MACs of a convolution.
 * @param {{channels: number, filters: number, kernel: number, outputs: number, groups?: number}} layer `outputs`: positions
 *   of one map; groups divide the channels and the filters
 */
export function convolutionCost({ channels, filters, kernel, outputs, groups = 1 }) {
  const weights = filters * (channels / groups) * kernel * kernel;
  return { weights, biases: filters, macs: weights * outputs };
}
