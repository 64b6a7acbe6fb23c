"""The page itself: HTML without a single thing from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from comfyfarm.analysis.findings import Finding
from comfyfarm.analysis.log_analysis import LogAnalysis
from comfyfarm.analysis.placement.placement import Placement
from comfyfarm.analysis.report.measures import NONE, placement_cards
from comfyfarm.analysis.report.style import SCRIPT, STYLE
from comfyfarm.analysis.timeline.faults import FaultRow
from comfyfarm.analysis.timeline.markup import clipped, escaped, table
from comfyfarm.analysis.timeline.scale import as_duration
from comfyfarm.analysis.timeline.svg import draw
from comfyfarm.analysis.timeline.timeline import Timeline
from comfyfarm.analysis.verdict import Verdict

_SAYS = {
    "pass": "Nothing was lost, done twice or mixed up.",
    "fail": "The log proves that something went wrong.",
    "unknown": "The log does not show how it ended; that is no pass.",
}
_MOST_FINDINGS, _MOST_EVENTS, _MOST_NAMES = 200, 8, 6
_MOST_LETTERS = 1000    # of a sentence: the names in it may be of any length


@dataclass(frozen=True)
class RunReport:
    """All that a page shows.

    :ivar seed: of the farm, or ``None`` where the log does not say.
    """

    verdict: Verdict
    placement: Placement
    timeline: Timeline
    faults: Iterable[FaultRow]
    seed: int | None

    @classmethod
    def of(cls, analysis: LogAnalysis) -> Self:
        """All that a log came to."""
        return cls(analysis.verdict(), analysis.placement(), analysis.timeline(), analysis.faults(), analysis.seed)


def page(run: RunReport) -> str:
    """One HTML document; whatever a prompt, a name or a header held is shown as text."""
    return "".join(_parts(run))


def _parts(run: RunReport) -> Iterator[str]:
    verdict = run.verdict
    yield '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">'
    yield f"<title>comfyfarm: {verdict.verdict}</title><style>{STYLE}</style></head><body>"
    yield f'<header><h1><b class="{verdict.verdict}">{verdict.verdict}</b> {_SAYS[verdict.verdict]}</h1>'
    yield f"<p>{escaped(_summary(run))}</p></header>"
    yield from _findings(run)
    yield f'<section><h2>Timeline</h2><div class="scroll">{draw(run.timeline)}</div></section>'
    yield from placement_cards(run.placement)
    yield from _faults(run.faults)
    yield f"<script>{SCRIPT}</script></body></html>"


def _summary(run: RunReport) -> str:
    verdict = run.verdict
    parts = [
        f"{_count(verdict.jobs, 'logical job')} in {_count(verdict.attempts, 'attempt')}",
        f"{verdict.succeeded} succeeded",
        _count(len(run.timeline.lanes), "instance"),
        f"{as_duration(verdict.at_ms)} of simulated time",
    ]
    return " · ".join([*parts, *([] if run.seed is None else [f"seed {run.seed}"])])


def _count(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _findings(run: RunReport) -> Iterator[str]:
    found = run.verdict.findings
    yield "<section><h2>Findings</h2>"
    if not found:
        yield "<p>None.</p></section>"
        return
    numbers = {name: index for index, name in enumerate(run.timeline.attempts.jobs)}
    rows = (
        (
            f'<b class="{each.severity}">{each.severity}</b>',
            escaped(each.finding.replace("_", " ")),
            _sentence(each, numbers),
            _some([str(seq) for seq in each.events], _MOST_EVENTS),
        )
        for each in found[:_MOST_FINDINGS]
    )
    yield from table(("", "finding", "what happened", "proven by events"), rows, "findings")
    if len(found) > _MOST_FINDINGS:
        yield f'<p class="more">and {len(found) - _MOST_FINDINGS} more</p>'
    yield "</section>"


def _sentence(finding: Finding, numbers: dict[str, int]) -> str:
    """What a finding says; a click on it shows its job in the picture."""
    says = escaped(clipped(finding.says, _MOST_LETTERS))
    return f'<span data-job="{numbers[finding.job]}">{says}</span>' if finding.job in numbers else says


def _some(words: Sequence[str], most: int) -> str:
    return escaped(", ".join(map(clipped, words[:most])) + (f" … ({len(words)})" if len(words) > most else ""))


def _faults(faults: Iterable[FaultRow]) -> Iterator[str]:
    rows = [
        (
            escaped(clipped(each.id)),
            escaped(clipped(each.do)),
            escaped(clipped(each.phase)),
            _some(each.on, _MOST_NAMES),
            str(each.fired) if each.fired else '<b class="warning">never</b>',
            NONE if each.first_ms is None else as_duration(each.first_ms),
            escaped(each.end or "armed"),
        )
        for each in faults
    ]
    if rows:
        yield "<section><h2>Faults</h2>"
        yield from table(("id", "do", "phase", "on", "fired", "first", "state"), rows)
        yield "</section>"
