/** What the commands of "In your own network" are filled with, and the layers of the network that they name. */

export const FIRST = { key: "lenet5-digits", layer: "c1" }; // a trained one, where the learner has named none

/** Layers of a graph that are no blocks. */
export const layersOf = (graph) => graph.units.filter((unit) => unit.kind !== "block" && unit.type !== "input");
export const isConvolution = (unit) => /conv/i.test(unit.type);

/** Return a word as a shell takes it. @param {string} text */
const quoted = (text) => (/^[\w./:@=+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** Return what a command calls a model: the page knows a run's name, and of the model of the command line its title. @param {any} one */
function commandName(one) {
  if (one.kind === "run") return quoted(`runs/${one.title}`);
  return quoted(one.kind === "given" ? one.title : one.key);
}

/** Return what a chapter's commands are filled with. @param {any} one the model, or undefined @param {any} graph of it, or null */
export function commandValues(one, graph) {
  const first = graph ? layersOf(graph).find(isConvolution)?.name : !one || one.key === FIRST.key ? FIRST.layer : "";
  const shape = one?.kind === "given" && graph?.units.find((unit) => unit.type === "input")?.shape;
  return { model: one ? commandName(one) : FIRST.key, layer: quoted(first || "LAYER"), input: shape?.length ? ` --input ${shape.join("x")}` : "" };
}
