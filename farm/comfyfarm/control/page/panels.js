// Panels that ask the control API for what they show: requests, numbers, the last pictures.

import { html, useEffect, useRef, useState } from "./vendor/preact.js";
import { get } from "./api.js";
import { duration } from "./lanes.js";

const KEPT_REQUESTS = 200;

export function Requests({ store }) {
  const [filters, set] = useState({ instance: "", route: "", job: "" });
  const [chosen, choose] = useState(null);
  const write = (key) => (event) => set({ ...filters, [key]: event.target.value });
  const requests = store.farm.events.filter((event) => event.kind === "exchanged" && matches(event, filters));
  return html`<div class="log">
    <form class="inline">${Object.keys(filters).map((key) => html`
      <input aria-label=${key} placeholder=${key} value=${filters[key]} onInput=${write(key)} />`)}</form>
    <table><tbody>${requests.slice(-KEPT_REQUESTS).reverse().map((event) => html`
      <tr key=${event.seq} class="row" onClick=${() => choose(chosen === event.seq ? null : event.seq)}>
        <td>${duration(event.at_ms)}</td><td>${event.instance}</td><td>${event.method || "GET"}</td>
        <td class="facts">${event.path}${event.query ? `?${event.query}` : ""}</td>
        <td class=${event.status >= 400 || !event.status ? "bad" : ""}>${event.status || "no answer"}</td>
        <td class="faint">${event.size_bytes || 0} B</td></tr>
      ${chosen === event.seq && html`<tr><td colspan="6"><pre>${kept(event)}</pre></td></tr>`}`)}</tbody></table>
  </div>`;
}

const matches = (event, { instance, route, job }) =>
  (event.instance || "").includes(instance) && event.path.includes(route) && (event.job || "").includes(job);

function kept(event) {
  const headers = event.request_headers || "";
  if (!headers && !event.request_body) return "Headers and bodies are kept with [farm] journal_bodies = true.";
  return `${headers}\n\n${event.request_body || ""}`;
}

/** Queue depths over time, and how well the work was placed. */
export function Numbers({ store }) {
  const [placement, keep] = useState(null);
  const ask = () => get("/api/placement").then(keep, (error) => keep({ error: error.message }));
  return html`<div>
    <${Depths} store=${store} />
    <p><button onClick=${ask}>how well was the work placed?</button></p>
    ${placement && html`<pre class="placement">${JSON.stringify(placement, null, 1)}</pre>`}
  </div>`;
}

function Depths({ store }) {
  const place = useRef(null);
  const plot = useRef(null);
  const series = depths(store.farm, store.now_ms());
  useEffect(() => {
    if (!plot.current) {
      const options = {
        width: Math.max(300, place.current.clientWidth), height: 180, scales: { x: { time: false } },
        axes: [{ stroke: "#8a96a3" }, { stroke: "#8a96a3" }],
        series: [{ label: "s" }, { label: "waiting jobs, all instances", stroke: "#3385c9", fill: "#3385c933", paths: window.uPlot.paths.stepped({ align: 1 }) }],
        legend: { show: false },
      };
      plot.current = new window.uPlot(options, series, place.current);
    } else {
      plot.current.setData(series);
    }
  });
  return html`<div ref=${place}></div>`;
}

/** The number of waiting jobs of all instances, at each change. */
function depths(farm, now_ms) {
  const changes = [];
  for (const lane of farm.lanes.values()) {
    let last = 0;
    for (const [at_ms, depth] of lane.depths) {
      changes.push([at_ms, depth - last]);
      last = depth;
    }
  }
  changes.sort((one, other) => one[0] - other[0]);
  const times = [], sums = [];
  let sum = 0;
  for (const [at_ms, change] of changes) {
    sum += change;
    times.push(at_ms / 1000);
    sums.push(sum);
  }
  return [[...times, now_ms / 1000], [...sums, sum]];
}

export function Pictures({ store }) {
  const pictures = [...store.farm.pictures].slice(-12).reverse();
  if (pictures.length === 0) return html`<p class="faint">No dynamic instance has written a picture yet.</p>`;
  return html`<div class="pictures">${pictures.map((picture) => html`<figure>
    <img alt=${picture.name} src=${url_of(picture)} />
    <figcaption>${picture.name}<br /><span class="faint">${picture.instance}, ${picture.job}</span></figcaption>
  </figure>`)}</div>`;
}

function url_of({ instance, folder, subfolder, name }) {
  const query = new URLSearchParams({ folder, subfolder, name });
  return `/api/instances/${encodeURIComponent(instance)}/picture?${query}`;
}
