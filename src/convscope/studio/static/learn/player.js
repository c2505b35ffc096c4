/** A scrubber over positions, which also plays them by itself at a chosen speed. */
import { html } from "lit-html";
import { Playback } from "convscope/playback";

const SPEEDS = [0.25, 0.5, 1, 2, 4];
const [USUAL, PROJECTED] = [1, 0.5]; // where none is chosen: slower in projector mode

/**
 * @param {{words: any, label: string, seek: (index: number) => void, changed: () => void}} how `seek` is called with each new position
 */
export function createPlayer({ words, label, seek, changed }) {
  let shown = -1;
  let chosen = 0; // of the speeds; 0: none yet
  const playback = new Playback((index) => {
    shown = index;
    seek(index);
    changed();
  });

  /** @param {number} count of positions @param {number} index @param {string} [text] what the position is */
  function view(count, index, text = "") {
    playback.speed = chosen || (document.documentElement.dataset.projector ? PROJECTED : USUAL);
    if (playback.count !== count || shown !== index) {
      const { playing } = playback;
      if (playing && playback.count === count) playback.index = index;
      else playback.reset(count, index);
      shown = index;
    }
    const { playing } = playback;
    return html`<div class="player">
      <button @click=${() => (playback.playing ? playback.pause() : playback.play())} ?disabled=${count < 2}>${playing ? words.pause : words.play}</button>
      <label class="grow"><span class="hidden-text">${label}</span><input type="range" min="0" max=${Math.max(0, count - 1)} .value=${String(index)} aria-valuetext=${text || `${index + 1} / ${count}`}
        @input=${(event) => { playback.pause(); playback.seek(Number(event.target.value)); }}></label>
      <label class="field"><span>${words.speed}</span><select @change=${(event) => { chosen = playback.speed = Number(event.target.value); }}>${SPEEDS.map((speed) => html`<option
        value=${speed} .selected=${speed === playback.speed}>${speed}×</option>`)}</select></label>
    </div>`;
  }

  return { view, close: () => playback.pause(), pause: () => playback.pause() };
}
