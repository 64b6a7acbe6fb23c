// The pictures that were written last.

import { html } from "./vendor/preact.js";

const SHOWN = 12;

export function Pictures({ store }) {
  const pictures = store.farm.pictures.slice(-SHOWN).reverse();
  if (pictures.length === 0) return html`<p class="faint">No dynamic instance has written a picture yet.</p>`;
  return html`<div class="pictures">${pictures.map((picture) => html`<figure key=${picture.seq}>
    <img alt=${picture.name} src=${url_of(picture)} />
    <figcaption>${picture.name}<br /><span class="faint">${picture.instance}, ${picture.job}</span></figcaption>
  </figure>`)}</div>`;
}

function url_of({ instance, folder, subfolder, name }) {
  const query = new URLSearchParams({ folder, subfolder, name });
  return `/api/instances/${encodeURIComponent(instance)}/picture?${query}`;
}
