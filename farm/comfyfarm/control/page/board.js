// The canvas of the lanes, with a button on each instance's name.

import { html, useEffect, useRef, useState } from "./vendor/preact.js";
import { draw, find, pitch_of, TOP } from "./lanes.js";
import { Legend } from "./signs.js";
import { duration } from "./words.js";

const FRAME_MS = 40;            // between two pictures
const CALM_MS = 1000;           // the same for readers who want less motion
const REST = 3;                 // times as long as the last picture took, the page waits for the next
const SHORTEST_MS = 5e3;
const KEPT_FRAMES = 600;
const CALM = matchMedia("(prefers-reduced-motion: reduce)");

/** How long each of the last pictures took to draw, in milliseconds. */
export const frames = [];

/** The time that the lanes show: all of a young farm's, not more. */
const shown_ms = (store, window_ms) => Math.min(window_ms, Math.max(SHORTEST_MS, 1.05 * store.now_ms()));

export function Lanes({ store, window_ms, onSelect }) {
  const canvas = useRef(null);
  const [current, move] = useState(0);      // the button that the tab key comes to
  useEffect(() => paint_often(canvas.current, store, window_ms), [window_ms]);
  const names = [...store.farm.lanes.keys()];
  const pitch = pitch_of(names.length);
  const under = (event) => find(
    canvas.current, store.farm, store.now_ms(), shown_ms(store, window_ms), event.offsetX, event.offsetY,
  );
  const on_key = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1, Home: -names.length, End: names.length }[event.key];
    if (!step) return;
    event.preventDefault();
    const next = Math.max(0, Math.min(names.length - 1, current + step));
    move(next);
    event.currentTarget.querySelectorAll("button.lane")[next].focus();
  };
  return html`
    <section class="lanes" aria-label="instances" onKeyDown=${on_key}>
      <canvas ref=${canvas} aria-hidden="true"
        onClick=${(event) => { const { span } = under(event); store.light(span ? span.job : null); }}
        onMouseMove=${(event) => { canvas.current.title = words(under(event), store.now_ms()); }} />
      ${names.map((name, index) => html`
        <button key=${name} class="lane" aria-label=${name} title=${name} aria-pressed=${store.selected === name} tabindex=${index === current ? 0 : -1}
          style=${{ top: `${TOP + index * pitch}px`, height: `${pitch}px` }} onFocus=${() => move(index)} onClick=${() => onSelect(name)} />`)}
    </section>
    <details class="legend"><summary>legend</summary><${Legend} /></details>`;
}

function words({ lane, span, mark }, now_ms) {
  const lines = mark ? [`${duration(mark.at_ms)}: ${mark.text}`] : [];
  if (span) lines.push(`${span.job} on ${lane.name}: ${duration(span.to_ms - span.from_ms)}${span.end ? `, ${span.end}` : ", still runs"}`);
  const outage = !span && lane && lane.outages.find((one) => one.to_ms === null);
  if (outage) lines.push(`${outage.kind} for ${duration(now_ms - outage.from_ms)}`);
  return lines.join("\n");
}

/** Draw the lanes as long as something moves: events come, or the time passes. */
function paint_often(canvas, store, window_ms) {
  let frame = 0, next = 0, drawn = "";
  const paint = () => {
    frame = requestAnimationFrame(paint);
    const began = performance.now();
    if (began < next) return;
    const { farm, lit } = store, now_ms = store.now_ms();
    const state = [now_ms, farm.count, farm.lanes.size, lit, canvas.clientWidth, canvas.parentElement.scrollTop].join();
    if (state === drawn && began < next + CALM_MS) return;      // then the colour scheme may have changed
    drawn = state;
    draw(canvas, farm, now_ms, shown_ms(store, window_ms), lit);
    const took = performance.now() - began;
    next = began + Math.max(CALM.matches ? CALM_MS : FRAME_MS, REST * took);
    frames.push(took);
    if (frames.length > 1.5 * KEPT_FRAMES) frames.splice(0, frames.length - KEPT_FRAMES);
  };
  paint();
  return () => cancelAnimationFrame(frame);
}
