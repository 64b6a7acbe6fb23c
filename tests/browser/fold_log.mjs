// Folds a log, given as lines of JSON, as the page does, and prints its lanes.
// Usage: node fold_log.mjs PAGE_FOLDER < run.jsonl

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const { Farm } = await import(pathToFileURL(`${process.argv[2]}/fold.js`));
const farm = new Farm();
for (const line of readFileSync(0, "utf8").split("\n")) if (line) farm.apply(JSON.parse(line));

const lanes = [...farm.lanes.values()].map(({ name, spans, running, outages, marks, waiting, models, ...rest }) => ({
  name, outages, marks, running: running && running.job,
  spans: spans.map(({ job, from_ms, to_ms, end, parts }) => ({ job, from_ms, to_ms, end, parts })),
  waiting: [...waiting.values()].map(({ job }) => job), models: [...models.keys()],
  state: rest.state, epoch: rest.epoch, draining: rest.draining, finished: rest.finished, sockets: rest.sockets,
}));
console.log(JSON.stringify({ at_ms: farm.at_ms, trial: farm.trial, marks: farm.marks, lanes }));
