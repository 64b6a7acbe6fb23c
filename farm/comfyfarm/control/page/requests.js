// The requests of the clients, with headers and bodies if they are kept.

import { html, useState } from "./vendor/preact.js";
import { latest, REQUEST_KEYS } from "./filters.js";
import { duration } from "./words.js";
import { Copy, Filters } from "./parts.js";

const ROWS = 100;
const SHOWN = new Set(["kind", "seq", "at_ms", "epoch", "instance", "method", "path", "query", "status", "size_bytes",
  "request_headers", "request_body"]);

export function Requests({ store }) {
  const [texts, filter] = useState({});
  const [chosen, choose] = useState(null);
  const requests = latest(store.farm.exchanges, texts, ROWS);
  return html`<div class="log">
    ${chosen && html`<${Content} event=${chosen} onClose=${() => choose(null)} />`}
    <${Filters} keys=${REQUEST_KEYS} texts=${texts} onChange=${filter} />
    <table><tbody>${requests.map((event) => html`
      <tr key=${event.seq}>
        <td>${duration(event.at_ms)}</td><td class="name" title=${event.instance}>${event.instance}</td><td>${event.method}</td>
        <td class="facts"><button class="link path" onClick=${() => choose(event)}>${address(event)}</button></td>
        <td class=${event.status >= 400 || !event.status ? "bad" : ""}>${event.status || "no answer"}</td>
        <td class="faint">${event.size_bytes || 0} B</td></tr>`)}</tbody></table>
    ${requests.length === 0 && html`<p class="faint">${store.farm.exchanges.length ? "None of the latest requests is like that." : "No client has sent a request yet."}</p>`}
  </div>`;
}

const address = ({ path, query }) => `${path}${query ? `?${query}` : ""}`;

function Content({ event, onClose }) {
  const { request_headers, request_body } = event;
  const facts = Object.entries(event).filter(([key, value]) => !SHOWN.has(key) && value !== null && value !== "");
  const text = `${event.method} ${address(event)} HTTP/1.1\n${request_headers || ""}\n\n${request_body || ""}`;
  return html`<section class="content" aria-label="request">
    <p><b>${event.method} ${address(event)}</b> on ${event.instance} <button class="link" onClick=${onClose}>close</button>
      <${Copy} text=${text} label="copy request" /></p>
    <dl>${facts.map(([key, value]) => html`<dt>${key}</dt><dd>${String(value)}</dd>`)}</dl>
    ${request_headers || request_body
      ? html`<pre>${request_headers}</pre>${request_body && html`<pre class="body">${pretty(request_body)}</pre>`}`
      : html`<p class="faint">Headers and bodies are kept with [farm] journal_bodies = true.</p>`}
  </section>`;
}

function pretty(body) {
  try {
    return JSON.stringify(JSON.parse(body), null, 1);
  } catch {
    return body;
  }
}
