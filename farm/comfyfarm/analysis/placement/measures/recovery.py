"""Recovery: how soon lost work was moved, how soon a returned instance got work, and what was sent while draining."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest

from comfyfarm.analysis.logical_jobs import Attempt
from comfyfarm.analysis.placement.availability import AvailabilityChange
from comfyfarm.analysis.placement.choices import Choice
from comfyfarm.analysis.placement.statistics import ENOUGH, ENOUGH_OUTAGES, Measure, percentile


class Reaction(Measure, frozen=True, kw_only=True):
    """The time that the system under test took to react.

    :ivar n: the events that called for a reaction.
    :ivar never: the events without a reaction until now.
    """

    median_ms: int | None
    worst_ms: int | None
    never: int


class Drained(Measure, frozen=True, kw_only=True):
    """Jobs that were sent to draining instances.

    :ivar n: dispatches while any instance was draining.
    :ivar dispatches: dispatches to a draining instance.
    """

    dispatches: int


def _reaction(times_ms: Sequence[int | None]) -> Reaction:
    reacted = [ms for ms in times_ms if ms is not None]
    return Reaction(
        n=len(times_ms),
        is_small=len(times_ms) < ENOUGH_OUTAGES,
        median_ms=percentile(reacted, 50),
        worst_ms=max(reacted, default=None),
        never=len(times_ms) - len(reacted),
    )


def failover(jobs: Iterable[Sequence[Attempt]]) -> Reaction:
    """Measure from each stop that lost jobs until one of them was sent to another instance.

    :param jobs: the attempts of each logical job.
    """
    moved: dict[int, list[int]] = {}    # by stop: how long after it each of its jobs was sent elsewhere
    for attempts in jobs:
        done_seq = min((attempt.end_seq for attempt in attempts if attempt.end == "success"), default=None)
        for lost in attempts:
            if lost.end == "lost" and (done_seq is None or done_seq > lost.end_seq):
                moved.setdefault(lost.end_seq, []).extend(
                    later.sent_ms - (lost.ended_ms or 0)
                    for later in attempts
                    if later.seq > lost.end_seq and later.instance != lost.instance
                )
    return _reaction([min(moved[seq], default=None) for seq in sorted(moved)])


def rejoin(choices: Sequence[Choice], changes: Iterable[AvailabilityChange]) -> Reaction:
    """Measure from each return of an instance until a new job was accepted there.

    A return does not count if no job that the instance could have run was sent before it was down again.
    """
    accepted = [choice for choice in choices if choice.is_accepted]
    seqs = [choice.dispatch.attempt.seq for choice in accepted]
    times_ms: list[int | None] = []
    for began, ended in _returns(changes):
        until = len(seqs) if ended is None else bisect_left(seqs, ended.seq)
        times_ms += _rejoined_after_ms(began, accepted[bisect_left(seqs, began.seq) : until])
    return _reaction(times_ms)


def _returns(changes: Iterable[AvailabilityChange]) -> Iterator[tuple[AvailabilityChange, AvailabilityChange | None]]:
    """Yield each change by which an instance was up again, with the one that ended this; ``None`` if it is still up."""
    turns: dict[str, list[AvailabilityChange]] = defaultdict(list)      # by instance: up, down, up, ...
    for change in changes:
        if change.is_up == (len(turns[change.instance]) % 2 == 0):
            turns[change.instance].append(change)
    for ups_and_downs in turns.values():
        yield from zip_longest(ups_and_downs[2::2], ups_and_downs[3::2])        # the first start is no return


def _rejoined_after_ms(returned: AvailabilityChange, accepted: Iterable[Choice]) -> list[int | None]:
    """Return the time until its first job; ``[None]`` if it only was a candidate; ``[]`` if it was not even that.

    :param accepted: the jobs sent while the instance was up.
    """
    was_candidate = False
    for choice in accepted:
        if choice.chosen.snapshot.instance == returned.instance:
            return [choice.dispatch.attempt.sent_ms - returned.at_ms]
        if not was_candidate:
            was_candidate = any(option.snapshot.instance == returned.instance for option in choice.candidates)
    return [None] if was_candidate else []


def drained(choices: Iterable[Choice]) -> Drained:
    while_draining = [choice for choice in choices if any(option.snapshot.is_draining for option in choice.options)]
    sent = sum(choice.chosen.snapshot.is_draining for choice in while_draining)
    return Drained(n=len(while_draining), is_small=len(while_draining) < ENOUGH, dispatches=sent)
