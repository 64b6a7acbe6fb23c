"""A timeline as values: the answer of ``GET /api/timeline``."""

import msgspec

from comfyfarm.analysis.logical_jobs import End
from comfyfarm.analysis.timeline.lane import AttemptSpan, Lane, Mark, Outage, SpanPart
from comfyfarm.analysis.timeline.timeline import Timeline


class AttemptBar(msgspec.Struct, frozen=True, kw_only=True):
    """The time of one attempt on its instance.

    :ivar job: the logical job.
    :ivar attempt: its number among those of the job, from 1.
    :ivar waits: the start and end of each wait.
    :ivar runs: the start and end of each run; several if a crash ended one and the queue was kept.
    :ivar parts: the intervals of its runs that were spent on models and files.
    :ivar end: ``None`` while it waits or runs.
    """

    job: str
    attempt: int
    prompt_id: str | None
    sent_ms: int
    waits: tuple[tuple[int, int], ...]
    runs: tuple[tuple[int, int], ...]
    parts: tuple[SpanPart, ...]
    end: End | None
    ended_ms: int | None


class InstanceLane(msgspec.Struct, frozen=True, kw_only=True):
    """One instance.

    :ivar stays: the attempts, in the order in which they were sent.
    """

    name: str
    stays: tuple[AttemptBar, ...]
    outages: tuple[Outage, ...]
    marks: tuple[Mark, ...]


class RunTimeline(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A run; all times in simulated milliseconds.

    :ivar from_ms: 0, unless the beginning of the log is missing.
    :ivar end_ms: the latest time; intervals that last end here.
    :ivar marks: of the farm as a whole.
    :ivar forgotten: how many earlier jobs are not in it, because only the latest are kept, and those with findings.
    """

    from_ms: int
    end_ms: int
    lanes: tuple[InstanceLane, ...]
    marks: tuple[Mark, ...]
    forgotten: int = 0


def as_values(timeline: Timeline) -> RunTimeline:
    end_ms = timeline.end_ms
    return RunTimeline(
        from_ms=timeline.from_ms,
        end_ms=end_ms,
        lanes=tuple(_lane(lane, end_ms) for lane in timeline.lanes.values()),
        marks=tuple(timeline.marks),
        forgotten=timeline.tracker.forgotten.count,
    )


def _lane(lane: Lane, end_ms: int) -> InstanceLane:
    return InstanceLane(
        name=lane.name,
        stays=tuple(_bar(span, end_ms) for span in lane.spans),
        outages=tuple(lane.all_outages(end_ms)),
        marks=tuple(lane.marks),
    )


def _bar(span: AttemptSpan, end_ms: int) -> AttemptBar:
    attempt = span.attempt
    return AttemptBar(
        job=attempt.job,
        attempt=attempt.number,
        prompt_id=attempt.prompt_id,
        sent_ms=attempt.sent_ms,
        waits=tuple(span.waits(end_ms)),
        runs=tuple(span.runs(end_ms)),
        parts=tuple(span.parts),
        end=attempt.end,
        ended_ms=attempt.ended_ms,
    )
