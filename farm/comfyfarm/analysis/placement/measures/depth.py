"""Was the shortest queue chosen: errors of depth and of work left, and herding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from comfyfarm.analysis.placement.choices import Choice
from comfyfarm.analysis.placement.statistics import ENOUGH_FOR_P99, percentile


class DepthError(msgspec.Struct, frozen=True, kw_only=True):
    """By how many jobs the chosen queue was longer than the shortest that could have been chosen.

    :ivar n: jobs that were taken on and could have gone elsewhere.
    """

    n: int
    is_small: bool
    median: int | None
    p99: int | None
    worst: int | None


class WorkError(msgspec.Struct, frozen=True, kw_only=True):
    """The same in milliseconds of work left.

    :ivar n: jobs that were taken on and could have gone elsewhere.
    :ivar exact: those of them where every run in question has come to an end of its own.
    """

    n: int
    is_small: bool
    median_ms: int | None
    p99_ms: int | None
    worst_ms: int | None
    exact: int


class Herding(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs that one client sent to one instance one after another, while it was told nothing new of its queue.

    :ivar n: jobs that were taken on and could have gone elsewhere.
    :ivar longest: how many in a row, at the most.
    :ivar instance: where that was, the first time; empty where there was nothing.
    """

    n: int
    is_small: bool
    longest: int
    instance: str


def with_alternatives(choices: Iterable[Choice]) -> list[Choice]:
    """Those in which a job was taken on that could have gone elsewhere."""
    return [each for each in choices if each.is_accepted and len(each.candidates) > 1]


def depth_error(free: Sequence[Choice]) -> DepthError:
    """Measure by the number of jobs.

    :param free: choices with alternatives.
    """
    errors = [each.chosen.sight.depth - min(other.sight.depth for other in each.candidates) for each in free]
    return DepthError(
        n=len(errors),
        is_small=len(errors) < ENOUGH_FOR_P99,
        median=percentile(errors, 50),
        p99=percentile(errors, 99),
        worst=max(errors, default=None),
    )


def work_error(free: Sequence[Choice]) -> WorkError:
    """Measure by what there was to do.

    :param free: choices with alternatives.
    """
    errors = [each.chosen.left.ms - min(other.left.ms for other in each.candidates) for each in free]
    return WorkError(
        n=len(errors),
        is_small=len(errors) < ENOUGH_FOR_P99,
        median_ms=percentile(errors, 50),
        p99_ms=percentile(errors, 99),
        worst_ms=max(errors, default=None),
        exact=sum(all(other.left.is_exact for other in each.candidates) for each in free),
    )


def herding(free: Sequence[Choice]) -> Herding:
    """Find the longest row of jobs that were sent blindly to one instance.

    :param free: choices with alternatives.
    """
    rows: dict[str | None, tuple[str, int]] = {}
    longest, where = 0, ""
    for each in free:
        sight, client_id = each.chosen.sight, each.dispatch.attempt.client_id
        before, row = rows.get(client_id, ("", 0))
        row = row + 1 if sight.instance == before and sight.sent_since else 1
        rows[client_id] = sight.instance, row
        if row > longest:
            longest, where = row, sight.instance
    return Herding(n=len(free), is_small=len(free) < ENOUGH_FOR_P99, longest=longest, instance=where)
