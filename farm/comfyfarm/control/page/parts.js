// Buttons that several parts of the page have.

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
    await navigator.clipboard.writeText(text);
    say(true);
    setTimeout(() => say(false), 1500);
  };
  return html`<button class="copy" onClick=${copy}>${done ? "copied" : label}</button>`;
}
