"""A timeline as values, for whoever draws it otherwise: what ``/api/timeline`` answers."""

from __future__ import annotations

import msgspec

from comfyfarm.analysis.logical_jobs import End
from comfyfarm.analysis.timeline.lane import AttemptSpan, Lane, Mark, Outage, SpanPart
from comfyfarm.analysis.timeline.timeline import Timeline


class AttemptBar(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt's time on its instance.

    :ivar job: the logical job.
    :ivar attempt: its number among those of the job, from 1.
    :ivar runs: from when to when it ran; several where a crash broke it off and the queue was kept.
    :ivar waits: from when to when it waited.
    :ivar parts: what of its runs went into models and files.
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
    """One instance: its jobs in the order in which they were sent, when it did not work as usual, what befell it."""

    name: str
    stays: tuple[AttemptBar, ...]
    outages: tuple[Outage, ...]
    marks: tuple[Mark, ...]


class RunTimeline(msgspec.Struct, frozen=True, kw_only=True):
    """A run; all moments in simulated milliseconds.

    :ivar from_ms: 0, unless the beginning of the log is missing.
    :ivar end_ms: the latest moment; stretches that last end here.
    :ivar marks: of the farm as a whole.
    """

    from_ms: int
    end_ms: int
    lanes: tuple[InstanceLane, ...]
    marks: tuple[Mark, ...]


def as_values(timeline: Timeline) -> RunTimeline:
    """All that a picture shows."""
    end_ms = timeline.end_ms
    return RunTimeline(
        from_ms=timeline.from_ms,
        end_ms=end_ms,
        lanes=tuple(_lane(each, end_ms) for each in timeline.lanes.values()),
        marks=tuple(timeline.marks),
    )


def _lane(lane: Lane, end_ms: int) -> InstanceLane:
    stays = tuple(_stay(each, end_ms) for each in lane.stays)
    return InstanceLane(
        name=lane.name, stays=stays, outages=tuple(lane.all_outages(end_ms)), marks=tuple(lane.marks)
    )


def _stay(stay: AttemptSpan, end_ms: int) -> AttemptBar:
    attempt = stay.attempt
    return AttemptBar(
        job=attempt.job,
        attempt=attempt.number,
        prompt_id=attempt.prompt_id,
        sent_ms=attempt.sent_ms,
        waits=tuple(stay.waits(end_ms)),
        runs=tuple(stay.runs(end_ms)),
        parts=tuple(stay.parts),
        end=attempt.end,
        ended_ms=attempt.ended_ms,
    )
