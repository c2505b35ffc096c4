// Reads {links, states} from stdin, and writes what static/state.js makes of each.
import { readFileSync } from "node:fs";

const { parseState, formatState, clamped } = await import(process.argv[2]);
const { links, states } = JSON.parse(readFileSync(0, "utf8"));
const parsed = links.map((link) => parseState(link));
const within = parsed.map(({ state }) => clamped(state, [3, 5, 7], 10));
process.stdout.write(JSON.stringify({ parsed, within, formatted: states.map(formatState) }));
