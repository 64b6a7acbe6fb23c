// Draws the lanes of all instances on one canvas: the last minutes of each, in the report's colours and signs.

// As in the report (analysis/timeline/svg_symbols.py).
const COLOURS = [
  "#7e8814", "#2f5ba6", "#008664", "#9e66b4", "#006a95", "#497f2b", "#7475cb",
  "#007370", "#9d4d8a", "#3385c9", "#00723f", "#7e59ac", "#0093ae", "#506800",
  "#4f69ba", "#009881", "#804087", "#0079ae", "#49944b", "#5e4da1", "#00848c",
];
const TICKS_MS = [100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 3e4, 6e4, 12e4, 3e5, 6e5, 18e5, 36e5];
const GUTTER = 150;
const TOP = 22;

export const colour_of = (index) => COLOURS[index % COLOURS.length];

/** The height of a lane in pixels: lower ones for many instances. */
export const pitch_of = (count) => (count <= 8 ? 52 : count <= 24 ? 32 : 18);

/** Draw the farm as it is at `now_ms`, the last `window_ms` of it. */
export function draw(canvas, farm, now_ms, window_ms, lit) {
  const ratio = window.devicePixelRatio || 1;
  const lanes = [...farm.lanes.values()];
  const pitch = pitch_of(lanes.length);
  const width = canvas.clientWidth, height = TOP + pitch * Math.max(1, lanes.length);
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.height = `${height}px`;
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  const ink = inks(canvas);
  pen.fillStyle = ink.paper;
  pen.fillRect(0, 0, width, height);
  const from_ms = now_ms - window_ms;
  const x = (at_ms) => GUTTER + ((at_ms - from_ms) / window_ms) * (width - GUTTER - 8);
  const view = { pen, ink, x, from_ms, now_ms, width, height, pitch, farm, lit };
  axis(view, window_ms);
  lanes.forEach((lane, index) => draw_lane(view, lane, TOP + index * pitch, index));
  for (const mark of farm.marks) if (mark.at_ms >= from_ms) farm_mark(view, mark);
}

/** Return the lane and the job at a position of the canvas, for clicks and titles. */
export function find(canvas, farm, now_ms, window_ms, left, top) {
  const lanes = [...farm.lanes.values()];
  const lane = lanes[Math.floor((top - TOP) / pitch_of(lanes.length))];
  if (!lane) return {};
  const at_ms = now_ms - window_ms + ((left - GUTTER) / (canvas.clientWidth - GUTTER - 8)) * window_ms;
  const spans = lane.running ? [...lane.spans, { ...lane.running, to_ms: now_ms }] : lane.spans;
  return { lane, at_ms, span: left < GUTTER ? undefined : spans.find((span) => span.from_ms <= at_ms && at_ms <= span.to_ms) };
}

let cached = null;

function inks(canvas) {
  if (cached && performance.now() - cached.at < 1000) return cached.ink;
  const style = getComputedStyle(canvas);
  const names = ["ink", "faint", "rule", "paper", "band", "bad", "good", "down", "ice", "warm"];
  cached = { at: performance.now(), ink: Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`)])) };
  return cached.ink;
}

function axis(view, window_ms) {
  const { pen, ink, x, from_ms, now_ms, height, width } = view;
  const step = TICKS_MS.find((ms) => window_ms / ms <= (width - GUTTER) / 90) || window_ms;
  pen.font = "11px system-ui, sans-serif";
  pen.textAlign = "center";
  for (let at_ms = Math.max(0, Math.ceil(from_ms / step) * step); at_ms <= now_ms; at_ms += step) {
    pen.fillStyle = ink.rule;
    pen.fillRect(x(at_ms), TOP - 4, 1, height - TOP + 4);
    pen.fillStyle = ink.faint;
    pen.fillText(duration(at_ms), x(at_ms), TOP - 8);
  }
}

export function duration(ms) {
  if (ms < 60000) return `${+(ms / 1000).toFixed(ms % 1000 ? 1 : 0)} s`;
  const minutes = Math.floor(ms / 60000), seconds = Math.round((ms % 60000) / 1000);
  return `${minutes}:${String(seconds).padStart(2, "0")} min`;
}

function draw_lane(view, lane, top, index) {
  const { pen, ink, x, now_ms, width, pitch } = view;
  if (index % 2 === 0) {
    pen.fillStyle = ink.band;
    pen.fillRect(0, top, width, pitch);
  }
  pen.save();
  pen.beginPath();
  pen.rect(GUTTER, top, width - GUTTER, pitch);
  pen.clip();
  for (const outage of lane.outages) outage_of(view, outage, top);
  const bar = pitch * 0.5, y = top + pitch * 0.1;
  for (const span of lane.spans) if (span.to_ms >= view.from_ms) run(view, span, y, bar);
  if (lane.running) run(view, { ...lane.running, to_ms: now_ms, end: "" }, y, bar);
  queue(view, lane, top + pitch - 1, pitch * 0.34);
  for (const mark of lane.marks) if (mark.at_ms >= view.from_ms) sign(view, mark, x(mark.at_ms), y, bar);
  pen.restore();
  pen.textAlign = "left";
  pen.font = `${pitch < 24 ? 11 : 12}px system-ui, sans-serif`;
  pen.fillStyle = lane.state === "running" ? ink.ink : ink.bad;
  pen.fillText(clip(lane.name, 15), 8, top + Math.min(16, pitch * 0.7));
  pen.fillStyle = ink.faint;
  const waits = lane.waiting.size ? ` +${lane.waiting.size}` : "";
  const state = lane.state === "running" ? (lane.running ? progress(lane.running) : "idle") : lane.state;
  pen.textAlign = "right";
  pen.fillText(`${state}${waits}`, GUTTER - 8, top + Math.min(16, pitch * 0.7));
  if (pitch >= 40) {
    pen.textAlign = "left";
    pen.fillText(`${lane.mode}, #${lane.epoch}, ${lane.finished} done`, 8, top + 34);
  }
}

