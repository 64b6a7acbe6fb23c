// Queue depths over time, and on demand how well the work was placed.

import { html, useEffect, useRef, useState } from "./vendor/preact.js";
import { get } from "./api.js";
import { count, duration } from "./words.js";

const AXIS = { stroke: "#8a96a3", grid: { stroke: "#8a96a333" }, ticks: { stroke: "#8a96a333" } };
const ELSEWHERE = new Set(["is_small", "says", "each"]);
const MOST_CASES = 20;

export function Numbers({ store }) {
  const [placement, keep] = useState(null);
  const [asks, say] = useState(false);
  const ask = () => {
    say(true);
    get("/api/placement").then(keep, (error) => keep({ error: error.message })).finally(() => say(false));
  };
  return html`<div>
    <h2>Waiting jobs, all instances</h2>
    <${Depths} store=${store} />
    <p><button onClick=${ask} disabled=${asks}>how well was the work placed?</button></p>
    ${placement && (placement.error ? html`<p class="bad">${placement.error}</p>` : html`<${Placement} placement=${placement} />`)}
  </div>`;
}

function Placement({ placement }) {
  const measures = Object.entries(placement).filter(([, measure]) => is_table(measure));
  return html`<div class="placement">
    <p>${count(placement.jobs, "job")}, sent ${count(placement.dispatches, "time")} until ${duration(placement.at_ms)}</p>
    ${measures.map(([name, measure]) => html`<section>
      <h3>${words(name)} ${measure.is_small && html`<i class="faint" title="too few to show much">small sample</i>`}</h3>
      ${measure.says && html`<p class="faint">${measure.says}</p>`}
      <${Measure} measure=${measure} />
      ${(measure.each || []).length > 0 && html`<details><summary>one by one</summary><ul>
        ${measure.each.slice(0, MOST_CASES).map((item) => html`<li>${item.says}</li>`)}
        ${measure.each.length > MOST_CASES && html`<li class="faint">and ${measure.each.length - MOST_CASES} more</li>`}</ul></details>`}
    </section>`)}</div>`;
}

function Measure({ measure }) {
  const rows = Object.entries(measure).filter(([key]) => !ELSEWHERE.has(key));
  return html`<table><tbody>${rows.map(([key, value]) => html`<tr>
    <th scope="row">${words(key)}</th><td>${is_table(value) ? html`<${Inner} table=${value} />` : written(key, value)}</td></tr>`)}</tbody></table>`;
}

/** A value for each instance or policy, or several of each. */
function Inner({ table }) {
  const rows = Object.entries(table);
  if (rows.length === 0) return "–";
  if (!rows.every(([, row]) => is_table(row))) {
    const cells = rows.map(([key, value]) => html`<span class="pair"><span class="faint">${words(key)}</span> ${written(key, value)}</span> `);
    return rows.length > 8 ? html`<details><summary>${rows.length} values</summary>${cells}</details>` : cells;
  }
  const heads = Object.keys(rows[0][1]);
  return html`<table><thead><tr><th></th>${heads.map((head) => html`<th scope="col">${words(head)}</th>`)}</tr></thead>
    <tbody>${rows.map(([name, row]) => html`<tr><th scope="row">${name}</th>
      ${heads.map((head) => html`<td>${written(head, row[head])}</td>`)}</tr>`)}</tbody></table>`;
}

const is_table = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
const words = (key) => (key === "ms" ? "time" : key.replace(/_ms$/, "").replaceAll("_", " "));

function written(key, value) {
  if (value === null || value === undefined || (Array.isArray(value) && value.length === 0)) return "–";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value !== "number") return String(value);
  if (/(^|_)ms$/.test(key)) return value < 0 ? `−${duration(-Math.round(value))}` : duration(Math.round(value));
  return Number.isInteger(value) ? String(value) : String(+value.toPrecision(3));
}

function Depths({ store }) {
  const place = useRef(null);
  const plot = useRef(null);
  const series = depths(store.farm, store.now_ms());
  useEffect(() => {
    if (plot.current) {
      plot.current.setData(series);
      return;
    }
    const waiting = { stroke: "#3385c9", fill: "#3385c933", paths: window.uPlot.paths.stepped({ align: 1 }), points: { show: false } };
    const options = {
      width: Math.max(300, place.current.clientWidth), height: 180,
      scales: { x: { time: false }, y: { range: (plot, least, most) => [0, Math.max(4, most || 0)] } },
      cursor: { drag: { x: false, y: false } },
      axes: [{ ...AXIS, values: (_, times) => times.map((time) => duration(1000 * time)) }, AXIS],
      series: [{}, waiting], legend: { show: false },
    };
    plot.current = new window.uPlot(options, series, place.current);
  });
  return html`<div ref=${place} role="img" aria-label="waiting jobs of all instances over time"></div>`;
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
