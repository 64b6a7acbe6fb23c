// Folds the events of the log into what the page shows.  Pure: no document, no network, no clock.

import { NOISE } from "./filters.js";
import { keep, KEPT_SPANS, Lane } from "./lane.js";

const KEPT_EVENTS = 2000;       // of the log's tail
const KEPT_NOISE = 1000;
const KEPT_PICTURES = 12;
const KEPT_JOBS = 20000;
const KEPT_FAULTS = 500;

/** All that the page knows of the farm, as far as the log has told it. */
export class Farm {
  constructor() {
    this.seq = 0;
    this.count = 0;             // of the events that were folded
    this.at_ms = 0;
    this.config = null;
    this.version = "";
    this.trial = "";
    this.lanes = new Map();
    this.colours = new Map();   // of logical jobs: the order in which they came
    this.next_colour = 0;
    this.marks = [];            // of the farm as a whole
    this.events = [];           // the latest ones without the many small ones, which are in noise
    this.noise = [];
    this.exchanges = [];        // the latest requests
    this.pictures = [];         // the latest ones: {instance, folder, subfolder, name, job}
    this.jobs = new Map();      // by prompt id: the logical job
    this.places = new Map();    // by logical job: the instance on which it succeeded last
    this.armed = new Map();     // faults by id: the table and the number of firings
  }

  lane(name) {
    if (!this.lanes.has(name)) this.lanes.set(name, new Lane(name, {}));
    return this.lanes.get(name);
  }

  colour(job) {
    if (!this.colours.has(job)) remember(this.colours, job, this.next_colour++);
    return this.colours.get(job);
  }

  apply(event) {
    this.seq = event.seq;
    this.at_ms = Math.max(this.at_ms, event.at_ms);
    this.count += 1;
    if (NOISE.has(event.kind)) keep(this.noise, event, KEPT_NOISE);
    else keep(this.events, event, KEPT_EVENTS);
    const handle = HANDLERS[event.kind];
    if (handle) handle(this, event, event.instance ? this.lane(event.instance) : null);
  }
}

function remember(map, key, value) {
  map.set(key, value);
  if (map.size > KEPT_JOBS) map.delete(map.keys().next().value);
}

function mark(farm, lane, event, kind, text) {
  keep(lane ? lane.marks : farm.marks, { kind, at_ms: event.at_ms, text, seq: event.seq }, KEPT_SPANS);
}

function leave_queue(lane, event, ids) {
  for (const id of ids) lane.waiting.delete(id);
  lane.note_depth(event.at_ms);
}

