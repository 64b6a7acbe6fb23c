// What the page shows, kept current: the fold of the log, the clock, and what only the control API says.

import { Farm } from "./fold.js";
import { get, request, curl } from "./api.js";
import { NOISE } from "./filters.js";
import { follow } from "./stream.js";

const WHOLE_LOG = 20000;        // events: of a longer log the page reads only so many
const CLOCK_MS = 1000;
const LAG_MS = 2000;
const SETTLE_MS = 150;          // between an event and the question for the verdict
const VERDICT = "/api/verdict?logged=false";
const REST = 4;                 // times as long as the farm took for the last verdict, it is not asked for the next

/** Keeps the state, and calls `changed` when something but the log has changed. */
export class Store {
  constructor(changed) {
    this.changed = changed;
    this.farm = new Farm();
    this.stream = "connecting";     // live, stale
    this.clock = { clock: "real", at_ms: 0, speed: 1, frozen: false, auto: false };
    this.clock_at = performance.now();
    this.began = null;              // the wall-clock time of the farm's start
    this.lag_ms = 0;                // how late the farm itself was
    this.max_lag_ms = 0;
    this.known = null;              // the state of all instances at a seq that the stream has not come to yet
    this.verdict = null;
    this.selected = null;           // the name of an instance
    this.lit = null;                // a logical job
    this.last = null;               // the last action: its curl and Python, and what became of it
    this.asking = false;
    this.is_old = true;             // the verdict is older than the log
    this.logged = "";               // what the log's own last time was judged to be
  }

  async start() {
    let since;
    while (since === undefined) since = await this.begin().catch(() => this.on_stream("stale") || wait(CLOCK_MS));
    this.followed = follow(
      since, (events) => this.apply(events), (stream) => this.on_stream(stream), (seq, is_gap) => this.resume(seq, is_gap),
    );
    setInterval(() => this.ask_clock(), CLOCK_MS);
    setInterval(() => this.ask_lag(), LAG_MS);
    setInterval(() => { if (this.is_open || this.is_unlogged) this.ask_verdict_soon(); }, CLOCK_MS);
    await this.ask_clock();
    await this.ask_verdict();
  }

  /** Forget the log, and return the seq to follow it from: 0, or of a long log that of an event of its last part. */
  async begin() {
    const [state, { seq }, clock] = await Promise.all([get("/api/farm"), get(VERDICT), get("/api/clock")]);
    this.began = began(clock);
    const since = Math.max(0, seq - WHOLE_LOG);
    this.farm = new Farm();
    if (since) await this.configure(state);
    this.farm.trial = state.trial;
    this.take_lag(state);
    this.known = since ? { seq, state } : null;
    return since;
  }

  /** Return the seq to follow the log from after a break: it may be another farm's by now, which has the same address. */
  async resume(seq, is_gap) {
    const [verdict, clock] = await Promise.all([get(VERDICT), get("/api/clock")]);
    if (!is_gap && verdict.seq >= seq && began(clock) === this.began) return seq;
    Object.assign(this, { verdict: null, logged: "", is_old: true });
    await this.ask_clock();
    return this.begin();
  }

  /** Take the instances as they are: the events that tell of it will not come. */
  async configure({ instances }) {
    const first = await get("/api/log?since=0&limit=1");
    const event = first ? JSON.parse(first) : { kind: "" };
    if (event.kind === "configured") this.farm.apply(event);
    for (const [name, { mode, epoch }] of Object.entries(instances)) {
      Object.assign(this.farm.lane(name), { mode, epoch, state: "running", outages: [] });
    }
  }

  apply(events) {
    if (this.known) this.known.from_ms ??= events[0].at_ms;
    for (const event of events) {
      this.farm.apply(event);
      if (!NOISE.has(event.kind)) this.is_old = true;
      if (this.known && event.seq >= this.known.seq) this.settle(this.known);
    }
    if (this.is_old) this.ask_verdict_soon();
  }

  /** Correct by the state of a moment what the last part of the log could not tell of it. */
  settle({ state: { instances }, from_ms }) {
    this.known = null;
    for (const [name, { state, draining, finished }] of Object.entries(instances)) {
      const lane = this.farm.lane(name);
      Object.assign(lane, { state: state === "stopped" ? "down" : state, draining, finished });
      if (lane.state === "down") lane.begin("down", from_ms);
    }
  }

  on_stream(stream) {
    this.stream = stream;
    this.changed();
  }

  /** The simulated time now: the clock's, moved on by the real time since it was asked. */
  now_ms() {
    const { clock, at_ms, speed, frozen } = this.clock;
    const since = clock === "real" && !frozen && this.stream !== "stale" ? (performance.now() - this.clock_at) * speed : 0;
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

  /** True if a saved log would not be known to be judged as the page has it. */
  get is_unlogged() {
    return this.verdict !== null && found(this.verdict) !== this.logged;
  }

  ask_verdict_soon() {
    if (this.asking) return;
    this.asking = true;
    setTimeout(() => this.ask_verdict().finally(() => { this.asking = false; }), SETTLE_MS);
  }

  /**
   * Ask for the verdict; a farm that needs long for it is not asked again at once.
   *
   * The question leaves the log alone.  If it is quiet and something else was found than the log tells so far, it is
   * asked once more and logged, so that a saved log is judged as the page has it.
   */
  async ask_verdict() {
    this.is_old = false;
    const asked = performance.now(), seq = this.verdict?.seq;
    try {
      this.verdict = await get(VERDICT);
      if (this.verdict.seq === seq && this.is_unlogged) {
        this.verdict = await get("/api/verdict");
        this.logged = found(this.verdict);
      }
    } catch {
      return;
    }
    this.changed();
    await wait(Math.min(REST * (performance.now() - asked), 10000));
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

const wait = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

const began = ({ unix_ms, at_ms }) => unix_ms - at_ms;

/** What a verdict says; its sentences may tell the time, too. */
const found = ({ verdict, findings }) => JSON.stringify([
  verdict, ...findings.map(({ severity, finding, job, instance, events }) => [severity, finding, job, instance, events]),
]);
