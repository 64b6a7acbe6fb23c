"""The report page: HTML without external resources."""

from collections.abc import Iterable, Iterator, Sequence

from comfyfarm.analysis.findings import Finding
from comfyfarm.analysis.log_analysis import LogAnalysis
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
_MOST_LETTERS = 1000    # of a sentence; its names may be of any length


def page(analysis: LogAnalysis) -> str:
    """Render a run as one HTML document; names from prompts and headers are escaped."""
    return "".join(_parts(analysis))


def _parts(analysis: LogAnalysis) -> Iterator[str]:
    verdict, timeline = analysis.verdict(), analysis.timeline()
    yield '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">'
    yield f"<title>comfyfarm: {verdict.verdict}</title><style>{STYLE}</style></head><body>"
    yield f'<header><h1><b class="{verdict.verdict}">{verdict.verdict}</b> {_SAYS[verdict.verdict]}</h1>'
    yield f"<p>{escaped(_summary(verdict, timeline, analysis.seed))}</p></header>"
    yield from _findings(verdict.findings, timeline)
    yield f'<section><h2>Timeline</h2><div class="scroll">{draw(timeline)}</div></section>'
    yield from placement_cards(analysis.placement())
    yield from _faults(analysis.faults())
    yield f"<script>{SCRIPT}</script></body></html>"


def _summary(verdict: Verdict, timeline: Timeline, seed: int | None) -> str:
    parts = [
        verdict.summary(),
        _count(len(timeline.lanes), "instance"),
        f"{as_duration(verdict.at_ms)} of simulated time",
    ]
    trial = [f"trial {clipped(verdict.trial)}"] if verdict.trial else []
    return " · ".join([*trial, *parts, *([] if seed is None else [f"seed {seed}"])])


def _count(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _findings(findings: Sequence[Finding], timeline: Timeline) -> Iterator[str]:
    yield "<section><h2>Findings</h2>"
    if not findings:
        yield "<p>None.</p></section>"
        return
    indexes = {name: index for index, name in enumerate(timeline.tracker.jobs)}
    rows = (
        (
            f'<b class="{finding.severity}">{finding.severity}</b>',
            escaped(finding.finding.replace("_", " ")),
            _sentence(finding, indexes),
            _some([str(seq) for seq in finding.events], _MOST_EVENTS),
        )
        for finding in findings[:_MOST_FINDINGS]
    )
    yield from table(("", "finding", "what happened", "proven by events"), rows, "findings")
    if len(findings) > _MOST_FINDINGS:
        yield f'<p class="more">and {len(findings) - _MOST_FINDINGS} more</p>'
    yield "</section>"


def _sentence(finding: Finding, indexes: dict[str, int]) -> str:
    # The script highlights the job in the picture on a click.
    says = escaped(clipped(finding.says, _MOST_LETTERS))
    return f'<span data-job="{indexes[finding.job]}">{says}</span>' if finding.job in indexes else says


def _some(words: Sequence[str], most: int) -> str:
    return escaped(", ".join(map(clipped, words[:most])) + (f" … ({len(words)})" if len(words) > most else ""))


def _faults(faults: Iterable[FaultRow]) -> Iterator[str]:
    rows = [
        (
            escaped(clipped(fault.id)),
            escaped(clipped(fault.do)),
            escaped(clipped(fault.phase)),
            _some(fault.on, _MOST_NAMES),
            str(fault.fired) if fault.fired else '<b class="warning">never</b>',
            NONE if fault.first_ms is None else as_duration(fault.first_ms),
            escaped(fault.end or "armed"),
        )
        for fault in faults
    ]
    if rows:
        yield "<section><h2>Faults</h2>"
        yield from table(("id", "do", "phase", "on", "fired", "first", "state"), rows)
        yield "</section>"
