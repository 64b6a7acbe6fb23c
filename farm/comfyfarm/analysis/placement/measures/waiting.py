"""Waiting: waits, totals, makespan, starvation and overtaking."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

from comfyfarm.analysis.placement.arrival import JobArrival
from comfyfarm.analysis.placement.dispatch_events import Window
from comfyfarm.analysis.placement.dispatches import Dispatch
from comfyfarm.analysis.placement.statistics import ENOUGH, ENOUGH_FOR_P99, Measure, percentile


class Spread(Measure, frozen=True, kw_only=True):
    """Durations of logical jobs that succeeded.

    :ivar n: such jobs; if there are none, all values are ``None``.
    """

    p50_ms: int | None
    p95_ms: int | None
    p99_ms: int | None
    worst_ms: int | None


class Starvation(Measure, frozen=True, kw_only=True):
    """Jobs that waited long or were overtaken.

    :ivar n: logical jobs that ran or still wait, also to be sent.
    :ivar longest_wait_ms: of jobs that still wait the wait until now counts.
    :ivar longest_job: the job with that wait; empty if there is none.
    :ivar overtakes: how often a job may be overtaken.
    :ivar overtaken: the number of jobs that were overtaken more often.
    :ivar most_overtaken: how often the most overtaken job was overtaken.
    """

    longest_wait_ms: int | None
    longest_job: str
    overtakes: int
    overtaken: int
    most_overtaken: int


class Makespan(Measure, frozen=True, kw_only=True):
    """The time from the arrival of the first accepted job to the end of the last.

    :ivar n: attempts that were accepted.
    :ivar open: attempts that still wait or run; if there are any, the makespan ends now.
    """

    ms: int | None
    open: int


@dataclass(frozen=True, slots=True)
class JobSpan:
    """The time from the arrival of one logical job to its end.

    :ivar began_ms: when its decisive run began; ``None`` while it waits.
    :ivar ended_ms: when that run succeeded; ``None`` if it did not.
    """

    job: str
    arrival: JobArrival
    began_ms: int | None = None
    ended_ms: int | None = None

    def waited_ms(self, now_ms: int) -> int:
        return (now_ms if self.began_ms is None else self.began_ms) - self.arrival.at_ms


def job_spans(dispatches: Iterable[Dispatch], arrivals: Mapping[str, JobArrival]) -> list[JobSpan]:
    """Return the span of each logical job that ran or still waits, in the order of their first attempts.

    The first successful attempt is decisive; without one the open attempt, else the last one that ran.

    :param arrivals: by logical job.
    """
    by_job: dict[str, list[Dispatch]] = {}
    for dispatch in dispatches:
        by_job.setdefault(dispatch.attempt.job, []).append(dispatch)
    return [span for job, sent in by_job.items() if (span := _job_span(sent, arrivals[job])) is not None]


def _job_span(sent: Sequence[Dispatch], arrival: JobArrival) -> JobSpan | None:
    successes = [dispatch for dispatch in sent if dispatch.attempt.end == "success"]
    still_open = [dispatch for dispatch in sent if dispatch.attempt.is_open]
    have_run = [dispatch for dispatch in sent if dispatch.taken_ms is not None]
    decisive = successes[:1] or still_open[:1] or have_run[-1:]
    if not decisive:
        return None
    ended_ms = decisive[0].attempt.ended_ms if successes else None
    return JobSpan(sent[0].attempt.job, arrival, decisive[0].taken_ms, ended_ms)


def spread(durations_ms: Sequence[int]) -> Spread:
    return Spread(
        n=len(durations_ms),
        is_small=len(durations_ms) < ENOUGH_FOR_P99,
        p50_ms=percentile(durations_ms, 50),
        p95_ms=percentile(durations_ms, 95),
        p99_ms=percentile(durations_ms, 99),
        worst_ms=max(durations_ms, default=None),
    )


def makespan(dispatches: Iterable[Dispatch], window: Window | None) -> Makespan:
    accepted = [dispatch.attempt for dispatch in dispatches if dispatch.attempt.is_accepted]
    still_open = sum(attempt.is_open for attempt in accepted)
    length_ms = window.length_ms if window else None
    return Makespan(n=len(accepted), is_small=len(accepted) < ENOUGH, ms=length_ms, open=still_open)


def starvation(spans: Sequence[JobSpan], overtakes: int, at_ms: int) -> Starvation:
    """Find the longest wait, and count the overtaken jobs.

    :param at_ms: the time of the latest event.
    """
    longest = max(spans, key=lambda span: span.waited_ms(at_ms), default=None)
    counts = _overtaken_counts(spans)
    return Starvation(
        n=len(spans),
        is_small=len(spans) < ENOUGH,
        longest_wait_ms=longest.waited_ms(at_ms) if longest else None,
        longest_job=longest.job if longest else "",
        overtakes=overtakes,
        overtaken=sum(count > overtakes for count in counts),
        most_overtaken=max(counts, default=0),
    )


def _overtaken_counts(spans: Sequence[JobSpan]) -> list[int]:
    """Return for each job the number of jobs that came later and began earlier, anywhere in the farm."""
    in_order = sorted(spans, key=attrgetter("arrival"))
    places = {span.arrival: place for place, span in enumerate(in_order)}
    begun = _Tally(len(spans))
    counts = []
    beginning = sorted((span for span in spans if span.began_ms is not None), key=attrgetter("began_ms"))
    for _, group in groupby(beginning, attrgetter("began_ms")):
        together = [places[span.arrival] for span in group]
        counts += [begun.count_above(place) for place in together]
        for place in together:      # only now: jobs that begin at the same time do not overtake each other
            begun.add(place)
    return counts + [begun.count_above(places[span.arrival]) for span in spans if span.began_ms is None]


class _Tally:
    """A set of places from 0 to ``size`` - 1 that counts quickly, in any order (a Fenwick tree)."""

    def __init__(self, size: int) -> None:
        self._sums = [0] * (size + 1)
        self._total = 0

    def add(self, place: int) -> None:
        self._total += 1
        node = place + 1
        while node < len(self._sums):
            self._sums[node] += 1
            node += node & -node

    def count_above(self, place: int) -> int:
        up_to, node = 0, place + 1
        while node:
            up_to += self._sums[node]
            node -= node & -node
        return self._total - up_to
