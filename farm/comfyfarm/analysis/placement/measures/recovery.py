"""How soon was work moved away from what died, and given to what came back; and was what is drained left alone?"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from comfyfarm.analysis.logical_jobs import Attempt
from comfyfarm.analysis.placement.availability import AvailabilityChange
from comfyfarm.analysis.placement.choices import Choice
from comfyfarm.analysis.placement.statistics import ENOUGH, ENOUGH_OUTAGES, median_ms


class Reaction(msgspec.Struct, frozen=True, kw_only=True):
    """How long the system under test took to react.

    :ivar n: how often there was something to react to.
    :ivar never: how often it did not, until now.
    """

    n: int
    is_small: bool
    median_ms: int | None
    worst_ms: int | None
    never: int


class Drained(msgspec.Struct, frozen=True, kw_only=True):
    """Whether instances that shall get no new work got some.

    :ivar n: jobs that were sent while some instance was drained.
    :ivar dispatches: those of them that were sent there.
    """

    n: int
    is_small: bool
    dispatches: int


def _reaction(times_ms: Sequence[int | None]) -> Reaction:
    known = [each for each in times_ms if each is not None]
    return Reaction(
        n=len(times_ms),
        is_small=len(times_ms) < ENOUGH_OUTAGES,
        median_ms=median_ms(known),
        worst_ms=max(known, default=None),
        never=len(times_ms) - len(known),
    )


def failover(attempts: Iterable[Sequence[Attempt]]) -> Reaction:
    """Measure from each stop that lost jobs until one of them was sent again to another instance.

    :param attempts: of each logical job.
    """
    moved: dict[int, list[int]] = {}
    for of_job in attempts:
        done_seq = min((each.end_seq for each in of_job if each.end == "success"), default=None)
        for lost in of_job:
            if lost.end == "lost" and (done_seq is None or done_seq > lost.end_seq):
                moved.setdefault(lost.end_seq, []).extend(_moved_after_ms(of_job, lost))
    return _reaction([min(moved[seq], default=None) for seq in sorted(moved)])


def _moved_after_ms(of_job: Iterable[Attempt], lost: Attempt) -> list[int]:
    """How long after its end such a job was sent elsewhere, each time."""
    end_ms = lost.ended_ms or 0
    later = (each for each in of_job if each.seq > lost.end_seq and each.instance != lost.instance)
    return [each.sent_ms - end_ms for each in later]


def rejoin(choices: Sequence[Choice], spells: Iterable[AvailabilityChange]) -> Reaction:
    """Measure from each return of an instance until a new job was taken on there.

    A return after which no job came that it could have run, until it was gone again, does not count.
    """
    accepted = [each for each in choices if each.is_accepted]
    seqs = [each.dispatch.attempt.seq for each in accepted]
    times_ms: list[int | None] = []
    for each in _returns(spells):
        until = len(seqs) if each.until_seq is None else bisect_left(seqs, each.until_seq)
        times_ms += _rejoined_after_ms(each.began, accepted[bisect_left(seqs, each.began.seq) : until])
    return _reaction(times_ms)


@dataclass(frozen=True, slots=True)
class _Return:
    """An instance was up again.

    :ivar until_seq: when it was gone again; ``None``: it stayed.
    """

    began: AvailabilityChange
    until_seq: int | None


def _returns(spells: Iterable[AvailabilityChange]) -> list[_Return]:
    found: dict[int, _Return] = {}
    was: dict[str, AvailabilityChange] = {}
    seen: set[str] = set()
    for each in spells:
        before = was.get(each.instance)
        if each.is_up and (before is None or not before.is_up):
            if each.instance in seen:
                found[each.seq] = _Return(each, None)
            seen.add(each.instance)
            was[each.instance] = each
        elif not each.is_up and before is not None:
            if before.seq in found:
                found[before.seq] = _Return(before, each.seq)
            was[each.instance] = each
    return list(found.values())


def _rejoined_after_ms(returned: AvailabilityChange, accepted: Iterable[Choice]) -> list[int | None]:
    """When it got its first job; ``[None]`` where others got jobs that it could have run; nothing without any.

    :param accepted: while it was there.
    """
    was_passed_over = False
    for each in accepted:
        if each.chosen.sight.instance == returned.instance:
            return [each.dispatch.attempt.sent_ms - returned.at_ms]
        was_passed_over = was_passed_over or any(
            option.sight.instance == returned.instance for option in each.candidates
        )
    return [None] if was_passed_over else []


def drained(choices: Iterable[Choice]) -> Drained:
    """Count what was sent to instances that are drained."""
    asked = [each for each in choices if any(option.sight.is_draining for option in each.options)]
    sent = sum(each.chosen.sight.is_draining for each in asked)
    return Drained(n=len(asked), is_small=len(asked) < ENOUGH, dispatches=sent)
