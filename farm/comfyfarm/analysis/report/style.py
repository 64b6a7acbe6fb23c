"""The style and the script of the report page."""

STYLE = """
:root{color-scheme:light dark;--ink:#1f2933;--faint:#616e7c;--rule:#e4e7eb;--paper:#fff;--bad:#d0342c;--good:#1d7f4c;
--doubt:#8a5a00;--on:#fff}
@media(prefers-color-scheme:dark){:root{--ink:#e4e7eb;--faint:#9aa5b1;--rule:#3e4c59;--paper:#1f2933;--bad:#ff7b72;
--good:#56d08c;--doubt:#e6b450;--on:#1f2933}}
body{font:14px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:1240px;margin:0 auto;
padding:24px;overflow-wrap:anywhere}
td:first-child,th{white-space:nowrap}td:first-child{max-width:200px;overflow:hidden;text-overflow:ellipsis}
h1{font-size:20px;font-weight:500;margin:0}h2{font-size:16px;margin:28px 0 8px}h3{font-size:13px;margin:0 0 6px}
header p,dt,th,h3 i,.more{color:var(--faint)}header p{margin:4px 0 0}h3 i{font-weight:400;font-size:12px}
header b{text-transform:uppercase;font-size:14px;letter-spacing:.06em;color:var(--on);border-radius:4px;
padding:3px 10px;margin-right:8px;vertical-align:2px}
header .pass{background:var(--good)}header .fail{background:var(--bad)}header .unknown{background:var(--doubt)}
td .error{color:var(--bad)}td .unknown,td .warning{color:var(--doubt)}td .note{color:var(--faint)}
table{border-collapse:collapse;width:100%}th{text-align:left;font-weight:500;font-size:12px}
td,th{padding:4px 12px 4px 0;border-bottom:1px solid var(--rule);vertical-align:top}
.findings td:nth-child(2){white-space:nowrap}.findings td:last-child{color:var(--faint);min-width:110px}
span[data-job]{cursor:pointer}span[data-job]:hover{text-decoration:underline dotted}
.scroll{overflow-x:auto}.more{font-size:13px;margin:6px 0 0}
.cards{columns:270px;column-gap:28px}.cards>div{break-inside:avoid;margin-bottom:18px;overflow-x:auto}
dl{display:grid;grid-template-columns:auto 1fr;gap:0 12px;margin:0;font-size:13px}dd{margin:0;text-align:right}
dl dl,.small{font-size:12px}summary{cursor:pointer}details dl{max-height:240px;overflow-y:auto}
ul{margin:0 0 12px;padding-left:18px}.cards+h3{margin-top:8px}
.dim rect[data-job]:not(.lit){opacity:.12}
@media print{body{padding:0}.scroll{overflow:visible}}
"""

# A click on a job, in the picture or in a finding, dims all other jobs; a click elsewhere restores them.
SCRIPT = """
const picture = document.querySelector(".scroll .timeline");
const bars = new Map();
for (const bar of picture.querySelectorAll("[data-job]")) {
  const job = bar.dataset.job;
  if (!bars.has(job)) bars.set(job, []);
  bars.get(job).push(bar);
}
let lit = [];
const light = (job) => {
  for (const bar of lit) bar.classList.remove("lit");
  lit = bars.get(job) || [];
  for (const bar of lit) bar.classList.add("lit");
  picture.classList.toggle("dim", lit.length > 0);
};
document.addEventListener("click", (event) => {
  const clicked = event.target.closest("[data-job]");
  light(clicked && clicked.dataset.job);
});
"""
