// What the page shows, kept current: the fold of the log, the clock, and what only the control API says.

import { Farm } from "./fold.js";
import { get, request, curl } from "./api.js";
import { NOISE } from "./filters.js";
import { follow } from "./stream.js";

const WHOLE_LOG = 20000;        // events: a longer log is followed from now on only
const CLOCK_MS = 1000;
const LAG_MS = 2000;
const SETTLE_MS = 150;          // between an event and the question for the verdict
const REST = 4;                 // times as long as the farm took for the last verdict, it is not asked for the next

/** Keeps the state, and calls `changed` when something but the log has changed. */
export class Store {
  constructor(changed) {
    this.changed = changed;
    this.farm = new Farm();
    this.stream = "connecting";     // live, stale
    this.clock = { clock: "real", at_ms: 0, speed: 1, frozen: false, auto: false };
    this.clock_at = performance.now();
    this.lag_ms = 0;                // how late the farm itself was
    this.max_lag_ms = 0;
    this.verdict = null;
    this.selected = null;           // the name of an instance
    this.lit = null;                // a logical job
    this.last = null;               // the last action: its curl and Python, and what became of it
    this.asking = false;
    this.is_old = true;             // the verdict is older than the log
  }

  async start() {
    const since = await this.begin();
    this.followed = follow(since, (events) => this.apply(events), (stream) => this.on_stream(stream), () => this.begin());
    setInterval(() => this.ask_clock(), CLOCK_MS);
    setInterval(() => this.ask_lag(), LAG_MS);
    setInterval(() => { if (this.is_open) this.ask_verdict_soon(); }, CLOCK_MS);
    await this.ask_clock();
    await this.ask_verdict();
  }

  /** Forget the log, take the instances as they are, and return the seq to follow the log from. */
  async begin() {
    const state = await get("/api/farm");
    const { seq } = await get("/api/verdict");
    this.farm = new Farm();
    for (const [name, instance] of Object.entries(state.instances)) {
      const lane = this.farm.lane(name);
      Object.assign(lane, { mode: instance.mode, epoch: instance.epoch, draining: instance.draining, url: instance.url });
      lane.state = instance.state === "stopped" ? "down" : instance.state;
      lane.finished = instance.finished;
      if (seq > WHOLE_LOG && lane.state !== "down") lane.outages.length = 0;
    }
    this.farm.trial = state.trial;
    this.take_lag(state);
    return seq > WHOLE_LOG ? seq : 0;
  }

  apply(events) {
    for (const event of events) {
      this.farm.apply(event);
      if (!NOISE.has(event.kind)) this.is_old = true;
    }
    if (this.is_old) this.ask_verdict_soon();
  }

  on_stream(stream) {
    this.stream = stream;
    this.changed();
  }

  /** The simulated time now: the clock's, moved on by the real time since it was asked. */
  now_ms() {
    const { clock, at_ms, speed, frozen } = this.clock;
    const since = clock === "real" && !frozen ? (performance.now() - this.clock_at) * speed : 0;
    return Math.max(at_ms + since, this.farm.at_ms);
  }

  async ask_clock() {
    try {
      this.clock = await get("/api/clock");
      this.clock_at = performance.now();
    } catch {
      // The stream says that the farm is gone.
    }
    this.changed();
  }

  async ask_lag() {
    await get("/api/farm").then((state) => this.take_lag(state), () => {});
  }

  take_lag({ lag_ms, max_lag_ms }) {
    Object.assign(this, { lag_ms, max_lag_ms });
  }

  /** True if the verdict changes by the mere passing of time: a client still has some to make good what it lost. */
  get is_open() {
    const { clock, frozen } = this.clock;
    return clock === "real" && !frozen && this.verdict?.verdict === "unknown" && this.verdict.orders > 0;
  }

  ask_verdict_soon() {
    if (this.asking) return;
    this.asking = true;
    setTimeout(() => this.ask_verdict().finally(() => { this.asking = false; }), SETTLE_MS);
  }

  /** Ask for the verdict; a farm that needs long for it is not asked again at once. */
  async ask_verdict() {
    this.is_old = false;
    const began = performance.now();
    try {
      this.verdict = await get("/api/verdict");
    } catch {
      return;
    }
    this.changed();
    const pause = REST * (performance.now() - began);
    await new Promise((resolve) => setTimeout(resolve, Math.min(pause, 10000)));
    if (this.is_old) setTimeout(() => this.ask_verdict_soon(), SETTLE_MS);
  }

  /** Carry out an action, and show what does the same. */
  async act(hand) {
    this.last = { ...hand, curl: curl(hand), outcome: "…" };
    this.changed();
    try {
      const result = await request(hand.method, hand.path, hand.body);
      this.last = { ...this.last, outcome: "done" };
      this.ask_verdict_soon();
      if (hand.path === "/api/clock") await this.ask_clock();
      this.changed();
      return result;
    } catch (error) {
      this.last = { ...this.last, outcome: String(error.message), failed: true };
      this.changed();
      return null;
    }
  }

  select(name) {
    this.selected = this.selected === name ? null : name;
    this.changed();
  }

  light(job) {
    this.lit = this.lit === job ? null : job;
    this.changed();
  }
}
