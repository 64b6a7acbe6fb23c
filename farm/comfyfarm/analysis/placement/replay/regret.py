"""Regret: the tested system's placement compared with the best of five simple policies, on the same work."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from comfyfarm.analysis.placement.replay.queue_model import QueueModel
from comfyfarm.analysis.placement.replay.replay import Policy, ReplayResult, replay
from comfyfarm.analysis.placement.replay.workload import Workload
from comfyfarm.analysis.placement.statistics import ENOUGH, ENOUGH_PER_INSTANCE
from comfyfarm.events import Work

Cost = TypeVar("Cost", int, tuple[int, int])


@dataclass(eq=False)
class _RoundRobin:
    _last: int = -1

    def __call__(self, work: Work, candidates: Sequence[QueueModel], now_ms: int) -> QueueModel:
        chosen = next((queue for queue in candidates if queue.order > self._last), candidates[0])
        self._last = chosen.order
        return chosen


def _shortest_queue(work: Work, candidates: Sequence[QueueModel], now_ms: int) -> QueueModel:
    return _first_of_least(candidates, [queue.depth for queue in candidates])


def _least_work_left(work: Work, candidates: Sequence[QueueModel], now_ms: int) -> QueueModel:
    return _first_of_least(candidates, [queue.work_left_ms(now_ms) for queue in candidates])


def _finish_soonest(work: Work, candidates: Sequence[QueueModel], now_ms: int) -> QueueModel:
    return _first_of_least(candidates, [queue.total_ms(work, now_ms) for queue in candidates])


def _model_affine(work: Work, candidates: Sequence[QueueModel], now_ms: int) -> QueueModel:
    costs = [(queue.absent_bytes(work), queue.work_left_ms(now_ms)) for queue in candidates]
    return _first_of_least(candidates, costs)


def _first_of_least(candidates: Sequence[QueueModel], costs: list[Cost]) -> QueueModel:
    return candidates[costs.index(min(costs))]


POLICIES: dict[str, Callable[[], Policy]] = {
    "round_robin": _RoundRobin,
    "shortest_queue": lambda: _shortest_queue,
    "least_work_left": lambda: _least_work_left,
    "finish_soonest": lambda: _finish_soonest,
    "model_affine": lambda: _model_affine,
}
"""By name, a factory of the policy: a policy may have state."""


class ReplayOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one replay.

    :ivar makespan_ms: from the first arrival to the last end.
    :ivar mean_wait_ms: from a job's arrival to the beginning of its last run.
    :ivar mean_total_ms: from a job's arrival to the end of that run: what its user waits.
    """

    makespan_ms: int
    mean_wait_ms: float
    mean_total_ms: float


class Regret(msgspec.Struct, frozen=True, kw_only=True):
    """The tested system compared with the reference policies (docs/placement.md).

    :ivar n: logical jobs that were replayed.
    :ivar left_out: logical jobs that were accepted but never ran to an end, so that their length is unknown.
    :ivar tested: the jobs placed as the tested system placed them.
    :ivar policies: the same jobs placed by each policy, by its name.
    :ivar best_makespan: the policy with the shortest makespan; of equals the first.
    :ivar best_mean_wait: the policy with the shortest mean wait; of equals the first.
    :ivar best_mean_total: the policy with the shortest mean total; of equals the first.
    :ivar makespan_ratio: tested / best makespan; ``None`` if only the best one is 0.
    :ivar mean_wait_ratio: tested / best mean wait; ``None`` if only the best one is 0.
    :ivar mean_total_ratio: tested / best mean total; ``None`` if only the best one is 0.
    """

    n: int
    left_out: int
    is_small: bool
    tested: ReplayOutcome
    policies: dict[str, ReplayOutcome]
    best_makespan: str
    best_mean_wait: str
    best_mean_total: str
    makespan_ratio: float | None
    mean_wait_ratio: float | None
    mean_total_ratio: float | None


def regret_of(workload: Workload) -> Regret | None:
    """Replay the jobs as they were placed, and as each policy places them.

    ``None`` if there is nothing to compare: no job ran to an end, or there are fewer than two instances.
    """
    n = len(workload.arrivals)
    if not n or len(workload.settings) < 2:
        return None
    tested = replay(workload, workload.assignments)
    policies = {name: replay(workload, make_policy()) for name, make_policy in POLICIES.items()}
    best_makespan = min(policies, key=lambda name: policies[name].makespan_ms)
    best_mean_wait = min(policies, key=lambda name: policies[name].waited_ms)
    best_mean_total = min(policies, key=lambda name: policies[name].total_ms)
    return Regret(
        n=n,
        left_out=workload.left_out,
        is_small=n < max(ENOUGH, ENOUGH_PER_INSTANCE * len(workload.settings)),
        tested=_outcome(tested),
        policies={name: _outcome(result) for name, result in policies.items()},
        best_makespan=best_makespan,
        best_mean_wait=best_mean_wait,
        best_mean_total=best_mean_total,
        makespan_ratio=_ratio(tested.makespan_ms, policies[best_makespan].makespan_ms),
        mean_wait_ratio=_ratio(tested.waited_ms, policies[best_mean_wait].waited_ms),
        mean_total_ratio=_ratio(tested.total_ms, policies[best_mean_total].total_ms),
    )


def _outcome(result: ReplayResult) -> ReplayOutcome:
    jobs = len(result.began_ms)
    return ReplayOutcome(
        makespan_ms=result.makespan_ms, mean_wait_ms=result.waited_ms / jobs, mean_total_ms=result.total_ms / jobs
    )


def _ratio(tested: int, best: int) -> float | None:
    if tested == best:
        return 1.0      # also if both are 0
    return tested / best if best else None
