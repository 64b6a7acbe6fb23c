// Colours and signs of the lanes, as in the report (analysis/timeline/svg_symbols.py), and their legend.

import { html } from "./vendor/preact.js";

const COLOURS = [
  "#7e8814", "#2f5ba6", "#008664", "#9e66b4", "#006a95", "#497f2b", "#7475cb",
  "#007370", "#9d4d8a", "#3385c9", "#00723f", "#7e59ac", "#0093ae", "#506800",
  "#4f69ba", "#009881", "#804087", "#0079ae", "#49944b", "#5e4da1", "#00848c",
];
const INKS = ["ink", "faint", "rule", "paper", "band", "bad", "good", "down", "ice", "warm"];
const HATCHED = { down: ["down", 1], frozen: ["ice", 1], refusing: ["warm", -1] };
const MEANINGS = {
  run: "runs, in the colour of its job", loading: "loads a model", saving: "saves", error: "failed or was stopped",
  cut: "its process died", depth: "how many wait", down: "down", frozen: "frozen", paused: "paused",
  refusing: "takes no connection", draining: "draining", fault: "fault", retry: "sent again", refused: "refused",
  delivered: "delivered", heal: "healed", late: "the farm itself was late", jump: "the wall clock jumped",
};

export const colour_of = (index) => COLOURS[index % COLOURS.length];

/** The colours of the style sheet, for the canvas; they change with the reader's colour scheme. */
export function inks(element) {
  const style = getComputedStyle(element);
  const ink = Object.fromEntries(INKS.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  ink.hatches = Object.fromEntries(Object.entries(HATCHED).map(([kind, [name, slope]]) => [kind, hatch(ink[name], ink.band, slope)]));
  return ink;
}

function hatch(line, ground, slope) {
  const tile = new OffscreenCanvas(8, 8), pen = tile.getContext("2d");
  pen.fillStyle = ground;
  pen.fillRect(0, 0, 8, 8);
  pen.strokeStyle = line;
  pen.lineWidth = 2.5;
  for (const shift of [-8, 0, 8]) {
    pen.beginPath();
    pen.moveTo(shift, slope > 0 ? 8 : 0);
    pen.lineTo(shift + 8, slope > 0 ? 0 : 8);
    pen.stroke();
  }
  return pen.createPattern(tile, "repeat");
}

/** Draw the sign of a mark at a bar that goes from `top` to `foot`. */
export function sign(pen, ink, kind, x, top, foot, size) {
  pen.lineWidth = 1.5;
  pen.beginPath();
  if (kind === "fault") triangle(pen, x, top, size);
  else if (kind === "retry") pen.arc(x, foot, 3.6 * size, 0, 2 * Math.PI);
  else if (kind === "refused") pen.rect(x - 3.5 * size, top, 7 * size, 7 * size);
  else if (kind === "delivered") tick(pen, x, foot, size);
  const [fill, stroke] = {
    fault: [ink.bad, ink.paper], retry: [ink.paper, ink.ink], refused: [ink.paper, ink.bad], delivered: [null, ink.good],
  }[kind];
  if (fill) {
    pen.fillStyle = fill;
    pen.fill();
  }
  pen.strokeStyle = stroke;
  pen.lineWidth = kind === "delivered" ? 2 : kind === "fault" ? 1 : 1.5;
  pen.stroke();
}

function triangle(pen, x, y, size) {
  pen.moveTo(x - 6 * size, y - 5 * size);
  pen.lineTo(x + 6 * size, y - 5 * size);
  pen.lineTo(x, y + 6 * size);
  pen.closePath();
}

function tick(pen, x, y, size) {
  pen.moveTo(x - 4 * size, y + 4 * size);
  pen.lineTo(x - size, y + 7 * size);
  pen.lineTo(x + 4 * size, y);
}

export const Legend = () => html`<ul class="legend" aria-label="legend">
  ${Object.entries(MEANINGS).map(([kind, words]) => html`<li><${Swatch} kind=${kind} />${words}</li>`)}</ul>`;

const SHAPES = {
  fault: "M3 3h10l-5 10z", retry: "M8 4.5a3.5 3.5 0 1 0 .01 0z", refused: "M4.5 4.5h7v7h-7z", delivered: "M3 9l3 3 5-7",
  cut: "M13 1v14", heal: "M8 1v14", jump: "M8 1v14",
};

const Swatch = ({ kind }) => html`<svg class="swatch ${kind}" width="16" height="16" aria-hidden="true">
  ${["run", "loading", "saving", "error", "cut"].includes(kind) && html`<rect class="bar" x="1" y="3" width="14" height="10" rx="1.5" />`}
  ${SHAPES[kind] ? html`<path d=${SHAPES[kind]} />` : html`<rect class="over" x="1" y=${kind === "draining" ? 10 : 3} width="14" height=${kind === "draining" ? 3 : 10} />`}
</svg>`;
