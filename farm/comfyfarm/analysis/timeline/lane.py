"""What a lane of a timeline is made of: stays of jobs, outages and marks."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal, NamedTuple

import msgspec

from comfyfarm.analysis.logical_jobs import Attempt

PartKind = Literal["loading", "saving"]
"""What a running job does where it does not simply run."""
OutageKind = Literal["down", "frozen", "paused", "refusing", "draining"]
"""``down``: no process, or one that boots; ``refusing``: its port takes no connection; ``draining``: nothing new shall
be sent to it."""
MarkKind = Literal["fault", "retry", "refused", "delivered", "heal"]


class Stretch(NamedTuple):
    """From when to when, in simulated milliseconds."""

    from_ms: int
    to_ms: int


class SpanPart(msgspec.Struct, frozen=True):
    """A stretch of a job's run that was spent on models or on files."""

    kind: PartKind
    from_ms: int
    to_ms: int


class Outage(msgspec.Struct, frozen=True):
    """A stretch in which an instance did not work as usual.

    :ivar to_ms: ``None`` while it lasts.
    """

    kind: OutageKind
    from_ms: int
    to_ms: int | None


class Mark(msgspec.Struct, frozen=True):
    """A moment worth a sign.

    :ivar job: the logical job that it is about, or empty.
    """

    kind: MarkKind
    at_ms: int
    says: str
    job: str = ""


@dataclass(eq=False, slots=True)
class AttemptSpan:
    """One attempt's time on its instance.

    :ivar parts: what it did where it did not simply run.
    :ivar broken: runs that a crash broke off, after which the job waited again, for the queue was kept.
    """

    attempt: Attempt
    parts: list[SpanPart] = field(default_factory=list)
    broken: list[Stretch] = field(default_factory=list)

    def runs(self, end_ms: int) -> list[Stretch]:
        """When it ran; what still runs does so until ``end_ms``."""
        taken_ms = self.attempt.taken_ms
        return self.broken if taken_ms is None else [*self.broken, Stretch(taken_ms, self._gone_ms(end_ms))]

    def waits(self, end_ms: int) -> list[Stretch]:
        """When it waited, without those waits that had no length."""
        taken_ms = self.attempt.taken_ms
        edges = [self.attempt.sent_ms]
        for each in self.broken:
            edges += each
        edges.append(self._gone_ms(end_ms) if taken_ms is None else taken_ms)
        return [Stretch(*pair) for pair in list(pairwise(edges))[::2] if pair[0] < pair[1]]

    def _gone_ms(self, end_ms: int) -> int:
        return end_ms if self.attempt.ended_ms is None else self.attempt.ended_ms


@dataclass(eq=False)
class Lane:
    """One instance.

    :ivar outages: those that are over.
    :ivar lasting: those that are not: since when.
    """

    name: str
    stays: list[AttemptSpan] = field(default_factory=list)
    outages: list[Outage] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    lasting: dict[OutageKind, int] = field(default_factory=dict)

    def begin(self, kind: OutageKind, at_ms: int) -> None:
        """An outage begins, unless it has already."""
        self.lasting.setdefault(kind, at_ms)

    def end(self, kind: OutageKind, at_ms: int) -> None:
        """An outage is over; one of no length never was."""
        begun_ms = self.lasting.pop(kind, None)
        if begun_ms is not None and begun_ms < at_ms:
            self.outages.append(Outage(kind, begun_ms, at_ms))

    def all_outages(self, end_ms: int) -> list[Outage]:
        """Those that are over, and behind them those that last: of these, such as began before ``end_ms``."""
        lasting = [Outage(kind, from_ms, None) for kind, from_ms in self.lasting.items() if from_ms < end_ms]
        return [*self.outages, *lasting]
