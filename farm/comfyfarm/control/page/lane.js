// What the log says of one instance.  Pure, as fold.js.

export const KEPT_SPANS = 400;         // of a lane; older ones are out of sight

/** Append an item, and forget the oldest so that about `count` are left. */
export function keep(list, item, count) {
  list.push(item);
  if (list.length > 1.5 * count) list.splice(0, list.length - count);
}

/** What the log says of one instance. */
export class Lane {
  constructor(name, settings) {
    this.name = name;
    this.mode = settings.mode || "static";
    this.version = settings.comfyui_version || "";
    this.state = "down";
    this.epoch = 0;
    this.ready = 0;             // the latest epoch that has booted
    this.draining = false;
    this.refusing = false;
    this.sockets = 0;
    this.waiting = new Map();   // by prompt id: {job, since_ms}
    this.running = null;        // {prompt, job, from_ms, node, value, max}
    this.finished = 0;
    this.models = new Map();    // by folder/name: size in bytes
    this.spans = [];            // {job, from_ms, to_ms, end, parts}
    this.part_ms = 0;           // when what the running job does now began
    this.outages = [];          // {kind, from_ms, to_ms}, to_ms null while it lasts
    this.marks = [];            // {kind, at_ms, text}
    this.depths = [];           // [at_ms, waiting jobs], a step for each change
    this.begin("down", 0);
  }

  begin(kind, at_ms) {
    if (!this.outages.some((outage) => outage.kind === kind && outage.to_ms === null)) {
      this.outages.push({ kind, from_ms: at_ms, to_ms: null });
    }
  }

  /** End an outage; an empty one is dropped. */
  end(kind, at_ms) {
    const index = this.outages.findIndex((outage) => outage.kind === kind && outage.to_ms === null);
    if (index < 0) return;
    if (this.outages[index].from_ms < at_ms) this.outages[index].to_ms = at_ms;
    else this.outages.splice(index, 1);
    if (this.outages.length > KEPT_SPANS) this.outages.splice(0, 1);
  }

  finish(at_ms, end) {
    if (!this.running) return;
    const { job, prompt, from_ms, parts } = this.running;
    keep(this.spans, { job, prompt, from_ms, to_ms: at_ms, end, parts }, KEPT_SPANS);
    this.running = null;
  }

  /** Note that the running job has loaded or saved something since it began with that. */
  end_part(kind, at_ms) {
    const from_ms = this.part_ms;
    this.part_ms = at_ms;
    if (!this.running || from_ms >= at_ms) return;
    const { parts } = this.running, last = parts[parts.length - 1];
    if (last && last.kind === kind && last.to_ms === from_ms) last.to_ms = at_ms;
    else parts.push({ kind, from_ms, to_ms: at_ms });
  }

  note_depth(at_ms) {
    keep(this.depths, [at_ms, this.waiting.size], 2 * KEPT_SPANS);
  }
}
