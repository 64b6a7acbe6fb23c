// Draws the lanes of all instances on one canvas: the last minutes of each.

import { colour_of, inks, sign } from "./signs.js";
import { clip, count, duration } from "./words.js";

const TICKS_MS = [100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 3e4, 6e4, 12e4, 3e5, 6e5, 18e5, 36e5];
const INKS_MS = 1000;       // how long the colours of the style sheet are taken as they were
const LETTER = 6.2;         // the width of a letter in pixels
const NEAR = 6;             // pixels from a mark that still show its text
export const GUTTER = 170;
export const TOP = 24;

/** The height of a lane in pixels: lower ones for many instances. */
export const pitch_of = (count) => (count <= 8 ? 52 : count <= 24 ? 32 : count <= 100 ? 18 : 14);

/** Draw the farm as it is at `now_ms`, the last `window_ms` of it. */
export function draw(canvas, farm, now_ms, window_ms, lit) {
  const lanes = [...farm.lanes.values()];
  const pitch = pitch_of(lanes.length);
  const width = canvas.clientWidth, height = TOP + pitch * Math.max(1, lanes.length);
  const pen = sized(canvas, width, height);
  const ink = cached_inks(canvas);
  pen.fillStyle = ink.paper;
  pen.fillRect(0, 0, width, height);
  const from_ms = now_ms - window_ms, scale = (width - GUTTER - 8) / window_ms;
  const x = (at_ms) => GUTTER + (at_ms - from_ms) * scale;
  const view = { pen, ink, x, from_ms, now_ms, width, height, pitch, farm, lit };
  axis(view, window_ms);
  const seen = visible(canvas.parentElement, lanes.length, pitch);
  for (let index = seen.first; index < seen.end; index += 1) draw_lane(view, lanes[index], TOP + index * pitch, index);
  for (const mark of farm.marks) if (mark.at_ms >= from_ms) farm_mark(view, mark);
}

function sized(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.height = `${height}px`;
  }
  const pen = canvas.getContext("2d", { alpha: false });
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  return pen;
}

/** The lanes that are not scrolled out of sight. */
function visible(frame, count, pitch) {
  const first = Math.max(0, Math.floor((frame.scrollTop - TOP) / pitch));
  return { first, end: Math.min(count, first + Math.ceil(frame.clientHeight / pitch) + 2) };
}

let cached = { at: -INKS_MS, ink: null };

function cached_inks(canvas) {
  const now = performance.now();
  if (now - cached.at >= INKS_MS) cached = { at: now, ink: inks(canvas) };
  return cached.ink;
}

/** Return the lane, the job and the text of the mark at a position of the canvas, for clicks and titles. */
export function find(canvas, farm, now_ms, window_ms, left, top) {
  const lanes = [...farm.lanes.values()];
  const scale = (canvas.clientWidth - GUTTER - 8) / window_ms;
  const at_ms = now_ms - window_ms + (left - GUTTER) / scale;
  const near = (mark) => (mark.from_ms ?? mark.at_ms) - NEAR / scale <= at_ms && at_ms <= mark.at_ms + NEAR / scale;
  if (left < GUTTER) return {};
  if (top < TOP) return { mark: farm.marks.findLast(near) };
  const lane = lanes[Math.floor((top - TOP) / pitch_of(lanes.length))];
  if (!lane) return {};
  const spans = lane.running ? [...lane.spans, { ...lane.running, to_ms: now_ms }] : lane.spans;
  return { lane, mark: lane.marks.findLast(near), span: spans.find((span) => span.from_ms <= at_ms && at_ms <= span.to_ms) };
}

