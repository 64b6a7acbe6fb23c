"""Depth: how much longer the chosen queue was than the shortest, in jobs and in work left, herding, and misplacements.

A job is misplaced if it was sent to a worse instance; each such case says whether the client could have known.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from comfyfarm.analysis.placement.choices import Choice, Option
from comfyfarm.analysis.placement.snapshots import InstanceSnapshot
from comfyfarm.analysis.placement.statistics import ENOUGH, ENOUGH_FOR_P99, Measure, percentile

Reason = Literal["could_not_know", "knew_and_ignored"]


class DepthError(Measure, frozen=True, kw_only=True):
    """The number of jobs by which the chosen queue was longer than the shortest of the candidates.

    :ivar n: dispatches with a choice.
    """

    median: int | None
    p99: int | None
    worst: int | None


class WorkError(Measure, frozen=True, kw_only=True):
    """The same in milliseconds of work left.

    :ivar n: dispatches with a choice.
    :ivar exact: dispatches for which the work left of all candidates is exact.
    """

    median_ms: int | None
    p99_ms: int | None
    worst_ms: int | None
    exact: int


class Herding(Measure, frozen=True, kw_only=True):
    """Consecutive jobs that one client sent to one instance without being shown its queue in between.

    :ivar n: dispatches with a choice.
    :ivar longest: the length of the longest row.
    :ivar instance: of the first such row; empty if there is none.
    """

    longest: int
    instance: str


def with_alternatives(choices: Iterable[Choice]) -> list[Choice]:
    """Return the dispatches with a choice: accepted jobs with at least two candidates."""
    return [choice for choice in choices if choice.is_accepted and len(choice.candidates) > 1]


def depth_error(choices: Sequence[Choice]) -> DepthError:
    """Compare the depths. All choices must have alternatives."""
    errors = [
        choice.chosen.snapshot.depth - min(option.snapshot.depth for option in choice.candidates) for choice in choices
    ]
    return DepthError(
        n=len(errors),
        is_small=len(errors) < ENOUGH_FOR_P99,
        median=percentile(errors, 50),
        p99=percentile(errors, 99),
        worst=max(errors, default=None),
    )


def work_error(choices: Sequence[Choice]) -> WorkError:
    """Compare the work left. All choices must have alternatives."""
    errors = [choice.chosen.left.ms - min(option.left.ms for option in choice.candidates) for choice in choices]
    return WorkError(
        n=len(errors),
        is_small=len(errors) < ENOUGH_FOR_P99,
        median_ms=percentile(errors, 50),
        p99_ms=percentile(errors, 99),
        worst_ms=max(errors, default=None),
        exact=sum(all(option.left.is_exact for option in choice.candidates) for choice in choices),
    )


def herding(choices: Sequence[Choice]) -> Herding:
    """Find the longest row. All choices must have alternatives."""
    rows: dict[str | None, tuple[str, int]] = {}    # by client id: the instance of its latest job, and the row's length
    longest, instance = 0, ""
    for choice in choices:
        snapshot, client_id = choice.chosen.snapshot, choice.dispatch.attempt.client_id
        previous, row = rows.get(client_id, ("", 0))
        row = row + 1 if snapshot.instance == previous and snapshot.sent_since else 1
        rows[client_id] = snapshot.instance, row
        if row > longest:
            longest, instance = row, snapshot.instance
    return Herding(n=len(choices), is_small=len(choices) < ENOUGH_FOR_P99, longest=longest, instance=instance)


# Misplacements.


class Misplaced(msgspec.Struct, frozen=True, kw_only=True):
    """A job that was sent to an instance although another had fewer jobs and would have ended it sooner.

    :ivar seq: of the event that accepted the job.
    :ivar depth: the true number of jobs at the chosen instance.
    :ivar shown: the queue length that the client was shown last; ``None`` if none.
    :ivar shown_age_ms: the time since then.
    :ivar better: the best candidate.
    :ivar says: one sentence for people.
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
    why: Reason
    says: str


