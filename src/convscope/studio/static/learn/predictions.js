/** Chapter 5: what two networks predict for a picture that is shifted, all shifts at once. */
import { html } from "lit-html";
import { segments } from "convscope/learn/controls";
import { colourOf, createHeat } from "convscope/learn/heat";
import { createMovable } from "convscope/learn/movable";
import { percent } from "convscope/units";

const PICTURES = ["0", "1", "2", "3"];
const NETWORKS = ["max", "blurred"];

/** @param {any} room */
export function createPredictions(room) {
  const { texts, filled } = room;
  const state = { picture: "0", dy: 0, dx: 0 };
  let record = null;
  let pixels = new Uint8Array(0);
  let [asked, answered] = ["", ""]; // pictures
  let telling = false; // whether the next picture is said, as the learner asked for it
  const picture = createMovable({ move: (dy, dx) => moved(state.dy + dy, state.dx + dx) });
  const grids = Object.fromEntries(NETWORKS.map((name) => [name, createHeat({ move: (row, column) => moved(row - record.margin, column - record.margin), step: 4 })]));

  function ask() {
    if (asked === state.picture) return;
    asked = state.picture;
    const mine = asked;
    room.record("shifted-predictions", { picture: mine }).then((found) => {
      if (asked !== mine) return;
      [record, answered] = [found, mine];
      pixels = Uint8Array.from(atob(found.pixels), (character) => character.charCodeAt(0));
      room.changed();
      if (telling) room.say(answers());
      telling = false;
    }, () => {
      if (asked !== mine) return;
      [asked, telling] = [answered, false];
      if (!answered) return;
      state.picture = answered; // what is shown stays
      room.changed();
    });
  }

  function moved(dy, dx) {
    if (!record) return;
    const within = (value) => Math.max(-record.margin, Math.min(record.margin, value));
    Object.assign(state, { dy: within(dy), dx: within(dx) });
    room.say(answers());
    room.changed();
  }

  const shifts = () => 2 * record.margin + 1;
  const place = (row, column) => row * shifts() + column;
  const here = () => place(state.dy + record.margin, state.dx + record.margin);
  const classAt = (name, at) => Number(record.predicted[name][at]);
  const classText = (name, at) => ({ class: record.classes[classAt(name, at)], percent: record.percent[name][at] });
  const answers = () => NETWORKS.map((name) => `${texts[`network-${name}`]}: ${answer(name)}`).join("; ");
  const answer = (name) => filled(texts.predicted, classText(name, here()));

  function flips(name) {
    const all = shifts() ** 2;
    return { flips: [...record.predicted[name]].filter((each) => Number(each) !== record.label).length, all };
  }

  function paint() {
    const { side, margin } = record;
    const shown = side - 2 * margin;
    const colour = (row, column) => {
      const at = 3 * ((row + margin - state.dy) * side + column + margin - state.dx);
      return [pixels[at], pixels[at + 1], pixels[at + 2]];
    };
    picture.update({ rows: shown, columns: shown, colour, label: filled(texts["shift-label"], { ...state, margin }) });
    const [right, other] = [colourOf("--green"), colourOf("--orange")];
    for (const name of NETWORKS) {
      grids[name].update({
        rows: shifts(), columns: shifts(), cursor: [state.dy + margin, state.dx + margin],
        colour: (row, column) => (classAt(name, place(row, column)) === record.label ? right : other),
        cross: (row, column) => classAt(name, place(row, column)) !== record.label,
        label: filled(texts["grid-label"], { name: texts[`network-${name}`], ...flips(name) }),
      });
    }
  }

  function network(name) {
    const total = { images: record.images, held_out: record.held_out, same: percent(record.same[name]), accuracy: percent(record.accuracy[name]) };
    return html`<figure><figcaption>${texts[`network-${name}`]}: <strong>${answer(name)}</strong></figcaption>${grids[name].element}
      <p class="small">${filled(texts.flips, flips(name))}. ${filled(texts.same, total)}.</p></figure>`;
  }

  return {
    view() {
      ask();
      if (!record) return room.waiting();
      paint();
      return html`<div class="controls">
          ${segments({ label: texts.chosen, options: PICTURES.map((name) => [name, `${texts.chosen} ${Number(name) + 1}`]), value: state.picture, change: (value) => { [state.picture, telling] = [value, true]; room.changed(); } })}
          <button ?disabled=${!state.dy && !state.dx} @click=${() => moved(0, 0)}>${texts.reset}</button></div>
        <p class="result">${filled(texts["true-class"], { class: record.classes[record.label] })}
          <span class="key"><i class="swatch swatch-right"></i>${texts["right-class"]} <i class="swatch swatch-other"></i>${texts["other-class"]}</span></p>
        <div class="figures"><figure><figcaption>${texts.picture}</figcaption>${picture.element}</figure>${NETWORKS.map(network)}</div>`;
    },
    /** Whether the two networks predict different classes for the picture as it is shifted. */
    differ: () => Boolean(record) && classAt("max", here()) !== classAt("blurred", here()),
  };
}