function axis({ pen, ink, x, from_ms, now_ms, height, width }, window_ms) {
  const step = TICKS_MS.find((ms) => window_ms / ms <= (width - GUTTER) / 90) || window_ms;
  pen.font = "11px system-ui, sans-serif";
  pen.textAlign = "center";
  for (let at_ms = Math.max(0, Math.ceil(from_ms / step) * step); at_ms <= now_ms; at_ms += step) {
    pen.fillStyle = ink.rule;
    pen.fillRect(x(at_ms), TOP - 4, 1, height - TOP + 4);
    pen.fillStyle = ink.faint;
    pen.fillText(duration(at_ms), x(at_ms), TOP - 10);
  }
}

function draw_lane(view, lane, top, index) {
  const { pen, ink, width, pitch } = view;
  if (index % 2 === 0) {
    pen.fillStyle = ink.band;
    pen.fillRect(0, top, width, pitch);
  }
  pen.save();
  pen.beginPath();
  pen.rect(GUTTER, top, width - GUTTER, pitch);
  pen.clip();
  for (const outage of lane.outages) outage_of(view, outage, top);
  const bar = pitch * (pitch < 24 ? 0.62 : 0.5), y = top + pitch * 0.12;
  runs(view, lane, y, bar);
  queue(view, lane, top + pitch - 1, pitch - 1 - 0.12 * pitch - bar);
  for (const mark of lane.marks) if (mark.at_ms >= view.from_ms) lane_mark(view, mark, y, bar);
  pen.restore();
  words(view, lane, top);
}

function words({ pen, ink, pitch }, lane, top) {
  const base = top + Math.min(16, pitch * 0.72);
  pen.textAlign = "left";
  pen.font = `${pitch < 24 ? Math.min(11, pitch - 3) : 12}px system-ui, sans-serif`;
  pen.fillStyle = lane.state === "running" ? ink.ink : ink.bad;
  pen.fillText(clip(lane.name, 14), 8, base);
  pen.fillStyle = ink.faint;
  const waits = lane.waiting.size ? ` +${lane.waiting.size}` : "";
  pen.textAlign = "right";
  pen.fillText(`${state_of(lane)}${waits}`, GUTTER - 8, base);
  if (pitch < 40) return;
  pen.textAlign = "left";
  pen.font = "11px system-ui, sans-serif";
  pen.fillText(`${lane.mode} ${lane.version}, process ${lane.epoch}`, 8, top + 31);
  pen.fillText(`${count(lane.models.size, "model")}, ${lane.finished} done`, 8, top + 45);
}

/** What an instance does, in a word. */
export function state_of(lane) {
  if (lane.refusing && lane.state === "running") return "refuses";
  if (lane.state !== "running") return lane.state;
  if (!lane.running) return lane.draining ? "draining" : "idle";
  const { value, max } = lane.running;
  return max ? `${Math.round((100 * value) / max)} %` : "runs";
}

function outage_of({ pen, ink, x, now_ms, pitch, width }, outage, top) {
  const left = Math.max(GUTTER, x(outage.from_ms)), right = Math.min(width, x(outage.to_ms ?? now_ms));
  if (right < left) return;
  const size = outage.kind === "draining" ? 3 : pitch;
  pen.fillStyle = ink.hatches[outage.kind] || (outage.kind === "draining" ? ink.warm : ink.down);
  pen.globalAlpha = outage.kind === "paused" ? 0.4 : 1;
  pen.fillRect(left, top + pitch - size, Math.max(1, right - left), size);
  pen.globalAlpha = 1;
}

/** The runs of a lane; those that would lie within a pixel that is drawn already are left out. */
function runs(view, lane, y, bar) {
  let drawn = -1;
  for (const span of lane.spans) {
    if (span.to_ms < view.from_ms) continue;
    const right = view.x(span.to_ms);
    if (right - drawn < 0.5 && span.end === "success" && !view.lit) continue;
    run(view, span, y, bar);
    drawn = right;
  }
  if (lane.running) run(view, { ...lane.running, to_ms: view.now_ms, end: "" }, y, bar);
}