class Misplacements(Measure, frozen=True, kw_only=True):
    """All misplaced jobs.

    :ivar n: dispatches with a choice.
    :ivar fresh_ms: the age up to which what was shown counts as known, even if it is no longer true.
    :ivar each: in the order of the log.
    """

    fresh_ms: int
    could_not_know: int
    knew_and_ignored: int
    each: tuple[Misplaced, ...]


def misplacements(choices: Sequence[Choice], fresh_ms: int) -> Misplacements:
    """Find the misplaced jobs. All choices must have alternatives."""
    found = [_misplaced(choice, better, fresh_ms) for choice in choices if (better := _best_better(choice)) is not None]
    ignored = sum(misplaced.why == "knew_and_ignored" for misplaced in found)
    return Misplacements(
        n=len(choices),
        is_small=len(choices) < ENOUGH,
        fresh_ms=fresh_ms,
        could_not_know=len(found) - ignored,
        knew_and_ignored=ignored,
        each=tuple(found),
    )


def _best_better(choice: Choice) -> Option | None:
    """Return the best candidate with fewer jobs, less work left and an earlier end of this job.

    While no length is known, fewer jobs are enough.
    """
    chosen = choice.chosen
    better = (
        option
        for option in choice.candidates
        if option.snapshot.depth < chosen.snapshot.depth
        and (option.left.ms < chosen.left.ms or not chosen.left.ms)
        and (choice.work is None or choice.finishes_sooner(option, choice.work))
    )
    return min(better, key=lambda option: (option.snapshot.depth, option.left.ms), default=None)


def _misplaced(choice: Choice, better_option: Option, fresh_ms: int) -> Misplaced:
    attempt, chosen, better = choice.dispatch.attempt, choice.chosen.snapshot, better_option.snapshot
    at_ms = attempt.sent_ms
    reason = _reason(chosen, better, at_ms, fresh_ms)
    return Misplaced(
        seq=attempt.seq,
        at_ms=at_ms,
        job=attempt.job,
        attempt=attempt.number,
        instance=chosen.instance,
        depth=chosen.depth,
        shown=chosen.shown.remaining if chosen.shown else None,
        shown_age_ms=at_ms - chosen.shown.at_ms if chosen.shown else None,
        better=better.instance,
        better_depth=better.depth,
        better_shown=better.shown.remaining if better.shown else None,
        better_shown_age_ms=at_ms - better.shown.at_ms if better.shown else None,
        why=reason,
        says=(
            f"{attempt.job} was sent to {chosen.instance} with {_jobs(chosen.depth)} at {at_ms / 1000:g} s, while "
            f"{better.instance} had {_jobs(better.depth)}; {_shown(chosen, at_ms)}, {_shown(better, at_ms)}: "
            f"{reason.replace('_', ' ')}."
        ),
    )


def _reason(chosen: InstanceSnapshot, better: InstanceSnapshot, at_ms: int, fresh_ms: int) -> Reason:
    if not (_is_fresh(chosen, at_ms, fresh_ms) and _is_fresh(better, at_ms, fresh_ms)):
        return "could_not_know"
    return "knew_and_ignored" if (chosen.believed_depth or 0) > (better.believed_depth or 0) else "could_not_know"


def _is_fresh(snapshot: InstanceSnapshot, at_ms: int, fresh_ms: int) -> bool:
    if snapshot.shown is None:
        return False
    # A websocket sends only changes, so what it sent last counts for as long as it is true.
    return at_ms - snapshot.shown.at_ms <= fresh_ms or snapshot.believed_depth == snapshot.depth


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count} jobs"


def _shown(snapshot: InstanceSnapshot, at_ms: int) -> str:
    if snapshot.shown is None:
        return f"nothing was shown of {snapshot.instance}"
    since = f" and {snapshot.sent_since} sent there since" if snapshot.sent_since else ""
    age_s = (at_ms - snapshot.shown.at_ms) / 1000
    return f"{snapshot.instance} had shown {snapshot.shown.remaining} {age_s:g} s before{since}"
