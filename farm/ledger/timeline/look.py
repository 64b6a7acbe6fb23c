"""What everything in a drawn timeline looks like, by light and by dark."""

from __future__ import annotations

__all__ = ["PATTERNS", "STYLE"]

STYLE = """
.timeline{font:12px system-ui,sans-serif;color-scheme:light dark;--ink:#1f2933;--faint:#616e7c;--rule:#dfe3e8;
--paper:#fff;--band:#f5f7f9;--bad:#d0342c;--good:#1d7f4c;--down:#bcc5ce;--ice:#9bd0f0;--warm:#f0bd73;--load:.4;
background:var(--paper)}
@media(prefers-color-scheme:dark){.timeline{--ink:#e4e7eb;--faint:#9aa5b1;--rule:#3b4854;--paper:#1f2933;
--band:#252f39;--bad:#ff7b72;--good:#56d08c;--down:#55636f;--ice:#2f6f96;--warm:#8a6a35;--load:.32}}
.timeline text{fill:var(--ink)}.timeline .faint{fill:var(--faint)}.timeline .rule{stroke:var(--rule)}
.timeline .band{fill:var(--band)}.timeline .depth{fill:var(--faint);opacity:.45}.timeline .wait{opacity:.65}
.timeline .name{fill:#fff;font-size:11px;pointer-events:none;paint-order:stroke;stroke:#0007;stroke-width:2px}
.timeline .error{stroke:var(--bad);stroke-width:2}.timeline .cut{stroke:var(--bad);stroke-width:2.5}
.timeline .loading{fill:#000;opacity:var(--load)}.timeline .saving{fill:#fff;opacity:.55}
.timeline .down{fill:url(#down)}.timeline .frozen{fill:url(#frozen)}.timeline .refusing{fill:url(#refusing)}
.timeline .paused{fill:var(--down);opacity:.4}.timeline .draining{fill:var(--warm)}
.timeline .fault{fill:var(--bad);stroke:var(--paper);stroke-width:1}
.timeline .retry{fill:var(--paper);stroke:var(--ink);stroke-width:1.5}
.timeline .refused{fill:var(--paper);stroke:var(--bad);stroke-width:1.5}
.timeline .delivered{fill:none;stroke:var(--good);stroke-width:2}
.timeline .heal{stroke:var(--good);stroke-width:1.5;stroke-dasharray:4 3}.timeline .well{fill:var(--good)}
"""

_PATTERN = (
    '<pattern id="{0}" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate({1})">'
    '<rect width="6" height="6" style="fill:var(--band)"/><rect width="2.5" height="6" style="fill:var({2})"/>'
    "</pattern>"
)
PATTERNS = "<defs>{}</defs>".format(
    "".join(
        _PATTERN.format(kind, turned, ink)
        for kind, turned, ink in (("down", 45, "--down"), ("frozen", 45, "--ice"), ("refusing", -45, "--warm"))
    )
)