const clip = (text, letters) => (text.length > letters ? `${text.slice(0, letters - 1)}…` : text);
const progress = ({ value, max }) => (max ? `${Math.round((100 * value) / max)} %` : "runs");

function outage_of({ pen, ink, x, now_ms, pitch, width }, outage, top) {
  const left = Math.max(GUTTER, x(outage.from_ms)), right = Math.min(width, x(outage.to_ms ?? now_ms));
  if (right < left) return;
  const size = outage.kind === "draining" ? 3 : pitch;
  pen.fillStyle = { down: ink.down, frozen: ink.ice, paused: ink.down, refusing: ink.warm, draining: ink.warm }[outage.kind];
  pen.globalAlpha = outage.kind === "draining" ? 1 : outage.kind === "paused" ? 0.3 : 0.55;
  pen.fillRect(left, top + pitch - size, Math.max(1, right - left), size);
  pen.globalAlpha = 1;
}

function run({ pen, ink, x, farm, lit, pitch }, span, y, bar) {
  const left = x(span.from_ms), size = Math.max(1, x(span.to_ms) - left);
  pen.globalAlpha = lit && lit !== span.job ? 0.15 : 1;
  pen.fillStyle = colour_of(farm.colour(span.job));
  pen.fillRect(left, y, size, bar);
  if (span.end === "error" || span.end === "interrupted" || span.end === "lost") {
    pen.fillStyle = ink.bad;
    if (span.end === "lost") pen.fillRect(left + size - 2, y - 3, 2.5, bar + 6);
    else pen.fillRect(left, y + bar - 2, size, 2);
  }
  if (pitch >= 30 && size > 44) {
    pen.fillStyle = "#fff";
    pen.textAlign = "left";
    pen.font = "11px system-ui, sans-serif";
    pen.fillText(clip(span.job, Math.floor((size - 8) / 6.2)), Math.max(left, GUTTER) + 4, y + bar / 2 + 4);
  }
  pen.globalAlpha = 1;
}

/** The number of waiting jobs over time, as an area. */
function queue({ pen, ink, x, now_ms, from_ms }, lane, bottom, room) {
  const deepest = Math.max(4, ...lane.depths.map(([at_ms, depth]) => (at_ms >= from_ms ? depth : 0)));
  pen.fillStyle = ink.faint;
  pen.globalAlpha = 0.5;
  lane.depths.forEach(([at_ms, depth], index) => {
    const until_ms = index + 1 < lane.depths.length ? lane.depths[index + 1][0] : now_ms;
    if (!depth || until_ms < from_ms) return;
    const size = (room * depth) / deepest;
    pen.fillRect(x(at_ms), bottom - size, Math.max(1, x(until_ms) - x(at_ms)), size);
  });
  pen.globalAlpha = 1;
}

function sign({ pen, ink, pitch }, mark, left, y, bar) {
  if (mark.kind === "cut") return;
  if (mark.kind === "delivered") {
    if (pitch < 24) return;
    pen.strokeStyle = ink.good;
    pen.lineWidth = 2;
    pen.beginPath();
    pen.moveTo(left - 4, y + bar - 3);
    pen.lineTo(left - 1, y + bar);
    pen.lineTo(left + 4, y + bar - 7);
    pen.stroke();
    return;
  }
  pen.beginPath();
  pen.moveTo(left - 5, y - 2);
  pen.lineTo(left + 5, y - 2);
  pen.lineTo(left, y + 7);
  pen.closePath();
  pen.fillStyle = mark.kind === "refused" ? ink.paper : ink.bad;
  pen.strokeStyle = mark.kind === "refused" ? ink.bad : ink.paper;
  pen.lineWidth = 1.2;
  pen.fill();
  pen.stroke();
}

function farm_mark({ pen, ink, x, height }, mark) {
  pen.strokeStyle = mark.kind === "heal" ? ink.good : ink.faint;
  pen.lineWidth = 1.5;
  pen.setLineDash(mark.kind === "heal" ? [4, 3] : [1, 3]);
  pen.beginPath();
  pen.moveTo(x(mark.at_ms), TOP - 6);
  pen.lineTo(x(mark.at_ms), height);
  pen.stroke();
  pen.setLineDash([]);
}
