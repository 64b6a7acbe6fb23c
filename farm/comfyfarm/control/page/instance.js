// One instance: what it is, what it does now, and what can be done to it.

import { html, useEffect, useState } from "./vendor/preact.js";
import { get, HANDS } from "./api.js";
import { Hand } from "./parts.js";

export function Instance({ store }) {
  const name = store.selected;
  const [detail, keep] = useState(null);
  const lane = name ? store.farm.lanes.get(name) : null;
  useEffect(() => {
    keep(null);
    if (name) get(`/api/instances/${encodeURIComponent(name)}`).then(keep, () => keep(null));
  }, [name, lane && lane.epoch, lane && lane.state]);
  if (!lane) return html`<p class="faint">Choose an instance on the left of the lanes.</p>`;
  const running = lane.running;
  return html`<div class="instance" aria-label=${name}>
    <h2>${name} <span class="faint">${lane.state}</span></h2>
    <p class="hands">
      ${["crash", "restart", lane.state === "down" ? "start" : "stop"].map(hand(store, name))}
      ${hand(store, name)(lane.state === "paused" ? "resume" : "pause")}
      <${Hand} store=${store} hand=${HANDS.drain(name, !lane.draining)} />
      ${hand(store, name)("resetOne")}
    </p>
    <dl>
      <dt>mode</dt><dd>${lane.mode}</dd>
      <dt>version</dt><dd>${(detail && detail.settings.comfyui_version) || lane.version || "…"}</dd>
      <dt>process</dt><dd>${lane.epoch}</dd>
      <dt>url</dt><dd>${detail ? detail.url : "…"}</dd>
      <dt>queue</dt><dd>${lane.waiting.size} wait</dd>
      <dt>runs</dt><dd>${running ? `${running.job}, ${running.node} ${running.max ? `${running.value}/${running.max}` : ""}` : "nothing"}</dd>
      <dt>finished</dt><dd>${lane.finished}</dd>
      <dt>websockets</dt><dd>${lane.sockets}</dd>
      <dt>models in memory</dt><dd>${lane.models.size ? [...lane.models].map(([model, size]) =>
        html`<div>${model} <span class="faint">${(size / 2 ** 30).toFixed(1)} GB</span></div>`) : "none"}</dd>
    </dl>
  </div>`;
}

const hand = (store, name) => (verb) => html`<${Hand} store=${store} hand=${HANDS[verb](name)} />`;
