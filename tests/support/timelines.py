"""What is seen of a log made by hand."""

from __future__ import annotations

from collections.abc import Iterator

from comfyfarm.analysis.job_tracker import JobTracker
from comfyfarm.analysis.log_analysis import LogAnalysis
from comfyfarm.analysis.timeline.lane import Outage
from comfyfarm.analysis.timeline.timeline import Timeline
from tests.support.logs import Piece, log

__all__ = ["HOSTILE", "marks", "outages", "runs", "seen", "told", "waits"]

HOSTILE = (
    "</title><script>document.title='hacked'</script>",
    '"><img src=x onerror="document.title=\'hacked\'">',
    "'&<>\"",
    "&lt;b&gt; &amp;",
    "]]><!--",
    "\x00\x01\x08\x0b\x0c\x1b[31m\x7f\x85",
    "\ud800 half a letter \udfff",
    "\ufffe\uffff",
    "line\nbreak\ttab\rreturn",
    "javascript:alert(1)",
    "x" * 100_000,
    "",
)
"""Names that somebody could choose."""


def seen(*pieces: Piece) -> Timeline:
    """The timeline of a log."""
    timeline = Timeline(JobTracker())
    for event in log(*pieces):
        timeline.attempts.on_event(event)
        timeline.on_event(event)
    return timeline


def told(*pieces: Piece) -> LogAnalysis:
    """All that comes of a log."""
    analysis = LogAnalysis()
    for event in log(*pieces):
        analysis.on_event(event)
    return analysis


def runs(timeline: Timeline, name: str) -> list[tuple[str, int, int]]:
    """Of one instance: which logical job ran from when to when."""
    return [
        (stay.attempt.job, *run) for stay in timeline.lanes[name].stays for run in stay.runs(timeline.end_ms)
    ]


def waits(timeline: Timeline, name: str) -> list[tuple[str, int, int]]:
    """Of one instance: which logical job waited from when to when."""
    return [
        (stay.attempt.job, *wait) for stay in timeline.lanes[name].stays for wait in stay.waits(timeline.end_ms)
    ]


def outages(timeline: Timeline, name: str) -> list[Outage]:
    """Of one instance: when it did not work as usual."""
    return timeline.lanes[name].all_outages(timeline.end_ms)


def marks(timeline: Timeline, name: str) -> Iterator[tuple[str, int, str]]:
    """Of one instance: what befell it, when, and what is said of it."""
    return ((mark.kind, mark.at_ms, mark.says) for mark in timeline.lanes[name].marks)
