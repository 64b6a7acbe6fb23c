"""One instance's lane of a timeline: spans of attempts, outages and marks."""

from array import array
from bisect import bisect_right
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal, NamedTuple

import msgspec

from comfyfarm.analysis.logical_jobs import Attempt

PartKind = Literal["loading", "saving"]
"""What a running job spends time on, other than running nodes."""
OutageKind = Literal["down", "frozen", "paused", "refusing", "draining"]
"""``down``: no process, or a booting one; ``refusing``: its port takes no connection; ``draining``: it is to get no new
work."""
MarkKind = Literal["fault", "retry", "refused", "delivered", "heal"]


class Interval(NamedTuple):
    """An interval of simulated time."""

    from_ms: int
    to_ms: int


class SpanPart(msgspec.Struct, frozen=True, gc=False):
    """An interval of a run that was spent on models or on files."""

    kind: PartKind
    from_ms: int
    to_ms: int


class Outage(msgspec.Struct, frozen=True, gc=False):
    """An interval in which an instance did not work as usual.

    :ivar to_ms: ``None`` while it lasts.
    """

    kind: OutageKind
    from_ms: int
    to_ms: int | None

    def interval(self, end_ms: int) -> Interval:
        """Return its time; an outage that lasts ends at ``end_ms``."""
        return Interval(self.from_ms, end_ms if self.to_ms is None else self.to_ms)


class Mark(msgspec.Struct, frozen=True, gc=False):
    """An event with a sign of its own.

    :ivar job: the logical job concerned; empty if there is none.
    """

    kind: MarkKind
    at_ms: int
    says: str
    job: str = ""


class AttemptSpan(msgspec.Struct, eq=False, gc=False):
    """The time of one attempt on its instance.

    :ivar broken_runs: runs that ended in a crash after which the job waited again, because the queue was kept.
    """

    attempt: Attempt
    parts: Sequence[SpanPart] = ()
    broken_runs: Sequence[Interval] = ()

    def runs(self, end_ms: int) -> Sequence[Interval]:
        """Return when it ran; a run that lasts ends at ``end_ms``."""
        taken_ms = self.attempt.taken_ms
        if taken_ms is None:
            return self.broken_runs
        return [*self.broken_runs, Interval(taken_ms, self._ended_ms(end_ms))]

    def waits(self, end_ms: int) -> list[Interval]:
        """Return when it waited, without empty intervals."""
        taken_ms = self.attempt.taken_ms
        edges = [self.attempt.sent_ms]
        for run in self.broken_runs:
            edges += run
        edges.append(self._ended_ms(end_ms) if taken_ms is None else taken_ms)
        return [Interval(*pair) for pair in list(pairwise(edges))[::2] if pair[0] < pair[1]]

    def _ended_ms(self, end_ms: int) -> int:
        return end_ms if self.attempt.ended_ms is None else self.attempt.ended_ms


class Marks(list[Mark]):
    """Marks, in the order of their events."""

    def __init__(self) -> None:
        super().__init__()
        self._seqs = array("q")

    def add(self, mark: Mark, seq: int) -> None:
        """Add the mark of an event."""
        self.append(mark)
        self._seqs.append(seq)

    def drop(self, jobs: Container[str], last_seq: int) -> None:
        """Drop the marks that name one of these jobs, of which none is of a later event."""
        end = bisect_right(self._seqs, last_seq)
        kept = [place for place, mark in enumerate(self[:end]) if mark.job not in jobs]
        self[:end] = [self[place] for place in kept]
        self._seqs[:end] = array("q", [self._seqs[place] for place in kept])


@dataclass(eq=False)
class Lane:
    """The lane of one instance.

    :ivar spans: in the order in which the attempts were sent.
    :ivar outages: those that have ended.
    :ivar ongoing: by kind, when the others began.
    """

    name: str
    spans: list[AttemptSpan] = field(default_factory=list)
    outages: list[Outage] = field(default_factory=list)
    marks: Marks = field(default_factory=Marks)
    ongoing: dict[OutageKind, int] = field(default_factory=dict)

    def begin(self, kind: OutageKind, at_ms: int) -> None:
        """Begin an outage, unless one of the kind is ongoing."""
        self.ongoing.setdefault(kind, at_ms)

    def end(self, kind: OutageKind, at_ms: int) -> None:
        """End an ongoing outage; an empty one is dropped."""
        began_ms = self.ongoing.pop(kind, None)
        if began_ms is not None and began_ms < at_ms:
            self.outages.append(Outage(kind, began_ms, at_ms))

    def all_outages(self, end_ms: int) -> list[Outage]:
        """Return the outages that have ended, then those that are ongoing and began before ``end_ms``."""
        ongoing = [Outage(kind, from_ms, None) for kind, from_ms in self.ongoing.items() if from_ms < end_ms]
        return [*self.outages, *ongoing]
