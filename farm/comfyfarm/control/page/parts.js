// Buttons, tabs and filters that several parts of the page have.

import { html, useState } from "./vendor/preact.js";

/** A button that does something to the farm. */
export function Hand({ store, hand, disabled, children }) {
  return html`<button class="hand" disabled=${disabled} title=${hand.python} onClick=${() => store.act(hand)}>
    ${children || hand.label}</button>`;
}

/** A button that copies a text. */
export function Copy({ text, label = "copy" }) {
  const [done, say] = useState(false);
  const copy = async () => {
    // A page of another machine without TLS has no clipboard, and a browser may refuse it.
    if (navigator.clipboard) await navigator.clipboard.writeText(text).catch(() => copy_selected(text));
    else copy_selected(text);
    say(true);
    setTimeout(() => say(false), 1500);
  };
  return html`<button class="copy" onClick=${copy}>${done ? "copied" : label}</button>`;
}

function copy_selected(text) {
  const field = document.body.appendChild(document.createElement("textarea"));
  field.value = text;
  field.select();
  document.execCommand("copy");
  field.remove();
}

/** Tabs; the arrow keys go from one to the next. */
export function Tabs({ names, chosen, onChoose }) {
  const on_key = (event) => {
    const index = names.indexOf(chosen);
    const next = { ArrowRight: index + 1, ArrowLeft: index - 1, Home: 0, End: names.length - 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    const name = names[(next + names.length) % names.length];
    onChoose(name);
    document.getElementById(`tab-${name}`).focus();
  };
  return html`<nav role="tablist" onKeyDown=${on_key}>${names.map((name) => html`
    <button role="tab" id=${`tab-${name}`} aria-selected=${chosen === name} aria-controls="panel" tabindex=${chosen === name ? 0 : -1}
      onClick=${() => onChoose(name)}>${name}</button>`)}</nav>`;
}

/** A field for each filter; `onChange` gets all their texts.  What else is given stands behind them. */
export function Filters({ keys, texts, onChange, children }) {
  return html`<form class="inline" onSubmit=${(event) => event.preventDefault()}>${keys.map((key) => html`
    <input aria-label=${key} placeholder=${key} size="9" title="part of it, or a glob such as gpu-*"
      value=${texts[key] || ""} onInput=${(event) => onChange({ ...texts, [key]: event.target.value })} />`)}${children}</form>`;
}
