/** The steps of a worked number: which term is added when, and what the sum is by then. Nothing is sized here. */

/**
 * @typedef {{operand: {value: string, c: number, at: number[], name?: string}|null, weight: number|null, number: number, product: number, winner?: boolean}} Term
 * @typedef {{title: string, terms: Term[], sum: number, rows: number, columns: number, places: [number, number][], value: string, channel: number|null}} Group
 * @typedef {{kind: "term"|"rest"|"bias"|"line"|"result", group: number, term: number, number: number, running: number, title: string}} Step
 */

/** Return a number of an answer; texts such as "NaN" and "Infinity" become numbers. @param {any} x */
export const real = (x) => (x === null || x === undefined ? NaN : Number(x));

/**
 * Return the groups of a worked cell, each term with its row and column in the group.
 * @param {any} cell as the server answers @param {any[]} [more] groups of further pages
 */
export function groupsOf(cell, more = []) {
  return [...(cell.groups ?? []), ...more].map((group) => {
    const terms = group.terms.map((term) => ({ ...term, number: real(term.number), product: real(term.product), weight: term.weight === null || term.weight === undefined ? null : real(term.weight) }));
    const first = terms.find((term) => term.operand);
    const [rows, columns] = gridOf(group.shape ?? [], terms.length);
    const places = terms.map((_, i) => [Math.floor(i / columns), i % columns]);
    return { title: group.title ?? "", terms, sum: real(group.sum), rows, columns, places, value: first?.operand?.value ?? "", channel: group.channel ?? first?.operand?.c ?? null };
  });
}

/** Return rows and columns of a group's terms: as its shape says, else one below the other. @param {number[]} shape @param {number} count */
function gridOf(shape, count) {
  const columns = shape.length ? shape[shape.length - 1] : 1;
  const rows = columns ? count / columns : 0;
  return Number.isInteger(rows) && columns > 0 ? [rows, columns] : [count, 1];
}

/** Return whether the terms of a kind are added up, so that a sum can run. @param {string} kind */
export const adds = (kind) => ["products", "sum", "mean"].includes(kind);

/**
 * Return the steps of a worked cell, with the sum after each: the terms in order, what is on pages that are not shown, the
 * bias, or the lines that lead from the terms to the number.
 * @param {any} cell @param {Group[]} groups
 */
export function stepsOf(cell, groups) {
  /** @type {Step[]} */
  const steps = [];
  const own = (kind, number, running, title = "") => steps.push({ kind, group: -1, term: -1, number, running, title });
  const summed = adds(cell.kind);
  let running = 0;
  groups.forEach((group, g) => group.terms.forEach((term, t) => {
    if (summed) running += term.product;
    steps.push({ kind: "term", group: g, term: t, number: term.product, running: summed ? running : NaN, title: group.title });
  }));
  if (cell.kind === "products") {
    const bias = cell.bias === null || cell.bias === undefined ? null : real(cell.bias);
    if ((cell.group_count ?? groups.length) > groups.length) {
      const rest = real(cell.sum) - (bias ?? 0) - running;
      running += rest;
      own("rest", rest, running);
    }
    if (bias !== null) {
      running += bias;
      own("bias", bias, running);
    }
  } else {
    for (const line of cell.steps ?? []) own("line", real(line.number), real(line.number), line.text);
  }
  own("result", real(cell.number), real(cell.number));
  return steps;
}
