"""The results as text, as the table of ``docs/performance.md``, and as pictures beside it."""

from __future__ import annotations

import math
import platform
import re
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

from benchmarks.rows import Result
from comfyfarm.analysis.timeline.markup import tag, text

DOCS = Path(__file__).resolve().parent.parent / "docs"
BEGIN, END = "<!-- measured by ./scripts/bench --write-docs -->", "<!-- end of what was measured -->"
HEAD = f"{'row':28} {'ours':>10} {'other':>10} {'unit':9} {'ratio':>6}  goal"
_WIDTH, _LEFT, _RIGHT, _PITCH, _TOP = 900, 210, 70, 20, 44
_STYLE = """<style>
.bars{font:12px system-ui,sans-serif;color-scheme:light dark;--ink:#1f2933;--faint:#616e7c;--paper:#fff;--bad:#d0342c;
--good:#1d7f4c;background:var(--paper)}
@media(prefers-color-scheme:dark){.bars{--ink:#e4e7eb;--faint:#9aa5b1;--paper:#1f2933;--bad:#ff7b72;--good:#56d08c}}
.bars text{fill:var(--ink)}.bars .faint{fill:var(--faint)}.bars .good{fill:var(--good)}.bars .bad{fill:var(--bad)}
.bars line{stroke:var(--ink);stroke-width:1.5}
</style>"""


def as_line(result: Result) -> str:
    """Return a row as text."""
    cells = f"{result.name:28} {_number(result.ours):>10} {_other(result):>10} {result.unit:9} {_ratio(result):>6}"
    return f"{cells}  {_goal(result)}".rstrip()

_LEAST = 0.01


def write(results: Sequence[Result]) -> None:
    """Write the table between the two marks of the page, and its pictures."""
    page = DOCS / "performance.md"
    before, _, rest = page.read_text("utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    assert after, f"{page} has no {END}"
    table = "\n".join(_table(results))
    page.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{after}", "utf-8")
    goals = [(result.name, _share(result)) for result in results if result.goal is not None]
    ratios = [(result.name, result.ratio) for result in results if result.ratio is not None]
    for name, heading, bars in (
        ("goals", "measured, the goal being 1 (left of the line it is met)", goals),
        ("ratios", "cost beside that of the other in the same run, which is 1", ratios),
    ):
        (DOCS / "pictures" / f"performance-{name}.svg").write_text(draw(heading, bars), "utf-8")


def _table(results: Sequence[Result]) -> Iterator[str]:
    packages = ", ".join(f"{name} {version(name)}" for name in ("twisted", "aiohttp"))
    yield f"{_processor()}, Python {platform.python_version()}, {packages}.\n"
    yield "| row | ours | other | ratio | goal | |"
    yield "|---|---|---|---|---|---|"
    for result in results:
        other = f"{_other(result)} ({result.peer})" if result.other is not None else ""
        bound, _, met = _goal(result).partition(": ")
        yield f"| {result.name} | {_number(result.ours)} {result.unit} | {other} | {_ratio(result)} | {bound} | {met} |"


def _processor() -> str:
    found = re.search(r"^model name\s*: (.*)", Path("/proc/cpuinfo").read_text("ascii"), re.MULTILINE)
    return found[1] if found else platform.machine()


def _other(result: Result) -> str:
    return "" if result.other is None else _number(result.other)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _ratio(result: Result) -> str:
    return "" if result.ratio is None else f"{result.ratio:.2f}"


def _goal(result: Result) -> str:
    """Return a goal as text, and whether it is met; ``WORSE`` if the limit is not kept either."""
    if result.goal is None:
        return ""
    unit = f" {result.unit}" if result.bounds == "ours" else " x"
    bound = f"{'at least' if result.at_least else 'at most'} {_number(result.goal)}{unit}"
    return f"{bound}: {'met' if result.is_met else 'MISSED' if result.is_as_good_as_known else 'WORSE'}"


def _share(result: Result) -> float:
    """Return a result as a share of its goal: up to 1 it is met."""
    assert result.goal is not None
    return result.goal / result.value if result.at_least else result.value / result.goal


def draw(heading: str, bars: Sequence[tuple[str, float]]) -> str:
    """Draw horizontal bars on a logarithmic scale, with a line at 1, as one SVG picture."""
    height = _TOP + _PITCH * len(bars) + 10
    bars = [(name, max(value, _LEAST)) for name, value in bars]     # an idle farm may need no time at all
    least = min(0.5, *(value for _, value in bars))
    most = max(2.0, *(value for _, value in bars))
    width = (_WIDTH - _LEFT - _RIGHT) / math.log(most / least)
    parts = [text(8, 18, heading, kind="faint")]
    for number, (name, value) in enumerate(bars):
        y, length = _TOP + number * _PITCH, width * math.log(value / least)
        parts += [
            text(_LEFT - 8, y + 12, name, anchor="end"),
            tag("rect", class_="good" if value <= 1 else "bad", x=_LEFT, y=y, width=length + 1, height=_PITCH - 6),
            text(_LEFT + length + 6, y + 12, f"{value:.2g}", kind="faint"),
        ]
    x = _LEFT + width * math.log(1 / least)
    parts.append(tag("line", x1=x, x2=x, y1=_TOP - 12, y2=height - 6))
    size = f'width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" class="bars" role="img" aria-label="{heading}" {size}>'
    return f"{head}{_STYLE}{''.join(parts)}</svg>\n"
