/** Where a worked number reads: the map of its operands, and the window on it. */
import * as api from "convscope/api";
import { endsOf, paintNumbers, scaleOf } from "convscope/atlas";
import { made } from "convscope/elements";
import { placed } from "convscope/light";
import { floats } from "convscope/packet";
import { link, loaded } from "convscope/store";
import { TEXT } from "convscope/strings";
import { range } from "convscope/units";
import { valueName } from "convscope/terms";

const LARGEST = 40; // cells of a side that are shown whole
const AROUND = 4; // times the window that is shown of a larger map

/** @type {Map<string, Promise<{numbers: Float32Array, height: number, width: number}>>} */
const channels = new Map();

/** Return a channel's exact numbers; kept. */
function numbersOf(run, value, channel) {
  const key = [run, value, channel].join("\n");
  const known = channels.get(key);
  if (known) return known;
  const found = api.values(run, value, channel).then((packet) => {
    const [height = 1, width = 1] = packet.header.shape.slice(-2);
    return { numbers: floats(packet), height, width };
  });
  channels.set(key, found);
  found.catch(() => channels.delete(key));
  if (channels.size > 48) channels.delete((channels.keys().next().value));
  return found;
}

export function createSource() {
  const element = made("figure", "source");
  const picture = made("div", "picture");
  const inner = made("div", "inner");
  const canvas = made("canvas");
  const window_ = made("div", "spot window");
  const tap = made("div", "spot tap");
  inner.append(canvas, window_, tap);
  picture.append(inner);
  const caption = made("figcaption");
  element.append(picture, caption);
  let drawn = "";
  let asked = 0;
  let shown = 0; // the newest of those asked for that is shown

  /** Put a spot on the map. @param {number[]|null} box y0, x0, y1, x1 */
  function put(spot, box, height, width) {
    spot.hidden = !box;
    if (box) placed(spot, box, height, width);
  }

  return {
    element,
    /**
     * Show where terms are read.
     * @param {import("./terms.js").Group|undefined} group @param {import("./terms.js").Term|null} term
     */
    async show(cell, group, term) {
      const mine = (asked += 1);
      const value = group?.value;
      const run = loaded.run?.run;
      const channel = term?.operand?.c ?? group?.channel ?? 0;
      element.hidden = !value || value === "weight" || !run;
      if (element.hidden) {
        shown = mine;
        return;
      }
      const wanted = [run, value, channel, cell.value, cell.at, cell.c].join("\n");
      const found = await numbersOf(run, value, channel).catch(() => null);
      // While steps play, what comes late is shown, but never after what was asked for later.
      if (mine < shown) return;
      shown = mine;
      element.hidden = !found;
      if (!found) return;
      const { height, width } = found;
      element.hidden = height * width === 1; // a number of a vector has no place to show
      if (element.hidden) return;
      if (drawn !== wanted) {
        drawn = wanted;
        paintNumbers(canvas, found.numbers, height, width, scaleOf(...endsOf(found.numbers), value === "input" ? "grey" : link().colours));
      }
      const box = cell.placement?.value === value ? cell.placement.box : group?.box ?? null;
      const view = viewOf(box, height, width);
      picture.style.aspectRatio = `${view[3] - view[1]} / ${view[2] - view[0]}`;
      placed(inner, [-view[0], -view[1], height - view[0], width - view[1]], view[2] - view[0], view[3] - view[1]);
      put(window_, box, height, width);
      const at = term?.operand?.at;
      put(tap, at ? [at[0], at[1], at[0] + 1, at[1] + 1] : null, height, width);
      caption.textContent = box ? TEXT.readsWindow(valueName(value), channel, range(box[0], box[2] - 1), range(box[1], box[3] - 1), height, width) : "";
    },
  };
}

/** Return what is shown of a map: all of a small one, else the window and what is around it. */
function viewOf(box, height, width) {
  if (!box) return [0, 0, height, width];
  const margin = [Math.min(0, box[0]), Math.min(0, box[1]), Math.max(height, box[2]), Math.max(width, box[3])];
  if (Math.max(height, width) <= LARGEST) return margin;
  const side = Math.min(Math.max(height, width), Math.max(16, AROUND * Math.max(box[2] - box[0], box[3] - box[1])));
  const y = Math.max(margin[0], Math.min(Math.round((box[0] + box[2] - side) / 2), margin[2] - side));
  const x = Math.max(margin[1], Math.min(Math.round((box[1] + box[3] - side) / 2), margin[3] - side));
  return [y, x, y + side, x + side];
}