const HANDLERS = {
  configured(farm, event) {
    farm.config = event.config;
    farm.version = event.version || "";
    for (const settings of event.config.instance || []) {
      farm.lanes.set(settings.name, new Lane(settings.name, settings));
    }
  },
  trial_began(farm, event) {
    farm.trial = event.name;
    mark(farm, null, event, "trial", `trial ${event.name}`);
  },
  healed: (farm, event) => mark(farm, null, event, "heal", "healed"),
  farm_late(farm, event) {
    mark(farm, null, event, "late", `the farm itself was up to ${event.late_ms} ms late`);
    farm.marks[farm.marks.length - 1].from_ms = event.since_ms;
  },
  wall_clock_jumped: (farm, event) => mark(farm, null, event, "jump", `the wall clock jumped by ${event.by_ms} ms`),

  server_started(farm, event, lane) {
    if (lane.ready < event.epoch) lane.state = "booting";       // one without a boot was ready before
    lane.epoch = event.epoch;
  },
  server_ready(farm, event, lane) {
    lane.state = "running";
    lane.epoch = lane.ready = event.epoch;
    lane.end("down", event.at_ms);
  },
  server_stopped(farm, event, lane) {
    const { running } = lane;
    lane.finish(event.at_ms, "lost");
    lane.state = "down";
    lane.sockets = 0;
    lane.refusing = false;
    const kept = event.kept || [];
    if (!kept.includes("queue")) lane.waiting.clear();
    else if (running) lane.waiting.set(running.prompt, { job: running.job, since_ms: event.at_ms });
    if (!kept.includes("models")) lane.models.clear();
    for (const kind of ["frozen", "paused", "refusing"]) lane.end(kind, event.at_ms);
    lane.begin("down", event.at_ms);
    lane.note_depth(event.at_ms);
    mark(farm, lane, event, "cut", `${event.reason || "stopped"}; ${(event.lost || []).length} jobs lost`);
  },
  frozen(farm, event, lane) {
    lane.state = "frozen";
    lane.begin("frozen", event.at_ms);
  },
  thawed(farm, event, lane) {
    lane.state = "running";
    lane.end("frozen", event.at_ms);
  },
  paused(farm, event, lane) {
    lane.state = "paused";
    lane.begin("paused", event.at_ms);
  },
  resumed(farm, event, lane) {
    lane.state = "running";
    lane.end("paused", event.at_ms);
  },
  refusing(farm, event, lane) {
    lane.refusing = event.on;
    if (event.on) lane.begin("refusing", event.at_ms);
    else lane.end("refusing", event.at_ms);
  },
  draining(farm, event, lane) {
    lane.draining = event.on;
    if (event.on) lane.begin("draining", event.at_ms);
    else lane.end("draining", event.at_ms);
  },
  reset(farm, event, lane) {
    lane.finish(event.at_ms, "forgotten");
    lane.waiting.clear();
    lane.end("paused", event.at_ms);
    lane.finished = 0;
    lane.note_depth(event.at_ms);
  },
  settings_changed(farm, event, lane) {
    if (event.settings.mode) lane.mode = event.settings.mode;
  },

  submitted(farm, event, lane) {
    remember(farm.jobs, event.prompt_id, event.job);
    if (farm.colours.has(event.job)) mark(farm, lane, event, "retry", `${event.job} was sent again`);
    farm.colour(event.job);
    lane.end("down", event.at_ms);      // the log may lack the event that it came up
    lane.waiting.set(event.prompt_id, { job: event.job, since_ms: event.at_ms });
    lane.note_depth(event.at_ms);
  },
  prompt_refused(farm, event, lane) {
    lane.refused = event.job;
    farm.colour(event.job);
    mark(farm, lane, event, "refused", `refused ${event.job}: ${event.error}`);
  },
  exchanged(farm, event, lane) {
    keep(farm.exchanges, event, KEPT_NOISE);
    if (event.method !== "POST" || !event.job || event.prompt_id || !/^(\/api)?\/prompt$/.test(event.path)) return;
    // A submission that failed before validation has no other event.
    if (lane.refused !== event.job) mark(farm, lane, event, "refused", `${event.job} was answered ${event.status || "nothing"}`);
    farm.colour(event.job);
    lane.refused = null;
  },
  taken(farm, event, lane) {
    leave_queue(lane, event, [event.prompt_id]);
    lane.running = { prompt: event.prompt_id, job: event.job, from_ms: event.at_ms, node: "", value: 0, max: 0, parts: [] };
    lane.part_ms = event.at_ms;
  },
  node_started(farm, event, lane) {
    lane.part_ms = event.at_ms;
    if (lane.running) Object.assign(lane.running, { node: event.class_type || event.node, value: 0, max: 0 });
  },
  progressed(farm, event, lane) {
    lane.part_ms = event.at_ms;
    if (lane.running) Object.assign(lane.running, { value: event.value, max: event.max });
  },
  finished(farm, event, lane) {
    if (event.status === "success" && lane.running) remember(farm.places, lane.running.job, lane.name);
    lane.finish(event.at_ms, lane.running && lane.running.interrupted ? "interrupted" : event.status);
    lane.finished += 1;
  },
  interrupted(farm, event, lane) {
    if (lane.running) lane.running.interrupted = true;
  },
  internal_error(farm, event, lane) {
    if (lane && event.prompt_id) lane.finish(event.at_ms, "error");
    mark(farm, lane, event, "fault", `error of comfyfarm: ${event.error}`);
  },
  queue_deleted: (farm, event, lane) => leave_queue(lane, event, [event.prompt_id]),
  queue_cleared: (farm, event, lane) => leave_queue(lane, event, event.prompt_ids),
  worker_died: (farm, event, lane) => lane.finish(event.at_ms, "lost"),

  model_loaded(farm, event, lane) {
    lane.models.set(`${event.folder}/${event.name}`, event.size_bytes);
    lane.end_part("loading", event.at_ms);
  },
  model_unloaded(farm, event, lane) {
    lane.models.delete(`${event.folder}/${event.name}`);
    lane.end_part("loading", event.at_ms);
  },
  written(farm, event, lane) {
    lane.end_part("saving", event.at_ms);
    const { instance, folder, subfolder = "", name, prompt_id } = event;
    keep(farm.pictures, { seq: event.seq, instance, folder, subfolder, name, job: farm.jobs.get(prompt_id) || "" }, KEPT_PICTURES);
  },
  delivered(farm, event) {
    const name = event.instance || farm.places.get(event.job);
    mark(farm, name ? farm.lane(name) : null, event, "delivered", `delivered ${event.job}`);
  },

  socket_opened: (farm, event, lane) => { lane.sockets += 1; },
  socket_closed: (farm, event, lane) => { lane.sockets = Math.max(0, lane.sockets - 1); },

  fault_armed(farm, event) {
    farm.armed.set(event.id, { id: event.id, table: event.fault, on: event.on, fired: 0, state: "armed" });
    if (farm.armed.size <= KEPT_FAULTS) return;
    for (const [id, { state }] of farm.armed) if (state !== "armed") farm.armed.delete(id);
  },
  fault_fired(farm, event, lane) {
    const fault = farm.armed.get(event.id);
    if (fault) fault.fired += 1;
    mark(farm, lane, event, "fault", `${event.id}: ${event.do} at ${event.phase}`);
  },
  fault_expired: (farm, event) => end_fault(farm, event, "expired"),
  fault_healed: (farm, event) => end_fault(farm, event, event.reason || "healed"),
};

function end_fault(farm, event, state) {
  const fault = farm.armed.get(event.id);
  if (fault) fault.state = state;
}
