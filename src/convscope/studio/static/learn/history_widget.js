/** Chapter 7: networks by year, each of which opens in Explore, and gradient norms by layer of twelve small networks. */
import { html } from "lit-html";
import { createGradients } from "convscope/learn/gradients";
import { createTimeline } from "convscope/learn/timeline";
import { segments } from "convscope/learn/controls";
import { labs } from "convscope/learn/labs";

/** @param {any} room */
export function create(room) {
  const { texts } = room;
  let mode = "timeline";
  const timeline = createTimeline(room);
  const gradients = createGradients(room);

  return {
    view: () => html`<div class="history-widget">
      ${segments({ label: texts.mode, options: [["timeline", texts.timeline], ["gradients", texts.gradients], ["labs", texts["labs-mode"]]], value: mode, change: (value) => { mode = value; room.changed(); } })}
      ${mode === "labs" ? labs(room) : mode === "timeline" ? timeline.view() : gradients.view()}</div>`,
    set(settings) {
      mode = settings.mode === "gradients" ? "gradients" : "timeline";
      (mode === "timeline" ? timeline : gradients).set(settings);
      room.changed();
    },
    task: (id) => (id === "fewer" ? timeline.task() : gradients.task(id)),
    close: () => timeline.close(),
  };
}
