// Faults, gates and scenarios: arm, hold, let go.  The forms are made from the effects' own types.

import { html, useEffect, useState } from "./vendor/preact.js";
import { get, HANDS } from "./api.js";
import { Hand } from "./parts.js";
import { count } from "./words.js";

const AT = "at.";       // before the names of the keys that narrow a phase

export function Faults({ store }) {
  const [effects, keep] = useState(null);
  const [gates, hold] = useState([]);
  useEffect(() => { get("/api/effects").then(keep); }, []);
  useEffect(() => {
    const ask = () => get("/api/gates").then((answer) => hold(answer.gates.filter((gate) => gate.state === "armed")), () => {});
    ask();
    const timer = setInterval(ask, 1000);
    return () => clearInterval(timer);
  }, []);
  if (!effects) return html`<p class="faint">…</p>`;
  return html`<div class="faults">
    <${Armed} store=${store} gates=${gates} />
    <h2>Arm a fault</h2><${FaultForm} store=${store} effects=${effects} />
    <h2>Hold at a phase</h2><${GateForm} store=${store} effects=${effects} />
    <h2>Start a scenario</h2><${ScenarioForm} store=${store} effects=${effects} />
  </div>`;
}

function Armed({ store, gates }) {
  const faults = [...store.farm.armed.values()].filter((fault) => fault.state === "armed");
  if (faults.length === 0) return html`<p class="faint">No fault is armed.</p>`;
  return html`<ul class="armed">${faults.map((fault) => {
    const gate = gates.find((one) => one.id === fault.id);
    return html`<li>
      <code>${fault.id}</code> ${describe(fault.table)} <span class="faint">fired ${count(fault.fired, "time")}</span>
      ${gate
        ? html` <span>holds ${gate.held.length}</span> <${Hand} store=${store} hand=${HANDS.release(fault.id)} />${" "}
            <${Hand} store=${store} hand=${HANDS.open(fault.id)} />`
        : html` <${Hand} store=${store} hand=${HANDS.disarm(fault.id)} />`}
    </li>`;
  })}</ul>`;
}

function describe(table) {
  const { do: effect, at, on, ...rest } = table;
  const phase = typeof at === "object" && at ? at.phase : at;
  const more = Object.entries(rest).filter(([key]) => key !== "id").map(([key, value]) => `${key} = ${JSON.stringify(value)}`);
  return `${effect} at ${phase}${on ? ` on ${on}` : ""} ${more.join(", ")}`;
}

function FaultForm({ store, effects }) {
  const [table, set] = useState({ do: "crash", at: "step", on: "*", times: "1" });
  const effect = effects.effects.find(({ name }) => name === table.do);
  const write = (key) => (event) => set({ ...table, [key]: event.target.value });
  const change_effect = (event) => {
    const chosen = effects.effects.find(({ name }) => name === event.target.value);
    set({ do: chosen.name, at: chosen.phases.includes(table.at) ? table.at : chosen.phases[0], on: table.on, times: table.times });
  };
  const fields = [...effect.fields, ...effects.common];
  return html`<form class="fault" onSubmit=${(event) => { event.preventDefault(); store.act(HANDS.arm(typed(table, fields, effects.filters[table.at]))); }}>
    <label>do <select aria-label="do" onChange=${change_effect}>
      <${Options} values=${effects.effects.map(({ name }) => name)} chosen=${table.do} /></select></label>
    <label>at <select aria-label="at" onChange=${write("at")}>
      <${Options} values=${effect.phases} chosen=${table.at} /></select></label>
    <${On} store=${store} value=${table.on} onInput=${write("on")} />
    <${Conditions} effects=${effects} table=${table} write=${write} />
    ${fields.map((field) => html`<${Field} field=${field} value=${table[field.name] || ""} onInput=${write(field.name)} />`)}
    <button class="hand">arm</button>
    <p class="faint">${effect.says}</p>
  </form>`;
}

/** Fields that narrow the phase: only this route, job, node, … */
const Conditions = ({ effects, table, write }) => effects.filters[table.at].map((field) => html`
  <${Field} field=${{ ...field, name: `${AT}${field.name}` }} value=${table[AT + field.name] || ""} onInput=${write(AT + field.name)} />`);

function Field({ field, value, onInput }) {
  const { name, type, example, choices, is_required, says } = field;
  return html`<label title=${says}>${name}${is_required ? " *" : ""} ${choices.length
    ? html`<select aria-label=${name} onChange=${onInput}><${Options} values=${["", ...choices]} chosen=${value} /></select>`
    : html`<input aria-label=${name} size="8" placeholder=${example || type} value=${value} onInput=${onInput} required=${is_required} />`}</label>`;
}

const Options = ({ values, chosen }) => values.map((value) => html`<option value=${value} selected=${value === chosen}>${value}</option>`);

const On = ({ store, value, onInput }) => html`<label>on <input aria-label="on" list="names" size="10" value=${value} onInput=${onInput} />
  <datalist id="names"><option value="*" />${[...store.farm.lanes.keys()].map((name) => html`<option value=${name} />`)}</datalist></label>`;

/** Return the table with numbers, booleans and lists as such; empty fields and `on = "*"` are left out. */
function typed(table, fields, filters) {
  const types = Object.fromEntries(fields.map(({ name, type }) => [name, type]));
  const filled = Object.entries(table).filter(([key, text]) => text !== "" && !(key === "on" && text === "*"));
  const own = filled.filter(([key]) => !key.startsWith(AT)).map(([key, text]) => [key, value_of(text, types[key])]);
  const narrowed = filters.filter(({ name }) => table[AT + name]).map(({ name, type }) => [name, value_of(table[AT + name], type)]);
  const at = narrowed.length ? { phase: table.at, ...Object.fromEntries(narrowed) } : table.at;
  return { ...Object.fromEntries(own), at };
}

/** A value of several types is a number if it looks like one. */
function value_of(text, type) {
  if (type === "number" || type === "integer" || (type === "" && /^\d+$/.test(text))) return Number(text);
  if (type === "boolean") return text === "true";
  if (type === "array" || type === "object") {
    try {
      return JSON.parse(text);
    } catch {
      return text.split(",").map((word) => word.trim());
    }
  }
  return text;
}

function GateForm({ store, effects }) {
  const [table, set] = useState({ at: "history", on: "*" });
  const write = (key) => (event) => set({ ...table, [key]: event.target.value });
  return html`<form class="fault" onSubmit=${(event) => { event.preventDefault(); store.act(HANDS.hold(typed(table, [], effects.filters[table.at]))); }}>
    <label>at <select aria-label="hold at" onChange=${write("at")}>
      <${Options} values=${effects.gate_phases} chosen=${table.at} /></select></label>
    <${On} store=${store} value=${table.on} onInput=${write("on")} />
    <${Conditions} effects=${effects} table=${table} write=${write} />
    <button class="hand">hold</button></form>`;
}

function ScenarioForm({ store, effects }) {
  const [use, set] = useState(effects.scenarios[0].name);
  const chosen = effects.scenarios.find(({ name }) => name === use);
  return html`<form class="fault" onSubmit=${(event) => { event.preventDefault(); store.act(HANDS.scenario({ use })); }}>
    <label>use <select aria-label="scenario" onChange=${(event) => set(event.target.value)}>
      ${effects.scenarios.map(({ name, title }) => html`<option value=${name} selected=${name === use}>${name} ${title}</option>`)}</select></label>
    <button class="hand">start scenario</button>
    <p class="faint">${chosen.says}</p></form>`;
}
