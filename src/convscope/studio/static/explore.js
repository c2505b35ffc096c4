/** The Explore room: its four panes, and what is drawn in them after each change. */
import { html, nothing, render } from "lit-html";
import { attributionPanel } from "convscope/attribution";
import { createBetween } from "convscope/between";
import { createCell } from "convscope/cell";
import { createCompare } from "convscope/compare";
import { createDrawing } from "convscope/drawing";
import * as icons from "convscope/icons";
import { interventionsPanel } from "convscope/interventions";
import { relight } from "convscope/light";
import { createMaps, mapTools, valueHead } from "convscope/maps";
import { epochSlider } from "convscope/pickers";
import { createStage } from "convscope/stage";
import { link, loaded, pending, show, view } from "convscope/store";
import { TEXT } from "convscope/strings";
import { createTree } from "convscope/tree";
import { short } from "convscope/units";

export function mountExplore(container) {
  const [tree, drawing, stage, between, maps, cell, compare] = [createTree(), createDrawing(), createStage(), createBetween(), createMaps(), createCell(), createCompare()];
  let litFor = null;

  function treePane() {
    const { graph } = loaded;
    const totals = graph?.totals;
    return html`<section class="pane pane-tree" aria-label=${TEXT.network}>
      <div class="pane-head"><h2>${TEXT.network}</h2></div>
      ${totals ? html`<dl class="totals">
        <div><dt>${TEXT.parameters}</dt><dd class="number">${short(totals.parameters)}</dd></div>
        <div><dt>${TEXT.macs}</dt><dd class="number">${short(totals.macs)}</dd></div>
        <div><dt>${TEXT.input}</dt><dd class="number">${graph.input?.slice(-3).join("×")}</dd></div></dl>` : nothing}
      ${epochSlider()}
      ${tree.element}
      ${graph?.warnings?.length ? html`<details class="note-line"><summary>${TEXT.warnings(graph.warnings.length)}</summary>
        ${graph.warnings.map((warning) => html`<p><strong>${warning.text}</strong> ${warning.advice ?? ""}</p>`)}</details>` : nothing}
    </section>`;
  }

  function families() {
    const found = loaded.graph?.drawing?.families ?? [];
    return html`<span class="families">${Object.entries(TEXT.families).map(([family, says]) => (found.includes(family) ? html`<span data-family=${family}><i class="dot"></i>${says}</span>` : nothing))}<span><i class="dot lit-dot"></i>${TEXT.litRows}</span></span>`;
  }

  function middlePane() {
    return html`<section class="pane pane-middle" aria-label=${TEXT.imageAndDrawing}>
      <div class="pane-head drawing-head"><h2>${TEXT.drawing}</h2>${families()}<span class="spread"></span>
        <button class="icon quiet" @click=${() => drawing.zoom()} aria-label=${TEXT.zoom} title=${TEXT.zoom}>${icons.zoom}</button></div>
      ${drawing.element}
      <div class="stage-area">
        <div><div class="pane-head flush"><h2>${TEXT.imageTitle}</h2></div>${stage.element}</div>
        <section aria-label=${TEXT.between}><div class="pane-head flush"><h2>${TEXT.between}</h2></div>${between.element}</section>
      </div>
      ${interventionsPanel()}${attributionPanel()}
    </section>`;
  }

  function mapsPane() {
    const unit = loaded.byValue.get(link().value);
    const failed = !loaded.atlas && !pending.size && loaded.graph;
    return html`<section class="pane pane-maps" aria-label=${TEXT.mapsLabel}>
      ${valueHead(unit)}${mapTools()}
      ${link().other ? compare.element : nothing}
      <div class="maps-body" ?hidden=${Boolean(link().other)}>${maps.element}${failed ? html`<p class="empty">${TEXT.noMaps}</p>` : !loaded.atlas ? html`<p class="empty"><span class="spinner"></span></p>` : nothing}</div>
    </section>`;
  }

  return {
    update() {
      const open = Boolean(link().at);
      const panes = ["tree", "middle", "maps", "number"];
      const pane = view.pane === "number" && !open ? "maps" : view.pane;
      render(html`<div class="explore" data-pane=${pane} data-number=${open ? "open" : "closed"}>
        <div class="panes-switch" role="group" aria-label=${TEXT.panesLabel}>
          ${panes.map((name) => html`<button aria-pressed=${String(pane === name)} ?disabled=${name === "number" && !open} @click=${() => show({ pane: name })}>${TEXT.panes[name]}</button>`)}
        </div>
        ${treePane()}${middlePane()}${mapsPane()}
        ${open ? html`<section class="pane pane-number" aria-label=${TEXT.panes.number}>${cell.element}</section>` : nothing}
      </div>`, container);
      tree.update();
      drawing.update();
      stage.update();
      if (link().other) compare.update();
      else maps.update();
      between.update();
      if (open) cell.update();
      const now = `${link().model}|${link().value}|${link().channel}|${link().at}|${loaded.graph?.key}|${loaded.run?.run}`;
      if (now !== litFor) {
        litFor = now;
        relight();
      }
    },
  };
}

