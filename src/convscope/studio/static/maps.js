/** The feature maps of the selected value, ranked and paged. */
import { html, nothing, render } from "lit-html";
import { mapScale, mapSize, paintMap } from "convscope/atlas";
import { isCommand, made } from "convscope/elements";
import { boxOfCell, frame, light, register } from "convscope/light";
import { createFocus, legend, pointable, selectCell } from "convscope/focus";
import { SCALES } from "convscope/state";
import { options } from "convscope/options";
import { go, link, loaded, pending } from "convscope/store";
import { TEXT } from "convscope/strings";
import { number, percent, shape, short } from "convscope/units";

export function mapTools() {
  const at = link();
  const { atlas } = loaded;
  const maps = atlas?.kind !== "vector";
  return html`<div class="tools">
    <label class="field"><span class="hidden-text">${TEXT.order}</span>
      <select @change=${(e) => go({ order: e.target.value, page: 0 })}>${options(Object.entries(TEXT.orders), at.order)}</select></label>
    ${maps ? html`
      <div class="segments" role="group" aria-label=${TEXT.scaleLabel}>
        ${SCALES.map((of) => html`<button aria-pressed=${String(of === at.scale)} @click=${() => go({ scale: of }, { replace: true })} title=${TEXT.scaleHelp[of]}>${TEXT.scales[of]}</button>`)}
      </div>
      <label class="field"><span class="hidden-text">${TEXT.colours}</span>
        <select @change=${(e) => go({ colours: e.target.value }, { replace: true })}>${options(Object.entries(TEXT.colourNames), at.colours)}</select></label>` : nothing}
  </div>`;
}

function pager() {
  const at = link();
  const pages = loaded.atlas?.pages ?? 1;
  return pages > 1 ? html`<span class="row pager" role="group" aria-label=${TEXT.pages}>
    <button class="icon" ?disabled=${at.page === 0} @click=${() => go({ page: at.page - 1 })} aria-label=${TEXT.pageBack}>‹</button>
    <span class="number small">${TEXT.pageOf(at.page + 1, pages)}</span>
    <button class="icon" ?disabled=${at.page >= pages - 1} @click=${() => go({ page: at.page + 1 })} aria-label=${TEXT.pageOn}>›</button></span>` : nothing;
}

/** What the selected value is: name, type, shape, parameters, MACs, field. */
export function valueHead(unit) {
  if (!unit) return nothing;
  const { field } = unit;
  return html`<div class="value-title"><h3>${unit.name || unit.label}</h3><span class="type">${unit.type ?? ""}</span></div>
    <div class="value-facts">
      <span><b class="number">${shape(unit.shape)}</b></span>
      ${unit.parameters ? html`<span><b class="number">${short(unit.parameters)}</b> ${TEXT.parameters}</span>` : nothing}
      ${unit.macs ? html`<span><b class="number">${short(unit.macs)}</b> ${TEXT.macs}${unit.share ? html` <span class="number">(${percent(unit.share)})</span>` : nothing}</span>` : nothing}
      ${field ? html`<span title=${TEXT.fieldHelp}>${TEXT.field} <b class="number">${shape(field.size)}</b>${field.stride?.every((n) => n !== null) ? html`, ${TEXT.stride} <b class="number">${shape([...new Set(field.stride)])}</b>` : nothing}${field.status ? html` <span>(${field.status})</span>` : nothing}</span>` : nothing}
    </div>
    ${(unit.warnings ?? []).map((i) => loaded.graph.warnings[i]).filter(Boolean).map((warning) => html`<p class="note-line"><strong>${warning.text}</strong> ${warning.advice ?? ""}</p>`)}`;
}

/** One map of a grid, not painted yet. */
export function emptyTile() {
  const button = made("button", "map-tile");
  const [picture, tag, mark] = ["picture", "tag", "mark"].map((name) => made("span", name));
  const canvas = made("canvas");
  picture.append(canvas, tag, mark);
  button.append(picture);
  return { button, picture, canvas, tag, mark, channel: 0 };
}

/**
 * Paint a map of an atlas on a tile, and name it.
 * @param {ReturnType<typeof emptyTile>} tile @param {import("./atlas.js").Atlas} atlas
 */
export function paintTile(tile, atlas, index) {
  const { height, width } = mapSize(atlas);
  tile.channel = atlas.channels[index];
  tile.tag.textContent = String(tile.channel);
  tile.canvas.style.aspectRatio = `${width} / ${height}`;
  tile.button.setAttribute("aria-label", TEXT.mapTile(tile.channel, number(atlas.lo[index]), number(atlas.hi[index])));
  paintMap(tile.canvas, atlas, index, link().scale, link().colours);
}

