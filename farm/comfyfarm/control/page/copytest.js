// The regression test of what was done by hand in this trial.

import { html, useEffect, useState } from "./vendor/preact.js";
import { get } from "./api.js";
import { Copy } from "./parts.js";

export function CopyTest({ store }) {
  const [texts, keep] = useState({ test: "…", toml: "…" });
  // What may change the text: faults, the last action, the first job.
  const { armed, trial, colours } = store.farm;
  useEffect(() => {
    Promise.all([get("/api/test?format=pytest"), get("/api/test?format=toml")])
      .then(([test, toml]) => keep({ test, toml }), (error) => keep({ test: error.message, toml: error.message }));
  }, [armed.size, trial, colours.size > 0, store.last && store.last.outcome, store.last && store.last.label]);
  return html`<div class="test">
    <p class="faint">What was done before the first job of this trial holds from the start; what was done later comes as long after
      the first job as it did here. <code>send_jobs</code> is a fixture of yours.</p>
    <h2>As a test <${Copy} text=${texts.test} label="copy as test" /></h2><pre id="test">${texts.test}</pre>
    <h2>As a configuration <${Copy} text=${texts.toml} label="copy as TOML" /></h2><pre id="toml">${texts.toml}</pre>
  </div>`;
}
