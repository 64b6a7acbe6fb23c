// The verdict as it stands, and its findings; each leads to the events that prove it.

import { html } from "./vendor/preact.js";
import { count } from "./words.js";

const MOST = 200;

export function Verdict({ store, onEvents }) {
  const verdict = store.verdict;
  if (!verdict) return html`<section class="verdict"><h2>Verdict</h2><p class="faint">…</p></section>`;
  const { orders, delivered, told, withdrawn, jobs, attempts, succeeded, findings } = verdict;
  return html`<section class="verdict" aria-label="verdict">
    <h2>Verdict <a class="faint" href="/api/report" target="_blank" rel="noopener">report</a></h2>
    <p>${count(orders, "order")}: ${delivered} delivered, ${told} told of a failure, ${withdrawn} withdrawn;
      ${" "}${count(jobs, "job")}, ${count(attempts, "attempt")}, ${succeeded} succeeded</p>
    ${findings.length === 0 && html`<p class="faint">Nothing was found.</p>`}
    <ol class="findings">
      ${findings.slice(0, MOST).map((finding) => html`<li key=${key_of(finding)} class=${finding.severity}>
        <b>${finding.severity} ${finding.finding}</b> ${finding.says}
        ${finding.job && html`<button class="link" onClick=${() => store.light(finding.job)}>show job</button>`}
        ${(finding.events || []).length > 0 && html`
          <button class="link evidence" onClick=${() => onEvents(finding.events)}>
            ${finding.events.length === 1 ? "the event" : `the ${finding.events.length} events`}</button>`}
      </li>`)}
    </ol>
    ${findings.length > MOST && html`<p class="faint">and ${findings.length - MOST} more</p>`}
  </section>`;
}

const key_of = ({ finding, job, instance, events }) => [finding, job, instance, ...(events || [])].join();
