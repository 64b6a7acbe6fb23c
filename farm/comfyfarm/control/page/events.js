// The log as it comes, with filters; or the events that prove a finding.

import { html, useEffect, useState } from "./vendor/preact.js";
import { get } from "./api.js";
import { latest, LOG_KEYS } from "./filters.js";
import { clip, duration } from "./words.js";
import { Copy, Filters } from "./parts.js";

const ROWS = 100;
const LETTERS = 400;        // of an event; "copy events" has all of it
const OWN = new Set(["kind", "seq", "at_ms", "instance", "epoch"]);

export function Events({ store, shown, onClear }) {
  const [texts, filter] = useState({});
  const [evidence, keep] = useState(null);
  const [held, hold] = useState(null);        // the rows that are held still
  useEffect(() => { if (shown) fetch_events(shown).then(keep); else keep(null); }, [shown]);
  if (shown) return html`<div class="log">
    <p><b>The events that prove it</b> <button class="link" onClick=${onClear}>back to the log</button>
      <${Copy} text=${(evidence || []).map((event) => JSON.stringify(event)).join("\n")} label="copy events" /></p>
    <${Rows} events=${evidence || []} /></div>`;
  const { events, noise } = store.farm;
  const source = texts.kind || texts.type ? [...noise, ...events].sort((one, other) => one.seq - other.seq) : events;
  const rows = held || latest(source, texts, ROWS);
  return html`<div class="log">
    <${Filters} keys=${LOG_KEYS} texts=${texts} onChange=${filter}>
      <button type="button" onClick=${() => hold(held ? null : rows)}>${held ? "go on" : "hold still"}</button><//>
    <${Rows} events=${rows} /></div>`;
}

const Rows = ({ events }) => html`<table><tbody>${events.map((event) => html`<tr key=${event.seq}>
  <td class="faint">${event.seq}</td><td>${duration(event.at_ms)}</td><td class="name" title=${event.instance}>${event.instance || ""}</td>
  <td><b>${event.kind}</b></td><td class="facts">${facts(event)}</td></tr>`)}</tbody></table>
  ${events.length === 0 && html`<p class="faint">No event of the latest ones is like that.</p>`}`;

async function fetch_events(seqs) {
  const found = [];
  for (const seq of seqs.slice(0, 50)) {
    const text = await get(`/api/log?since=${seq - 1}&limit=1`);
    if (text) found.push(JSON.parse(text));
  }
  return found;
}

function facts(event) {
  const texts = Object.entries(event)
    .filter(([key, value]) => !OWN.has(key) && value !== "" && value !== null)
    .map(([key, value]) => `${key}: ${typeof value === "object" ? JSON.stringify(value) : value}`);
  return clip(texts.join("  "), LETTERS);
}
