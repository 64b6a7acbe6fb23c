"""How far from the best of four simple policies did the tested system place the same work?"""

from __future__ import annotations

import msgspec

from comfyfarm.analysis.placement.replay.policies import POLICIES
from comfyfarm.analysis.placement.replay.replay import ReplayResult, replay
from comfyfarm.analysis.placement.replay.workload import Workload
from comfyfarm.analysis.placement.statistics import ENOUGH, ENOUGH_PER_INSTANCE


class ReplayOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What one way to place the work comes to, in a replay.

    :ivar makespan_ms: from the first arrival to the last end.
    :ivar mean_wait_ms: from a job's arrival until the run began that went to its end.
    """

    makespan_ms: int
    mean_wait_ms: float


class Regret(msgspec.Struct, frozen=True, kw_only=True):
    """The tested system beside the reference policies (docs/placement.md).

    :ivar n: the logical jobs that were replayed.
    :ivar left_out: logical jobs that were taken on and never ran to an end, so that nobody knows how long they take.
    :ivar is_small: too few jobs for the figures to mean much.
    :ivar tested: the jobs placed as the tested system did.
    :ivar policies: the same jobs as each policy places them, by its name.
    :ivar best_makespan: the policy with the shortest makespan; the first of equals.
    :ivar best_mean_wait: the policy with the shortest wait; the first of equals.
    :ivar makespan_ratio: the tested system's makespan by the best one's; ``None`` where the best one is 0 and the
        tested system's is not.
    :ivar mean_wait_ratio: the same of the waits: with the best policy no job may have had to wait at all.
    """

    n: int
    left_out: int
    is_small: bool
    tested: ReplayOutcome
    policies: dict[str, ReplayOutcome]
    best_makespan: str
    best_mean_wait: str
    makespan_ratio: float | None
    mean_wait_ratio: float | None


def regret_of(traffic: Workload) -> Regret | None:
    """Replay the log's jobs as they were placed and as each policy places them.

    ``None`` where there is nothing to compare: no job ran to an end, or there are no two instances to choose from.
    """
    n = len(traffic.arrivals)
    if not n or len(traffic.settings) < 2:
        return None
    tested = replay(traffic, traffic.given)
    policies = {name: replay(traffic, make()) for name, make in POLICIES.items()}
    quickest = min(policies, key=lambda name: policies[name].makespan_ms)
    promptest = min(policies, key=lambda name: policies[name].waited_ms)
    return Regret(
        n=n,
        left_out=traffic.left_out,
        is_small=n < max(ENOUGH, ENOUGH_PER_INSTANCE * len(traffic.settings)),
        tested=_outcome(tested),
        policies={name: _outcome(each) for name, each in policies.items()},
        best_makespan=quickest,
        best_mean_wait=promptest,
        makespan_ratio=_ratio(tested.makespan_ms, policies[quickest].makespan_ms),
        mean_wait_ratio=_ratio(tested.waited_ms, policies[promptest].waited_ms),
    )


def _outcome(replayed: ReplayResult) -> ReplayOutcome:
    return ReplayOutcome(makespan_ms=replayed.makespan_ms, mean_wait_ms=replayed.waited_ms / len(replayed.began_ms))


def _ratio(tested: int, best: int) -> float | None:
    if tested == best:
        return 1.0      # also where both are 0
    return tested / best if best else None