function run({ pen, ink, x, farm, lit, pitch }, span, y, bar) {
  const left = x(span.from_ms), size = Math.max(1, x(span.to_ms) - left);
  pen.globalAlpha = lit && lit !== span.job ? 0.15 : 1;
  pen.fillStyle = colour_of(farm.colour(span.job));
  pen.fillRect(left, y, size, bar);
  if (size > 2) for (const part of span.parts) part_of({ pen, x }, part, y, bar);
  pen.fillStyle = ink.bad;
  if (span.end === "lost") pen.fillRect(left + size - 2, y - 3, 2.5, bar + 6);
  else if (span.end === "error" || span.end === "interrupted") {
    pen.fillRect(left, y, size, 2);
    pen.fillRect(left, y + bar - 2, size, 2);
  }
  if (pitch >= 30 && size > 44) {
    pen.fillStyle = "#fff";
    pen.textAlign = "left";
    pen.font = "11px system-ui, sans-serif";
    pen.fillText(clip(span.job, Math.floor((size - 8) / LETTER)), Math.max(left, GUTTER) + 4, y + bar / 2 + 4);
  }
  pen.globalAlpha = 1;
}

function part_of({ pen, x }, { kind, from_ms, to_ms }, y, bar) {
  pen.fillStyle = kind === "loading" ? "#0006" : "#ffffff8c";
  pen.fillRect(x(from_ms), y, Math.max(0.5, x(to_ms) - x(from_ms)), bar);
}

/** The number of waiting jobs over time, as an area: of the changes within a pixel the deepest. */
function queue({ pen, ink, x, now_ms, from_ms }, lane, bottom, room) {
  const { depths } = lane;
  let first = depths.length;
  while (first > 0 && depths[first - 1][0] >= from_ms) first -= 1;
  const begin = Math.max(0, first - 1);       // that one lasts into the window
  let deepest = 4;
  for (let index = begin; index < depths.length; index += 1) deepest = Math.max(deepest, depths[index][1]);
  pen.fillStyle = ink.faint;
  pen.globalAlpha = 0.45;
  let left = begin < depths.length ? Math.max(x(from_ms), x(depths[begin][0])) : 0, most = 0;
  for (let index = begin; index < depths.length; index += 1) {
    most = Math.max(most, depths[index][1]);
    const right = x(index + 1 < depths.length ? depths[index + 1][0] : now_ms);
    if (right - left < 1 && index + 1 < depths.length) continue;
    const column = (depth, from, to) => pen.fillRect(from, bottom - (room * depth) / deepest, to - from, (room * depth) / deepest);
    if (most > depths[index][1]) column(most, left, left + 1);      // changes that lie within a pixel
    column(depths[index][1], most > depths[index][1] ? left + 1 : left, Math.max(left + 1, right));
    left = right;
    most = 0;
  }
  pen.globalAlpha = 1;
}

function lane_mark({ pen, ink, x, pitch }, { kind, at_ms }, y, bar) {
  // Nearly every job has a delivery, and low lanes have no room for them.
  if (kind === "cut" || (kind === "delivered" && pitch < 24)) return;
  sign(pen, ink, kind, x(at_ms), y, y + bar, pitch < 24 ? 0.6 : 1);
}

function farm_mark({ pen, ink, x, height }, mark) {
  if (mark.kind === "delivered") return;      // of nobody knows which instance
  if (mark.kind === "late") {
    pen.fillStyle = ink.warm;
    pen.fillRect(Math.max(GUTTER, x(mark.from_ms)), TOP - 6, Math.max(3, x(mark.at_ms) - Math.max(GUTTER, x(mark.from_ms))), 5);
    return;
  }
  pen.strokeStyle = { heal: ink.good, jump: ink.bad }[mark.kind] || ink.faint;
  pen.lineWidth = 1.5;
  pen.setLineDash(mark.kind === "heal" ? [4, 3] : [1, 3]);
  pen.beginPath();
  pen.moveTo(x(mark.at_ms), TOP - 6);
  pen.lineTo(x(mark.at_ms), height);
  pen.stroke();
  pen.setLineDash([]);
}
