// The log as it comes, with filters; or the events that prove a finding.

import { html, useEffect, useState } from "./vendor/preact.js";
import { get } from "./api.js";
import { duration } from "./lanes.js";

const ROWS = 200;
const NOISE = new Set(["progressed", "frame_sent", "picture_sent", "judged"]);
const OWN = new Set(["kind", "seq", "at_ms", "instance", "epoch"]);

export function Events({ store, shown, onClear }) {
  const [filters, set] = useState({ instance: "", kind: "", text: "" });
  const [evidence, keep] = useState(null);
  useEffect(() => { if (shown) fetch_events(shown).then(keep); else keep(null); }, [shown]);
  const write = (key) => (event) => set({ ...filters, [key]: event.target.value });
  const events = evidence || latest(store.farm.events, filters);
  return html`<div class="log">
    ${shown
      ? html`<p><b>The events that prove it</b> <button class="link" onClick=${onClear}>back to the log</button></p>`
      : html`<form class="inline">
          <input aria-label="instance" placeholder="instance" value=${filters.instance} onInput=${write("instance")} />
          <input aria-label="kind" placeholder="kind" value=${filters.kind} onInput=${write("kind")} />
          <input aria-label="text" placeholder="route, job, id, …" value=${filters.text} onInput=${write("text")} />
        </form>`}
    <table><tbody>${events.map((event) => html`<tr key=${event.seq}>
      <td class="faint">${event.seq}</td><td>${duration(event.at_ms)}</td><td>${event.instance || ""}</td>
      <td><b>${event.kind}</b></td><td class="facts">${facts(event)}</td></tr>`)}</tbody></table>
  </div>`;
}

async function fetch_events(seqs) {
  const found = [];
  for (const seq of seqs.slice(0, 50)) {
    const text = await get(`/api/log?since=${seq - 1}&limit=1`);
    if (text) found.push(JSON.parse(text));
  }
  return found;
}

/** The latest events that match, newest first; without a filter the many small ones are left out. */
function latest(events, { instance, kind, text }) {
  const found = [];
  for (let index = events.length - 1; index >= 0 && found.length < ROWS; index -= 1) {
    const event = events[index];
    if (!kind && NOISE.has(event.kind)) continue;
    if (instance && !(event.instance || "").includes(instance)) continue;
    if (kind && !event.kind.includes(kind)) continue;
    if (text && !JSON.stringify(event).includes(text)) continue;
    found.push(event);
  }
  return found;
}

function facts(event) {
  return Object.entries(event)
    .filter(([key]) => !OWN.has(key))
    .map(([key, value]) => `${key}: ${typeof value === "object" ? JSON.stringify(value) : value}`)
    .join("  ")
    .slice(0, 400);
}
