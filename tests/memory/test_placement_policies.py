"""The placement of thirteen dispatchers on one unequal farm: its figures show what their users see."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import combinations
from pathlib import Path

from comfyfarm.analysis.placement.placement import Placement, PlacementAnalyzer
from comfyfarm.analysis.placement.replay.regret import Regret
from comfyfarm.events import OrderReported

from .dispatching import POLICIES, Dispatcher, poisson, unequal_farm

PAGE = Path(__file__).parents[2] / "docs" / "placement.md"
TIE = 1.03      # lengths vary at random in the farm and not in a replay


@dataclass(frozen=True)
class Outcome:
    """What became of the orders by one policy.

    :ivar mean_total_ms: what the users waited on average, by the dispatcher's own clock.
    :ivar placement: by the whole log.
    :ivar unreported: by the same log without the orders.
    """

    mean_total_ms: float
    placement: Placement
    unreported: Placement

    @property
    def regret(self) -> float:
        return regret_of(self.placement).mean_total_ratio or 0.0


def regret_of(placement: Placement) -> Regret:
    assert placement.regret is not None
    return placement.regret


@cache
def outcomes() -> dict[str, Outcome]:
    """Let each policy place the same orders; the best for the users comes first."""
    orders = poisson(jobs=120, mean_gap_ms=900, seed=1)
    found = {}
    for name in POLICIES:
        farm = unequal_farm()
        dispatcher = Dispatcher(farm, name)
        dispatcher.run(orders)
        unreported = PlacementAnalyzer()
        for event in farm.farm.log.events:
            if not isinstance(event, OrderReported):
                unreported.on_event(event)
        mean_total_ms = sum(dispatcher.totals_ms.values()) / len(orders)
        found[name] = Outcome(mean_total_ms, farm.placement(), unreported.placement())
        farm.stop()
    return dict(sorted(found.items(), key=lambda item: item[1].mean_total_ms))


def test_the_ranking_by_regret_is_the_ranking_by_what_users_wait() -> None:
    """Of each two policies; those of which one makes users wait less than 3 % longer count as equal."""
    assert len(outcomes()) == 13
    for (better, one), (worse, other) in combinations(outcomes().items(), 2):
        if other.mean_total_ms > one.mean_total_ms * TIE:
            assert one.regret < other.regret, f"{better} before {worse}"


def test_regret_is_in_proportion_to_what_users_wait() -> None:
    """Within 4 %, because lengths vary at random in the farm and not in a replay."""
    best = outcomes()["finish_soonest"]
    for name, outcome in outcomes().items():
        ratio = outcome.mean_total_ms / best.mean_total_ms
        assert abs(outcome.regret / best.regret / ratio - 1) < 0.04, name


def test_the_ranking_by_the_wait_alone_is_another() -> None:
    """Least work left lets jobs begin sooner, on slower servers; users wait longer."""
    soonest, least = outcomes()["finish_soonest"], outcomes()["least_work_left"]
    assert (regret_of(soonest.placement).mean_wait_ratio or 0) > (regret_of(least.placement).mean_wait_ratio or 0)
    assert soonest.mean_total_ms * TIE < least.mean_total_ms


def test_who_finishes_jobs_soonest_misplaces_none() -> None:
    """Although it sends jobs to fast servers with longer queues."""
    placement = outcomes()["finish_soonest"].placement
    assert (placement.depth_error.worst or 0) > 1
    assert placement.misplacements.each == ()
    assert regret_of(placement).mean_total_ratio == 1.0


def test_work_in_proportion_to_capacity_is_fair_and_equal_numbers_of_jobs_are_not() -> None:
    weighted, equal = (outcomes()[name].placement.fairness for name in ("weighted_round_robin", "round_robin"))
    assert (weighted.jain or 0) > 0.99
    assert (equal.jain or 0) < 0.8
    assert all(abs(weighted.jobs[name] - share) < 0.02 for name, share in weighted.capacity.items())
    assert set(equal.jobs.values()) == {1 / 3}


def test_one_at_a_time_looks_good_only_while_its_orders_are_not_reported() -> None:
    """No job waits in the farm, which says that this proves nothing; by the orders it is among the worst."""
    outcome = outcomes()["one_at_a_time"]
    hidden, seen = outcome.unreported, outcome.placement
    assert (hidden.waits.worst_ms, hidden.idle_while_waiting.ms, hidden.misplacements.each) == (0, 0, ())
    assert regret_of(hidden).mean_wait_ratio == 1.0
    assert (hidden.arrivals.orders, hidden.arrivals.most_waiting, hidden.arrivals.most_open) == (0, 0, 1)
    assert hidden.arrivals.says.endswith("so that short waits prove nothing.")
    assert (seen.arrivals.orders, seen.arrivals.most_waiting) == (120, 0)
    assert (seen.arrivals.most_held or 0) > 50
    assert (seen.idle_while_waiting.share or 0) > 0.9
    assert (regret_of(seen).mean_wait_ratio or 0) > 100
    assert list(outcomes()).index("one_at_a_time") == 10


def test_whoever_holds_jobs_back_until_a_server_is_idle_wastes_no_time_by_that() -> None:
    """It is one of the best, and its orders show it."""
    outcome = outcomes()["fastest_idle"]
    assert outcome.placement.idle_while_waiting.ms == 0
    assert (outcome.placement.arrivals.most_waiting, outcome.placement.arrivals.most_held) == (0, 3)
    assert list(outcomes()).index("fastest_idle") == 1


def test_the_docs_have_these_figures() -> None:
    table = "\n".join(_row(name, outcome) for name, outcome in outcomes().items())
    assert table in PAGE.read_text(encoding="utf-8"), f"the table is now:\n{table}"


def _row(name: str, outcome: Outcome) -> str:
    placement, regret = outcome.placement, regret_of(outcome.placement)
    cells = [
        f"`{name}`",
        f"{outcome.mean_total_ms / 1000:.2f} s",
        f"{outcome.regret:.2f}",
        f"{regret.mean_wait_ratio:.2f}",
        f"{placement.fairness.jain:.2f}",
        f"{placement.misplacements.could_not_know + placement.misplacements.knew_and_ignored}",
        f"{placement.idle_while_waiting.share:.0%}".replace("%", " %"),
        f"{regret_of(outcome.unreported).mean_total_ratio:.2f}",
    ]
    return f"| {' | '.join(cells)} |"
