// The regression test of what was done by hand in this trial.

import { html, useEffect, useState } from "./vendor/preact.js";
import { get } from "./api.js";
import { Copy } from "./parts.js";

export function CopyTest({ store }) {
  const [texts, keep] = useState({ test: "…", toml: "…" });
  const armed = store.farm.armed.size;
  useEffect(() => {
    Promise.all([get("/api/test?format=pytest"), get("/api/test?format=toml")])
      .then(([test, toml]) => keep({ test, toml }), (error) => keep({ test: error.message, toml: error.message }));
  }, [armed, store.farm.trial]);
  return html`<div class="test">
    <h2>As a test <${Copy} text=${texts.test} label="copy as test" /></h2><pre id="test">${texts.test}</pre>
    <h2>As a configuration <${Copy} text=${texts.toml} label="copy as TOML" /></h2><pre id="toml">${texts.toml}</pre>
  </div>`;
}
