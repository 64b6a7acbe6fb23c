// The instances in a table; or one of them: what it is, what it does now, and what can be done to it.

import { html, useEffect, useState } from "./vendor/preact.js";
import { get, HANDS } from "./api.js";
import { state_of } from "./lanes.js";
import { Hand } from "./parts.js";

const HEADS = ["instance", "state", "runs", "waiting", "done", "models", "mode", "version", "process", "websockets"];

const OF_PROCESSES = new Set(["crash", "pause", "resume"]);    // what the farm refuses if there is none

export function Instance({ store, onSelect }) {
  const lane = store.selected ? store.farm.lanes.get(store.selected) : null;
  return lane ? html`<${One} store=${store} lane=${lane} onSelect=${onSelect} />` : html`<${All} store=${store} onSelect=${onSelect} />`;
}

function All({ store, onSelect }) {
  return html`<div class="log"><table>
    <thead><tr>${HEADS.map((head) => html`<th scope="col">${head}</th>`)}</tr></thead>
    <tbody>${[...store.farm.lanes.values()].map((lane) => html`<tr key=${lane.name}>
      <th scope="row"><button class="link" onClick=${() => onSelect(lane.name)}>${lane.name}</button></th>
      <td class=${lane.state === "running" ? "" : "bad"}>${state_of(lane)}</td><td class="name" title=${lane.running && lane.running.job}>${lane.running ? lane.running.job : ""}</td>
      <td>${lane.waiting.size}</td><td>${lane.finished}</td><td>${lane.models.size}</td>
      <td>${lane.mode}</td><td>${lane.version}</td><td>${lane.epoch}</td><td>${lane.sockets}</td></tr>`)}</tbody></table></div>`;
}

function One({ store, lane, onSelect }) {
  const { name, running } = lane;
  const [detail, keep] = useState(null);
  useEffect(() => {
    keep(null);
    get(`/api/instances/${encodeURIComponent(name)}`).then(keep, () => keep(null));
  }, [name, lane.epoch, lane.state]);
  return html`<div class="instance" aria-label=${name}>
    <h2>${name} <span class="faint">${lane.state}</span> <button class="link" onClick=${() => onSelect(name)}>all instances</button></h2>
    <p class="hands">
      ${["crash", "restart", lane.state === "down" ? "start" : "stop", lane.state === "paused" ? "resume" : "pause"].map((verb) => html`
        <${Hand} store=${store} hand=${HANDS[verb](name)} disabled=${lane.state === "down" && OF_PROCESSES.has(verb)} />`)}
      <${Hand} store=${store} hand=${HANDS.drain(name, !lane.draining)} />
      <${Hand} store=${store} hand=${HANDS.resetOne(name)} />
    </p>
    <dl>
      <dt>mode</dt><dd>${lane.mode}</dd>
      <dt>version</dt><dd>${(detail && detail.settings.comfyui_version) || lane.version || "…"}</dd>
      <dt>process</dt><dd>${lane.epoch}</dd>
      <dt>url</dt><dd>${detail ? detail.url : "…"}</dd>
      <dt>queue</dt><dd>${lane.waiting.size} wait</dd>
      <dt>runs</dt><dd>${running ? html`${running.job}, ${running.node}
        ${running.max > 0 && html` <progress value=${running.value} max=${running.max} /> ${running.value}/${running.max}`}` : "nothing"}</dd>
      <dt>finished</dt><dd>${lane.finished}</dd>
      <dt>websockets</dt><dd>${lane.sockets}</dd>
      <dt>models in memory</dt><dd>${lane.models.size ? [...lane.models].map(([model, size]) =>
        html`<div>${model} <span class="faint">${(size / 2 ** 30).toFixed(1)} GB</span></div>`) : "none"}</dd>
    </dl>
  </div>`;
}
