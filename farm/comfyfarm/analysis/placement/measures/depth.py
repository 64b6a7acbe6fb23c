"""Depth: how much longer the chosen queue was than the shortest, in jobs and in work left, and herding."""

from collections.abc import Iterable, Sequence

from comfyfarm.analysis.placement.choices import Choice
from comfyfarm.analysis.placement.statistics import ENOUGH_FOR_P99, Measure, percentile


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
