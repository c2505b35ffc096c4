/** The image, filters and feature maps of a training, which change while it runs. */
import { html, nothing, render } from "lit-html";
import { made } from "convscope/elements";
import { pictures, rgba } from "convscope/train_data";
import { TRAIN } from "convscope/train_strings";
import { number } from "convscope/units";

const TEXT = TRAIN.run;
/** Pixels of the page that a tile's longer side has, at least. */
const SIDE = { image: 112, filters: 34, maps: 56 };

/** Pictures that are drawn anew in place; `element` is put into the page once. */
export function createLive() {
  const element = made("div", "live");
  let packet = null;

  function paint(canvas, picture, tile) {
    if (canvas.width !== picture.width) canvas.width = picture.width;
    if (canvas.height !== picture.height) canvas.height = picture.height;
    canvas.getContext("2d")?.putImageData(new ImageData(rgba(picture, tile.pixels), picture.width, picture.height), 0, 0);
    const scale = Math.max(1, SIDE[picture.kind] / Math.max(picture.width, picture.height));
    canvas.style.width = `${Math.round(picture.width * scale)}px`;
    canvas.style.height = `${Math.round(picture.height * scale)}px`;
  }

  function title(picture) {
    return picture.kind === "image" ? TEXT.image : picture.kind === "filters" ? TEXT.filters(picture.layer) : TEXT.maps(picture.layer);
  }

  function legend(picture) {
    if (picture.kind === "image") return nothing;
    const count = TEXT.some(picture.tiles.length, picture.total);
    const scale = picture.kind === "filters" ? TEXT.filterScale(number(picture.tiles[0]?.high)) : picture.height * picture.width > 1 ? TEXT.mapScale : TEXT.cellScale(number(picture.tiles[0]?.low), number(picture.tiles[0]?.high));
    return html`<span class="muted small">${count}; ${scale}</span>`;
  }

  function show(found) {
    packet = found;
    const shown = pictures(found);
    render(html`<p class="muted small">${TEXT.liveStep(found.header.step, found.header.epoch)}</p>
      ${shown.map((picture) => html`<figure class=${`tiles ${picture.kind}`}><figcaption>${title(picture)} ${legend(picture)}</figcaption>
        <div class="tile-row">${picture.tiles.map((tile) => html`<canvas role="img" aria-label=${TEXT.picture(title(picture), tile.channel, number(tile.low), number(tile.high))}
          title=${`${tile.channel}: ${number(tile.low)} – ${number(tile.high)}`}></canvas>`)}</div></figure>`)}`, element);
    const canvases = element.querySelectorAll("canvas");
    let at = 0;
    for (const picture of shown) for (const tile of picture.tiles) paint(canvases[(at += 1) - 1], picture, tile);
  }

  function none(text) {
    packet = null;
    render(html`<p class="empty small">${text}</p>`, element);
  }

  return { element, show, none, get packet() { return packet; } };
}
