// The page: lanes above, the verdict and the panels below.

import { html, render, useEffect, useReducer, useRef, useState } from "./vendor/preact.js";
import { HANDS } from "./api.js";
import { Clock } from "./clock.js";
import { Faults } from "./faults.js";
import { Events } from "./events.js";
import { Instance } from "./instance.js";
import { draw, duration, find, pitch_of } from "./lanes.js";
import { Numbers, Pictures, Requests } from "./panels.js";
import { Copy, Hand } from "./parts.js";
import { Store } from "./store.js";
import { CopyTest } from "./copytest.js";
import { Verdict } from "./verdict.js";

const REFRESH_MS = 250;         // of what is not drawn on the canvas
const WINDOWS_MS = [10e3, 30e3, 60e3, 300e3, 900e3];
const SHORTEST_MS = 10e3;
const TABS = {
  Instance, Faults, Log: Events, Requests, Numbers, Pictures, Test: CopyTest,
};

const store = new Store(() => refresh && refresh());
let refresh = null;

function App() {
  const [, tick] = useReducer((count) => count + 1, 0);
  const [window_ms, show] = useState(60e3);
  const [tab, open] = useState("Log");
  const [shown, point] = useState(null);      // the seqs of a finding's events
  useEffect(() => {
    refresh = tick;
    const timer = setInterval(tick, REFRESH_MS);
    return () => clearInterval(timer);
  }, []);
  const follow = (seqs) => { point(seqs); open("Log"); };
  const Panel = TABS[tab];
  return html`
    <header>
      <h1>comfyfarm</h1>
      <${Badge} />
      <${Clock} store=${store} />
      <span class="spread"></span>
      ${["reset", "trial", "heal"].map((name) => html`<${Hand} store=${store} hand=${HANDS[name]()} />`)}
      <select aria-label="window" onChange=${(change) => show(+change.target.value)}>
        ${WINDOWS_MS.map((ms) => html`<option value=${ms} selected=${ms === window_ms}>last ${duration(ms)}</option>`)}
      </select>
    </header>
    <${Lanes} window_ms=${window_ms} onSelect=${(name) => { store.select(name); if (store.selected) open("Instance"); }} />
    <${LastAction} />
    <div class="halves">
      <${Verdict} store=${store} onEvents=${follow} />
      <section class="tabs">
        <nav role="tablist">${Object.keys(TABS).map((name) => html`
          <button role="tab" aria-selected=${tab === name} onClick=${() => open(name)}>${name}</button>`)}
        </nav>
        <${Panel} store=${store} shown=${shown} onClear=${() => point(null)} />
      </section>
    </div>`;
}

function Badge() {
  const verdict = store.verdict ? store.verdict.verdict : "…";
  return html`
    <span class="badge ${verdict}" id="verdict">${verdict}</span>
    <span class="stream ${store.stream}" id="stream" title="the log's stream">${{
      live: "live", stale: "no connection: what you see is stale", connecting: "connecting",
    }[store.stream]}</span>
    ${store.farm.trial && html`<span class="faint">${store.farm.trial}</span>`}`;
}

/** The time that the lanes show: all of a young farm's, not more. */
const shown_ms = (window_ms) => Math.min(window_ms, Math.max(SHORTEST_MS, 1.05 * store.now_ms()));

function Lanes({ window_ms, onSelect }) {
  const canvas = useRef(null);
  const [title, say] = useState("");
  useEffect(() => {
    let frame = 0;
    const paint = () => {
      const began = performance.now();
      draw(canvas.current, store.farm, store.now_ms(), shown_ms(window_ms), store.lit);
      frames.push(performance.now() - began);
      if (frames.length > 600) frames.splice(0, 300);
      frame = requestAnimationFrame(paint);
    };
    paint();
    return () => cancelAnimationFrame(frame);
  }, [window_ms]);
  const at = (event) => find(canvas.current, store.farm, store.now_ms(), shown_ms(window_ms), event.offsetX, event.offsetY);
  const names = [...store.farm.lanes.keys()];
  const pitch = pitch_of(names.length);
  return html`
    <section class="lanes" aria-label="instances">
      <canvas ref=${canvas} title=${title}
        onClick=${(event) => { const { span } = at(event); store.light(span ? span.job : null); }}
        onMouseMove=${(event) => { const { lane, span } = at(event); say(span ? `${span.job} on ${lane.name}` : ""); }} />
      ${names.map((name, index) => html`
        <button key=${name} class="lane" aria-label=${name} aria-pressed=${store.selected === name}
          style=${{ top: `${22 + index * pitch}px`, height: `${pitch}px` }} onClick=${() => onSelect(name)} />`)}
    </section>`;
}

const frames = [];
window.comfyfarm = { store, frames };      // for those who look from the browser's console, and for the tests

function LastAction() {
  if (!store.last) return null;
  const { label, curl, python, outcome, failed } = store.last;
  return html`<section class="last" id="last">
    <b class=${failed ? "bad" : ""}>${label}: ${outcome}</b>
    <code>${curl}</code><${Copy} text=${curl} />
    <code>${python}</code><${Copy} text=${python} />
  </section>`;
}

store.start().catch((error) => { document.getElementById("app").textContent = `The farm does not answer: ${error.message}`; });
document.getElementById("app").textContent = "";
render(html`<${App} />`, document.getElementById("app"));