export function createMaps() {
  const element = made("div", "maps-body");
  const focus = createFocus();
  const grid = made("div", "map-grid");
  grid.setAttribute("role", "listbox");
  grid.setAttribute("aria-label", TEXT.mapsLabel);
  const vector = made("div", "vector");
  const key = made("div", "note-line legend-line");
  element.append(focus.element, key, grid, vector);
  /** @type {ReturnType<typeof emptyTile>[]} */
  const tiles = [];
  let painted = null;
  let paintedHow = "";

  const dimensions = () => mapSize(loaded.atlas);

  function makeTile() {
    const tile = emptyTile();
    const { button } = tile;
    button.setAttribute("role", "option");
    // A click of the pointer works out the cell; Enter selects the map.
    pointable(button, () => ({ value: link().value, channel: tile.channel, ...dimensions() }));
    button.addEventListener("click", (event) => { if (!event.detail) go({ channel: tile.channel, at: null, step: null }); });
    button.addEventListener("keydown", (event) => onKey(event, tiles.indexOf(tile)));
    return tile;
  }

  function onKey(event, index) {
    if (isCommand(event)) return;
    const shown = tiles.filter((tile) => !tile.button.hidden);
    const columns = Math.max(1, shown.findIndex((tile) => tile.button.offsetTop > shown[0].button.offsetTop));
    const to = ({
      ArrowRight: index + 1, ArrowLeft: index - 1, ArrowDown: index + columns, ArrowUp: index - columns, Home: 0, End: shown.length - 1,
    })[event.key];
    if (to === undefined) return;
    const tile = shown[Math.max(0, Math.min(shown.length - 1, to))];
    tile.button.focus();
    go({ channel: tile.channel, at: null, step: null }, { replace: true });
    event.preventDefault();
    event.stopPropagation();
  }

  register({
    get value() { return link().value; },
    light(box, now) {
      const { height, width } = dimensions();
      const own = now?.kind === "cell" && now.value === link().value;
      const at = own ? boxOfCell(now) : now?.kind === "pixel" ? box : null;
      for (const tile of tiles) if (!tile.button.hidden) frame(tile.mark, at && (!own || height * width > 1) ? at : null, height, width);
    },
  });

  function paint() {
    const at = link();
    const { atlas } = loaded;
    const how = `${at.scale}|${at.colours}`;
    if (atlas !== painted || how !== paintedHow) {
      painted = atlas;
      paintedHow = how;
      while (tiles.length < atlas.channels.length) {
        const tile = makeTile();
        tiles.push(tile);
        grid.append(tile.button);
      }
      tiles.forEach((tile, index) => {
        tile.button.hidden = index >= atlas.channels.length;
        if (!tile.button.hidden) paintTile(tile, atlas, index);
      });
    }
    const off = new Set(at.interventions.filter((c) => c.op === "channel_off" && c.value === at.value).map((c) => c.channel));
    let current = false;
    for (const tile of tiles) {
      const on = tile.channel === at.channel && !tile.button.hidden;
      current ||= on;
      tile.button.setAttribute("aria-current", String(on));
      tile.button.setAttribute("aria-selected", String(on));
      tile.button.tabIndex = on ? 0 : -1;
      tile.button.dataset.off = String(off.has(tile.channel));
    }
    if (!current && tiles[0]) tiles[0].button.tabIndex = 0;
  }

  return {
    element,
    update() {
      const { atlas } = loaded;
      const at = link();
      const here = atlas && atlas.value === at.value;
      const isVector = here && atlas.shape.slice(1).every((n) => n === 1);
      grid.hidden = !here || isVector;
      vector.hidden = !here || !isVector;
      element.setAttribute("aria-busy", String(pending.has("atlas")));
      focus.update();
      if (here && !isVector) paint();
      if (here && isVector) render(bars(atlas), vector);
      const index = here ? Math.max(0, atlas.channels.indexOf(at.channel)) : 0;
      key.hidden = !here || (isVector && atlas.pages < 2);
      grid.style.setProperty("--few", here ? String(atlas.channels.length <= 8 ? 1.55 : atlas.channels.length <= 20 ? 1.2 : 1) : "1");
      if (here && isVector) render(pager(), key);
      if (here && !isVector) {
        const says = at.scale === "map" ? TEXT.legendMap(at.channel ?? 0) : TEXT.legendOf[at.scale];
        render(html`${legend(mapScale(atlas, index, at.scale, at.colours), says)}<span class="spread"></span>${pager()}`, key);
      }
    },
  };
}

/** The numbers of a vector as bars; a click works one out. @param {import("./atlas.js").Atlas} atlas */
function bars(atlas) {
  const at = link();
  const end = Math.max(Math.abs(atlas.layer.lo), Math.abs(atlas.layer.hi)) || 1;
  const signed = atlas.layer.lo < 0;
  const names = loaded.graph?.classes && loaded.graph.classes.length === atlas.shape[0] ? loaded.graph.classes : null;
  return atlas.channels.map((channel, index) => {
    const value = atlas.lo[index];
    const share = (50 * Math.abs(value)) / end;
    const [left, wide] = signed ? [value < 0 ? 50 - share : 50, share] : [0, 2 * share];
    return html`<button aria-current=${String(channel === at.channel)} @click=${() => selectCell(at.value, channel, [0, 0])}
      @pointerenter=${() => light({ kind: "cell", value: at.value, c: channel, y: 0, x: 0 })} @pointerleave=${() => light(null)}>
      <span class="name">${names ? names[channel] : TEXT.channel(channel)}</span>
      <span class="track"><span class=${value < 0 ? "fill negative" : "fill"} .style=${`left:${left}%;width:${wide}%`}></span></span>
      <span class="number">${number(value, 4)}</span></button>`;
  });
}

