/** Steps that play by themselves, at a chosen speed, and stop at the end. */

export const SPEEDS = [0.5, 1, 2, 4, 8];
const STEP = 620; // ms at speed 1
const LONGEST = 24_000; // ms for all steps at speed 1

/** Return how long a step lasts, in ms. */
export const stepTime = (count, speed) => Math.min(STEP, LONGEST / Math.max(1, count)) / speed;

/** @typedef {{kind: "term"|"rest"|"bias"|"line"|"result", group: number, term: number, number: number, running: number|null, title: string}} Step */

/**
 * Return the steps of a worked number: its terms in order, then those that follow them; Python has added up.
 * @param {import("./terms.js").Group[]} groups @returns {Step[]}
 */
export const stepsOf = (groups, following) => [
  ...groups.flatMap(({ terms, title }, group) => terms.map(({ product, running }, term) => ({ kind: "term", group, term, number: product, running: running ?? null, title }))),
  ...following.map((step) => ({ ...step, group: -1, term: -1 })),
];

export class Playback {
  constructor(drawn) {
    this.drawn = drawn;
    this.count = 0;
    this.index = 0;
    this.speed = 1;
    this.playing = false;
    this.last = 0;
    this.frame = 0;
  }

  /** Restart with a number of steps, at rest; nothing is drawn. */
  reset(count, index) {
    this.playing = false;
    cancelAnimationFrame(this.frame);
    this.count = count;
    this.index = Math.max(0, Math.min(count - 1, index));
  }

  seek(index) {
    this.index = Math.max(0, Math.min(this.count - 1, index));
    this.drawn(this.index, this.playing);
  }

  play() {
    if (this.playing || this.count < 2) return;
    if (this.index >= this.count - 1) this.index = 0;
    this.playing = true;
    this.last = performance.now();
    this.frame = requestAnimationFrame((now) => this.tick(now));
    this.drawn(this.index, true);
  }

  pause() {
    if (!this.playing) return;
    this.playing = false;
    cancelAnimationFrame(this.frame);
    this.drawn(this.index, false);
  }

  tick(now) {
    if (!this.playing) return;
    const steps = Math.floor((now - this.last) / stepTime(this.count, this.speed));
    if (steps > 0) {
      this.last = now;
      this.index = Math.min(this.count - 1, this.index + steps);
      if (this.index >= this.count - 1) this.playing = false;
      this.drawn(this.index, this.playing);
    }
    if (this.playing) this.frame = requestAnimationFrame((then) => this.tick(then));
  }
}
