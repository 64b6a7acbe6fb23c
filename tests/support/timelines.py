"""The timeline of a log made by hand."""

from __future__ import annotations

from collections.abc import Iterator

from comfyfarm.analysis.job_tracker import JobTracker
from comfyfarm.analysis.log_analysis import LogAnalysis
from comfyfarm.analysis.timeline.lane import Outage
from comfyfarm.analysis.timeline.timeline import Timeline
from tests.support.logs import Piece, armed, crashed, farm, fired, healed, log, ran, ready

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
"""Names that break careless escaping."""

LOST: list[Piece] = [
    farm("gpu-1", "gpu-2", delivery="none"),
    *(armed("crash-1", on=["gpu-1"]), armed("idle-1", on=["gpu-2"], do="delay")),
    *(ran("red", on="gpu-1", at=0, until=500), ran("blue", on="gpu-2", at=0, until=800)),
    *(ran("green", on="gpu-1", at=100, begins=500, until=900)[:3], fired("crash-1", on="gpu-1", at=700, job="green")),
    *(crashed("gpu-1", at=700, lost=["green"]), ready("gpu-1", at=1000, epoch=2), healed(at=60_000)),
]
"""A run in which a crash loses a job."""


def timeline_of(*pieces: Piece) -> Timeline:
    timeline = Timeline(JobTracker())
    for event in log(*pieces):
        timeline.tracker.on_event(event)
        timeline.on_event(event)
    return timeline


def analysis_of(*pieces: Piece) -> LogAnalysis:
    analysis = LogAnalysis()
    for event in log(*pieces):
        analysis.on_event(event)
    return analysis


def runs(timeline: Timeline, name: str) -> list[tuple[str, int, int]]:
    """Return the runs on an instance: logical job, start, end."""
    return [
        (span.attempt.job, *run) for span in timeline.lanes[name].spans for run in span.runs(timeline.end_ms)
    ]


def waits(timeline: Timeline, name: str) -> list[tuple[str, int, int]]:
    """Return the waits on an instance: logical job, start, end."""
    return [
        (span.attempt.job, *wait) for span in timeline.lanes[name].spans for wait in span.waits(timeline.end_ms)
    ]


def outages(timeline: Timeline, name: str) -> list[Outage]:
    return timeline.lanes[name].all_outages(timeline.end_ms)


def marks(timeline: Timeline, name: str) -> Iterator[tuple[str, int, str]]:
    """Return the marks of an instance: kind, time, text."""
    return ((mark.kind, mark.at_ms, mark.says) for mark in timeline.lanes[name].marks)
