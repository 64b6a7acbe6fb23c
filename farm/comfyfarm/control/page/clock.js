// The clock: what time it is for the instances, and how it passes.

import { html, useState } from "./vendor/preact.js";
import { HANDS } from "./api.js";
import { duration } from "./words.js";
import { Hand } from "./parts.js";

export function Clock({ store }) {
  const { clock, frozen, speed, auto } = store.clock;
  return html`<span class="clock">
    <b>${duration(store.now_ms())}</b>
    ${clock === "real"
      ? html`<${Hand} store=${store} hand=${HANDS.freeze(!frozen)} /><${Speed} store=${store} speed=${speed} />`
      : html`<${Advance} store=${store} />
          <${Hand} store=${store} hand=${HANDS.runUntilIdle()} /><${Hand} store=${store} hand=${HANDS.auto(!auto)} />`}
  </span>`;
}

function Speed({ store, speed }) {
  const [text, write] = useState("");
  return html`<form class="inline" onSubmit=${(event) => { event.preventDefault(); store.act(HANDS.speed(Number(text))); }}>
    <input aria-label="speed" type="number" min="0" step="any" required placeholder=${`x ${speed}`} value=${text} onInput=${(event) => write(event.target.value)} />
    <button class="hand">speed</button></form>`;
}

function Advance({ store }) {
  const [text, write] = useState("10s");
  return html`<form class="inline" onSubmit=${(event) => { event.preventDefault(); store.act(HANDS.advance(text)); }}>
    <input aria-label="advance by" size="5" required value=${text} onInput=${(event) => write(event.target.value)} />
    <button class="hand">advance</button></form>`;
}
