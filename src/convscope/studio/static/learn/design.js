/** The design task, judged as `exercises/chapters/design.py` judges it: any stack that meets the requirements is right. */
import { folded, outputSize } from "convscope/learn/arithmetic";

/** @typedef {{kernel: number, stride: number, padding: number, dilation?: number, pooling?: boolean}} DesignLayer */

/** @param {string} name "3" or "3/2", kernel and stride of a convolution; "p" a 2x2 pooling of stride 2 @returns {DesignLayer} */
function layerOf(name) {
  if (name === "p") return { kernel: 2, stride: 2, padding: 0, pooling: true };
  const [kernel, stride = 1] = name.split("/").map(Number);
  return { kernel, stride, padding: Math.floor(kernel / 2), pooling: false };
}

/**
 * Return which requirement a design misses, or which wrong rule it follows, with its numbers; null where it is right.
 * @param {string[]} names @param {Object<string, number>} limits side, smallest, largest, cells, most
 * @param {(name: string) => DesignLayer} [read] the layer of a name, where there are other names than the exercise's
 * @returns {{name: string, values: Object<string, number>}|null}
 */
export function judge(names, { side, smallest, largest, cells, most }, read = layerOf) {
  if (names.length > most) return { name: "many", values: { count: names.length } };
  const layers = names.map(read);
  let last = side;
  for (const layer of layers) last = last && outputSize(last, layer);
  if (last < cells) return { name: "vanishes", values: { last } };
  const fields = folded(layers);
  const field = fields[fields.length - 1].size;
  const strided = fields.findIndex((one) => one.stride > 1);
  const early = strided < 0 ? fields : fields.slice(0, strided);
  const first = Math.max(1, ...early.map((one) => one.size));
  const doubled = doubledField(layers);
  const values = { field, first, last, doubled, count: names.length };
  if (field >= largest) return first > smallest ? { name: "late", values } : null;
  if (layers.every((layer) => layer.stride === 1)) return { name: "no-pool", values };
  return { name: doubled >= largest ? "doubled" : "small", values };
}

/** Return the field by the wrong rule that a pooling doubles it. */
function doubledField(layers) {
  let [size, jump] = [1, 1];
  for (const { kernel, stride, dilation = 1, pooling } of layers) {
    size = pooling ? size * stride : size + dilation * (kernel - 1) * jump;
    jump *= stride;
  }
  return size;
}
