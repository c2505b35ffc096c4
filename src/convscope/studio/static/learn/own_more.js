/** What the later chapters show of the learner's own network, by the name of the question. */

/** @type {Object<string, (graph: any, model: string, texts: any) => any>} */
export const OWN_MORE = {};
