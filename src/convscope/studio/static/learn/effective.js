/** Chapter 6: the fields of a trained network's layers by number of paths, and by gradients before and after training. */
import { html } from "lit-html";
import { colourTable } from "convscope/atlas";
import { slider } from "convscope/learn/controls";
import { createHeat } from "convscope/learn/heat";

const KINDS = ["paths", "initial", "trained"];

/** @param {any} room */
export function createEffective(room) {
  const { texts, filled } = room;
  let record = null;
  let asked = false;
  let at = -1;
  const heats = Object.fromEntries(KINDS.map((kind) => [kind, createHeat({})]));
  const table = colourTable("cividis");

  function ask() {
    if (asked) return;
    asked = true;
    room.record("effective-fields").then((found) => {
      record = found;
      at = found.layers.length - 1;
      room.changed();
    }, () => { asked = false; });
  }

  const valuesOf = (layer, kind) => ({ ...layer.sizes[kind], size: layer.size, layer: layer.layer, name: texts[`by-${kind}`] });

  function choose(value) {
    at = value - 1;
    room.changed();
    room.say(KINDS.map((kind) => `${texts[`by-${kind}`]}: ${filled(texts.sizes, valuesOf(record.layers[at], kind))}`).join("; "));
  }

  function figure(layer, kind) {
    const mass = layer.masses[kind];
    const values = valuesOf(layer, kind);
    heats[kind].update({
      rows: mass.length, columns: mass[0].length, label: filled(texts["map-label"], values),
      colour: (row, column) => { const pixel = table[mass[row][column]]; return [pixel & 255, (pixel >> 8) & 255, (pixel >> 16) & 255]; },
    });
    return html`<figure><figcaption>${texts[`by-${kind}`]}</figcaption>${heats[kind].element}<p class="small">${filled(texts.sizes, values)}</p></figure>`;
  }

  return {
    view() {
      ask();
      if (!record) return room.waiting();
      const layer = record.layers[at];
      return html`<div class="controls">${slider({ label: texts["trained-layer"], value: at + 1, low: 1, high: record.layers.length, text: layer.layer, change: choose })}<code>${layer.layer}</code></div>
        <div class="figures three">${KINDS.map((kind) => figure(layer, kind))}</div><p class="small">${filled(texts.averaged, record)}</p>`;
    },
  };
}
