/** Convolution in time: each output is the sum of earlier inputs, each times what is left of it. */
import { html } from "lit-html";
import { turned, windowSum } from "convscope/learn/arithmetic";
import { createCells } from "convscope/learn/cells";
import { choice } from "convscope/learn/controls";
import { numberText } from "convscope/learn/fill";
import { createPlayer } from "convscope/learn/player";

/** @param {any} room as `chapter.js` gives it @param {any} found the record edge-images */
export function createCausal(room, found) {
  const { texts, filled, changed, say } = room;
  let signal = [...found.signal];
  let response = "echo";
  let second = 0;
  let at = 0;
  const player = createPlayer({ words: room.words, label: room.words.position, changed, seek: (to) => { second = to; } });
  const signalCells = createCells({ say, move: (_, column) => { at = column; changed(); }, type: typed, quiet: true });
  const outputCells = createCells({ say, move: (_, column) => { player.pause(); second = column; changed(); } });
  const [responseCells, laidCells] = [createCells({}), createCells({})];

  const left = () => found.responses[response];
  /** The window that ends at a second: the response turned round, on the signal. */
  const sumAt = (end) => windowSum([signal], turned([left()]), 0, end - left().length + 1);

  function typed(_, column, key) {
    if (!/^\d$/.test(key)) return false;
    signal = signal.map((value, index) => (index === column ? Number(key) : value));
    changed();
    return true;
  }

  function set(settings) {
    if (settings.response in found.responses) response = settings.response;
    if (Number.isFinite(settings.position)) second = Math.max(0, Math.min(signal.length - 1, settings.position));
  }

  const spoken = (value) => (_, column) => filled(texts.second, { second: column, value: value(column) });

  function view() {
    const read = (column) => column <= second && column > second - left().length;
    const { terms, sum } = sumAt(second);
    const output = (column) => sumAt(column).sum;
    const written = terms[0].map(({ pixel, weight }) => `${numberText(pixel)}·${weight < 0 ? `(−${-weight})` : weight}`).reverse().join(" + ");
    signalCells.update({ rows: 1, columns: signal.length, cursor: [0, at], text: (_, c) => numberText(signal[c]), mark: (_, c) => (read(c) ? "in-window" : ""), spoken: spoken((c) => signal[c]), label: texts["signal-label"] });
    responseCells.update({ rows: 1, columns: left().length, text: (_, c) => numberText(left()[c]), label: texts.response });
    outputCells.update({ rows: 1, columns: signal.length, cursor: [0, second], text: (_, c) => (c > second ? "" : numberText(output(c))), mark: (_, c) => (c > second ? "later" : ""), spoken: spoken(output), label: `${texts["output-label"]} ${filled(texts.second, { second, value: sum })}` });
    const laid = (column) => (read(column) ? numberText(left()[second - column]) : "");
    laidCells.update({ rows: 1, columns: signal.length, text: (_, c) => laid(c), mark: (_, c) => (read(c) ? "in-window" : ""), label: texts["on-signal"] });
    const last = signal.length - 1;
    const seconds = signal.map((_, column) => column).filter(read).join(", ");
    return html`
      <div class="row">${choice({ label: texts.response, value: response, options: Object.keys(found.responses).map((name) => [name, texts[`responses-${name}`]]), change: (name) => { response = name; changed(); say(filled(texts.second, { second, value: sumAt(second).sum })); } })}</div>
      <figure class="in-time"><figcaption>${texts.response}</figcaption>${responseCells.element}</figure>
      <figure class="in-time"><figcaption>${filled(texts.signal, { last })}</figcaption>${signalCells.element}</figure>
      <figure class="in-time"><figcaption>${texts["on-signal"]}</figcaption>${laidCells.element}</figure>
      <figure class="in-time"><figcaption>${filled(texts.output, { last })}</figcaption>${outputCells.element}</figure>
      ${player.view(signal.length, second, filled(texts.second, { second, value: sum }))}
      <div class="worked-sum"><p><strong>${filled(texts["causal-sum"], { second, terms: written, sum })}</strong></p><p>${filled(texts["causal-reads"], { seconds })}</p></div>`;
  }

  return { view, set, task: () => ({ done: false }), close: player.close, pause: player.pause };
}
