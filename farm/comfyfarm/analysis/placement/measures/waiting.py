"""How long did jobs take, and were some left behind: waits, totals, makespan, starvation and overtaking."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

import msgspec

from comfyfarm.analysis.placement.dispatch_events import Window
from comfyfarm.analysis.placement.dispatches import Dispatch
from comfyfarm.analysis.placement.statistics import ENOUGH, ENOUGH_FOR_P99, percentile


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """Durations of logical jobs that succeeded, in milliseconds; ``None`` where there is none.

    :ivar n: such jobs.
    """

    n: int
    is_small: bool
    p50_ms: int | None
    p95_ms: int | None
    p99_ms: int | None
    worst_ms: int | None


class Starvation(msgspec.Struct, frozen=True, kw_only=True):
    """Whether jobs were left behind.

    :ivar n: logical jobs that began to run, or still wait.
    :ivar longest_wait_ms: of those that still wait: until now.
    :ivar longest_job: whose wait that is; empty where there is none.
    :ivar overtakes: how often a job may be overtaken.
    :ivar overtaken: how many jobs were overtaken more often.
    :ivar most_overtaken: how often the one was that was overtaken most.
    """

    n: int
    is_small: bool
    longest_wait_ms: int | None
    longest_job: str
    overtakes: int
    overtaken: int
    most_overtaken: int


class Makespan(msgspec.Struct, frozen=True, kw_only=True):
    """From the first job that was sent to the end of the last.

    :ivar n: attempts that were taken on.
    :ivar open: those of them that still wait or run: until now, then.
    """

    n: int
    is_small: bool
    ms: int | None
    open: int


@dataclass(frozen=True, slots=True)
class JobSpan:
    """One logical job in the farm.

    :ivar sent_ms: of its first attempt, also where that was refused.
    :ivar began_ms: when the run began that decided; ``None`` while it waits.
    :ivar ended_ms: when that succeeded; ``None`` where it did not.
    """

    job: str
    seq: int
    sent_ms: int
    began_ms: int | None
    ended_ms: int | None

    def waited_ms(self, now_ms: int) -> int:
        """How long it has waited by now."""
        return (now_ms if self.began_ms is None else self.began_ms) - self.sent_ms


def job_spans(dispatches: Iterable[Dispatch]) -> list[JobSpan]:
    """Of each logical job that ran or still waits, in the order in which they came.

    What decides is its first success; without one the attempt that is open, or else the last that ran.
    """
    by_job: dict[str, list[Dispatch]] = {}
    for each in dispatches:
        by_job.setdefault(each.attempt.job, []).append(each)
    return [stay for sent in by_job.values() if (stay := _stay(sent)) is not None]


def _stay(sent: Sequence[Dispatch]) -> JobSpan | None:
    successes = [each for each in sent if each.attempt.end == "success"]
    still_open = [each for each in sent if each.attempt.is_open]
    have_run = [each for each in sent if each.taken_ms is not None]
    decisive = successes[:1] or still_open[:1] or have_run[-1:]
    if not decisive:
        return None
    ended_ms = decisive[0].attempt.ended_ms if successes else None
    first = sent[0].attempt
    return JobSpan(first.job, first.seq, first.sent_ms, decisive[0].taken_ms, ended_ms)


def spread(durations_ms: Sequence[int]) -> Spread:
    """Measure how long such things take."""
    return Spread(
        n=len(durations_ms),
        is_small=len(durations_ms) < ENOUGH_FOR_P99,
        p50_ms=percentile(durations_ms, 50),
        p95_ms=percentile(durations_ms, 95),
        p99_ms=percentile(durations_ms, 99),
        worst_ms=max(durations_ms, default=None),
    )


def makespan(dispatches: Iterable[Dispatch], window: Window | None) -> Makespan:
    """Measure how long the whole took."""
    accepted = [each.attempt for each in dispatches if each.attempt.is_accepted]
    ms = window.length_ms if window else None
    still_open = sum(each.is_open for each in accepted)
    return Makespan(n=len(accepted), is_small=len(accepted) < ENOUGH, ms=ms, open=still_open)


def starvation(stays: Sequence[JobSpan], overtakes: int, at_ms: int) -> Starvation:
    """Measure who waited longest, and who was overtaken.

    :param at_ms: the moment of the judgement.
    """
    longest = max(stays, key=lambda each: each.waited_ms(at_ms), default=None)
    overtaken = _overtaken(stays)
    return Starvation(
        n=len(stays),
        is_small=len(stays) < ENOUGH,
        longest_wait_ms=longest.waited_ms(at_ms) if longest else None,
        longest_job=longest.job if longest else "",
        overtakes=overtakes,
        overtaken=sum(each > overtakes for each in overtaken),
        most_overtaken=max(overtaken, default=0),
    )


def _overtaken(stays: Sequence[JobSpan]) -> list[int]:
    """For each job how many came later than it and began before it, anywhere in the farm."""
    in_order = sorted(stays, key=attrgetter("sent_ms", "seq"))
    places = {stay: place for place, stay in enumerate(in_order, 1)}
    begun = _Places(len(stays))
    counts = []
    beginning = sorted((each for each in stays if each.began_ms is not None), key=attrgetter("began_ms"))
    for _, group in groupby(beginning, attrgetter("began_ms")):
        together = [places[each] for each in group]
        counts += [begun.beyond(place) for place in together]
        for place in together:      # what begins at one moment does not overtake each other
            begun.add(place)
    return counts + [begun.beyond(places[each]) for each in stays if each.began_ms is None]


class _Places:
    """Which places are taken: a Fenwick tree, so that a hundred thousand jobs are counted in a second.

    :ivar size: the last place; the first is 1.
    """

    def __init__(self, size: int) -> None:
        """None is taken."""
        self._sums = [0] * (size + 1)
        self._all = 0

    def add(self, place: int) -> None:
        """Take a place."""
        self._all += 1
        while place < len(self._sums):
            self._sums[place] += 1
            place += place & -place

    def beyond(self, place: int) -> int:
        """How many places behind this one are taken."""
        until = 0
        while place:
            until += self._sums[place]
            place -= place & -place
        return self._all - until
