"""Which jobs were sent to the wrong instance, and could the client have known?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from comfyfarm.analysis.placement.choices import Choice, Option
from comfyfarm.analysis.placement.snapshots import InstanceSnapshot
from comfyfarm.analysis.placement.statistics import ENOUGH

Why = Literal["could_not_know", "knew_and_ignored"]


class Misplaced(msgspec.Struct, frozen=True, kw_only=True):
    """A job that was sent to an instance although another was better: fewer jobs there, and less to do.

    :ivar seq: of the event that took the job on.
    :ivar depth: how many jobs the chosen instance had, truly.
    :ivar shown: how many the client was last told of; ``None``: of none.
    :ivar shown_age_ms: how long before.
    :ivar better: the best that could have been chosen.
    :ivar why: whether what the client was shown told it so.
    :ivar says: one sentence in plain words.
    """

    seq: int
    at_ms: int
    job: str
    attempt: int
    instance: str
    depth: int
    shown: int | None
    shown_age_ms: int | None
    better: str
    better_depth: int
    better_shown: int | None
    better_shown_age_ms: int | None
    why: Why
    says: str


class Misplacements(msgspec.Struct, frozen=True, kw_only=True):
    """All jobs that were sent to the wrong instance.

    :ivar n: jobs that were taken on and could have gone elsewhere.
    :ivar fresh_ms: how old what was shown may be and still oblige.
    :ivar each: in the order of the log.
    """

    n: int
    is_small: bool
    fresh_ms: int
    could_not_know: int
    knew_and_ignored: int
    each: tuple[Misplaced, ...]


def misplacements(free: Sequence[Choice], fresh_ms: int) -> Misplacements:
    """Tell of each job that was misplaced.

    :param free: choices with alternatives.
    """
    found = [_misplaced(each, better, fresh_ms) for each in free if (better := _better(each)) is not None]
    ignored = sum(each.why == "knew_and_ignored" for each in found)
    return Misplacements(
        n=len(free),
        is_small=len(free) < ENOUGH,
        fresh_ms=fresh_ms,
        could_not_know=len(found) - ignored,
        knew_and_ignored=ignored,
        each=tuple(found),
    )


def _better(choice: Choice) -> Option | None:
    """The best of those that were better in both ways; while no run's length is known, in the first."""
    chosen = choice.chosen
    better: Iterable[Option] = (
        each
        for each in choice.candidates
        if each.sight.depth < chosen.sight.depth and (each.left.ms < chosen.left.ms or not chosen.left.ms)
    )
    return min(better, key=lambda each: (each.sight.depth, each.left.ms), default=None)


def _misplaced(choice: Choice, better: Option, fresh_ms: int) -> Misplaced:
    attempt, there, other = choice.dispatch.attempt, choice.chosen.sight, better.sight
    at_ms = attempt.sent_ms
    why = _why(there, other, at_ms, fresh_ms)
    return Misplaced(
        seq=attempt.seq,
        at_ms=at_ms,
        job=attempt.job,
        attempt=attempt.number,
        instance=there.instance,
        depth=there.depth,
        shown=there.shown.remaining if there.shown else None,
        shown_age_ms=at_ms - there.shown.at_ms if there.shown else None,
        better=other.instance,
        better_depth=other.depth,
        better_shown=other.shown.remaining if other.shown else None,
        better_shown_age_ms=at_ms - other.shown.at_ms if other.shown else None,
        why=why,
        says=(
            f"{attempt.job} was sent to {there.instance} with {_jobs(there.depth)} at {at_ms / 1000:g} s, while "
            f"{other.instance} had {_jobs(other.depth)}; {_known(there, at_ms)}, {_known(other, at_ms)}: "
            f"{why.replace('_', ' ')}."
        ),
    )


def _why(there: InstanceSnapshot, other: InstanceSnapshot, at_ms: int, fresh_ms: int) -> Why:
    """It knew where what it was shown of both is fresh, and said that the other is better."""
    if not (_is_fresh(there, at_ms, fresh_ms) and _is_fresh(other, at_ms, fresh_ms)):
        return "could_not_know"
    return "knew_and_ignored" if (there.believed_depth or 0) > (other.believed_depth or 0) else "could_not_know"


def _is_fresh(sight: InstanceSnapshot, at_ms: int, fresh_ms: int) -> bool:
    """Not older than that; or still true, however old, since a websocket tells of changes only."""
    if sight.shown is None:
        return False
    return at_ms - sight.shown.at_ms <= fresh_ms or sight.believed_depth == sight.depth


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count} jobs"


def _known(sight: InstanceSnapshot, at_ms: int) -> str:
    if sight.shown is None:
        return f"nothing was shown of {sight.instance}"
    since = f" and {sight.sent_since} sent there since" if sight.sent_since else ""
    return f"{sight.instance} had shown {sight.shown.remaining} {(at_ms - sight.shown.at_ms) / 1000:g} s before{since}"
