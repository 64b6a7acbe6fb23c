// The page: lanes above, the verdict and the panels below.

import { html, render, useEffect, useReducer, useState } from "./vendor/preact.js";
import { HANDS } from "./api.js";
import { frames, Lanes } from "./board.js";
import { Clock } from "./clock.js";
import { CopyTest } from "./copytest.js";
import { Events } from "./events.js";
import { Faults } from "./faults.js";
import { Instance } from "./instance.js";
import { Numbers } from "./numbers.js";
import { Copy, Hand, Tabs } from "./parts.js";
import { Pictures } from "./pictures.js";
import { Requests } from "./requests.js";
import { Store } from "./store.js";
import { Verdict } from "./verdict.js";
import { duration } from "./words.js";

const REFRESH_MS = 250;         // of what is not drawn on the canvas
const REST = 6;                 // times as long as the last refresh took, the page waits for the next
const WINDOWS_MS = [10e3, 30e3, 60e3, 300e3, 900e3];
const MUCH_LAG_MS = 100;
const PANELS = {
  Instances: Instance, Faults, Log: Events, Requests, Numbers, Pictures, Test: CopyTest,
};

const store = new Store(() => refresh && refresh());
let refresh = null;

function App() {
  const [, tick] = useReducer((count) => count + 1, 0);
  const [window_ms, show] = useState(60e3);
  const [tab, open] = useState("Log");
  const [shown, point] = useState(null);      // the seqs of a finding's events
  useEffect(() => refresh_often(tick), []);
  useEffect(() => { document.body.className = store.stream; }, [store.stream]);
  const follow = (seqs) => { point(seqs); open("Log"); };
  const choose = (name) => { store.select(name); if (store.selected) open("Instances"); };
  const Panel = PANELS[tab];
  return html`
    <header>
      <h1>comfyfarm</h1>
      <${Badge} />
      <${Clock} store=${store} />
      <${Lag} />
      <span class="spread"></span>
      ${["reset", "trial", "heal"].map((name) => html`<${Hand} store=${store} hand=${HANDS[name]()} />`)}
      <select aria-label="window" onChange=${(change) => show(+change.target.value)}>
        ${WINDOWS_MS.map((ms) => html`<option value=${ms} selected=${ms === window_ms}>last ${duration(ms)}</option>`)}
      </select>
    </header>
    <${Lanes} store=${store} window_ms=${window_ms} onSelect=${choose} />
    <${LastAction} />
    <div class="halves">
      <${Verdict} store=${store} onEvents=${follow} />
      <section class="tabs">
        <${Tabs} names=${Object.keys(PANELS)} chosen=${tab} onChoose=${open} />
        <div role="tabpanel" id="panel" aria-labelledby=${`tab-${tab}`} tabindex="0">
          <${Panel} store=${store} shown=${shown} onClear=${() => point(null)} onSelect=${choose} />
        </div>
      </section>
    </div>`;
}

/** Call `tick` again and again, less often if that takes long. */
function refresh_often(tick) {
  let timer = 0;
  refresh = tick;
  const go_on = () => {
    const began = performance.now();
    tick();
    requestAnimationFrame(() => {       // preact has rendered by then
      keep_focus();
      timer = setTimeout(go_on, Math.max(REFRESH_MS, REST * (performance.now() - began)));
    });
  };
  go_on();
  return () => clearTimeout(timer);
}

let focused = null;
document.addEventListener("focusin", (event) => { focused = event.target; });

/** Keep the keyboard where it was: in the panel, if what had the focus is gone or can do nothing now. */
function keep_focus() {
  if (!focused || (focused.isConnected && !focused.disabled) || document.activeElement !== document.body) return;
  focused = null;
  document.getElementById("panel").focus();
}

function Badge() {
  const verdict = store.verdict ? store.verdict.verdict : "…";
  return html`
    <span class="badge ${verdict}" id="verdict" role="status">${verdict}</span>
    <span class="stream ${store.stream}" id="stream" role="status" title="the log's stream">${{
      live: "live", stale: "no connection: what you see is stale", connecting: "connecting",
    }[store.stream]}</span>
    ${store.farm.trial && html`<span class="faint">${store.farm.trial}</span>`}`;
}

function Lag() {
  const { lag_ms, max_lag_ms, clock } = store;
  if (clock.clock !== "real") return null;
  return html`<span id="lag" class=${lag_ms > MUCH_LAG_MS ? "bad" : "faint"}
    title="how late the farm itself was when something was due last, and the most since its start">
    ${lag_ms} ms late, at most ${max_lag_ms} ms</span>`;
}

function LastAction() {
  if (!store.last) return null;
  const { label, curl, python, outcome, failed } = store.last;
  return html`<section class="last" id="last" role="status">
    <b class=${failed ? "bad" : ""}>${label}: ${outcome}</b>
    <code>${curl}</code><${Copy} text=${curl} label="copy curl" />
    <code>${python}</code><${Copy} text=${python} label="copy Python" />
  </section>`;
}

window.comfyfarm = { store, frames };      // for those who look from the browser's console, and for the tests
store.start();
document.getElementById("app").textContent = "";
render(html`<${App} />`, document.getElementById("app"));
