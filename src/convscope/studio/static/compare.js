/** Two networks, or two epochs of one run, side by side. */
import { html, nothing, render } from "lit-html";
import { mapScale, mapSize } from "convscope/atlas";
import { made } from "convscope/elements";
import { cellAt, legend, selectCell } from "convscope/focus";
import { boxOfCell, frame, light, register } from "convscope/light";
import { otherValue } from "convscope/loading";
import { emptyTile, paintTile } from "convscope/maps";
import { entryParts } from "convscope/stage";
import { go, link, loaded, pending } from "convscope/store";
import { TEXT } from "convscope/strings";
import { shape } from "convscope/units";

function createSide() {
  const element = made("div", "map-grid");
  element.setAttribute("role", "group");
  /** @type {ReturnType<typeof emptyTile>[]} */
  const tiles = [];
  let size = { height: 1, width: 1 };
  let first = true;

  function make() {
    const tile = emptyTile();
    const { button, picture } = tile;
    element.append(button);
    picture.addEventListener("pointermove", (event) => {
      const [y, x] = cellAt(event, picture, size.height, size.width);
      light(first ? { kind: "cell", value: link().value, c: tile.channel, y, x } : null);
      shared(y / size.height, x / size.width);
    });
    picture.addEventListener("pointerleave", () => { light(null); shared(null, null); });
    button.addEventListener("click", (event) => {
      if (!first) go({ channel: tile.channel });
      else if (event.detail > 0) selectCell(link().value, tile.channel, cellAt(event, picture, size.height, size.width));
      else go({ channel: tile.channel, at: null, step: null });
    });
    tiles.push(tile);
    return tile;
  }
  let shared = (_y, _x) => {};

  return {
    element,
    onShared(receive) { shared = receive; },
    /** Mark a place of every map. @param {number|null} y @param {number|null} x share of the height and the width */
    mark(y, x) {
      const box = y === null || x === null ? null : boxOfCell({ y: Math.floor(y * size.height), x: Math.floor(x * size.width) });
      for (const { mark } of tiles) frame(mark, box, size.height, size.width);
    },
    update(atlas, isFirst) {
      first = isFirst;
      const at = link();
      element.hidden = !atlas;
      if (!atlas) return;
      size = mapSize(atlas);
      while (tiles.length < atlas.channels.length) make();
      tiles.forEach((tile, index) => {
        tile.button.hidden = index >= atlas.channels.length;
        if (tile.button.hidden) return;
        paintTile(tile, atlas, index);
        tile.button.setAttribute("aria-current", String(tile.channel === at.channel));
      });
    },
  };
}

export function createCompare() {
  const element = made("div", "sides");
  const [left, right] = [createSide(), createSide()];
  const both = (y, x) => { left.mark(y, x); right.mark(y, x); };
  left.onShared(both);
  right.onShared(both);
  register({
    get value() { return link().value; },
    light(_, now) {
      const { height, width } = mapSize(loaded.atlas);
      if (now?.kind === "cell" && now.value === link().value) both((now.y + 0.5) / height, (now.x + 0.5) / width);
      else both(null, null);
    },
  });

  function half(graph, run, atlas, value, side, first) {
    const at = link();
    const top = run?.prediction?.top ?? [];
    return html`<section aria-label=${graph?.title ?? ""}>
      <div class="side-title"><span>${graph?.title ?? (first ? at.model : at.other)}</span><span class="spread"></span>
        ${first ? nothing : html`<button @click=${() => go({ model: at.other, other: at.model, at: null, step: null, value: value ?? "" })}>${TEXT.swap}</button><button @click=${() => go({ other: "" })}>${TEXT.endCompare}</button>`}</div>
      <div class="value-facts"><span>${value ?? ""}</span><span class="number">${atlas ? shape(atlas.shape) : ""}</span></div>
      <ol class="prediction inset">${top.slice(0, 3).map((entry) => html`<li><span class="entry">${entryParts(entry)}</span></li>`)}</ol>
      ${atlas ? html`<div class="note-line">${legend(mapScale(atlas, Math.max(0, atlas.channels.indexOf(at.channel ?? 0)), at.scale, at.colours), at.scale === "map" ? TEXT.legendMap(at.channel ?? 0) : TEXT.legendOf[at.scale])}</div>` : html`<p class="empty">${pending.size ? html`<span class="spinner"></span>` : TEXT.noMaps}</p>`}
      ${side.element}</section>`;
  }

  return {
    element,
    update() {
      left.update(loaded.atlas, true);
      right.update(loaded.otherAtlas, false);
      render(html`${half(loaded.graph, loaded.run, loaded.atlas, link().value, left, true)}${half(loaded.otherGraph, loaded.otherRun, loaded.otherAtlas, otherValue(), right, false)}`, element);
    },
  };
}
