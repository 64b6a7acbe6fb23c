"""The distance of the tested system from the best of five policies."""

import pytest

from comfyfarm.analysis.placement.replay.regret import POLICIES, ReplayOutcome, regret_of
from comfyfarm.analysis.placement.replay.replay import replay
from comfyfarm.analysis.placement.replay.workload import Workload
from comfyfarm.analysis.placement.statistics import ENOUGH
from comfyfarm.events import Event
from tests.support.logs import farm, loaded, log, order, ran, rejected, submitted
from tests.unit.analysis.placement.replay.test_replay import busy, instance, nodes, workload_of
from tests.unit.sim.test_durations import GB

# Three instances: a node takes 10 ms on a, 20 ms on b, 40 ms on c; a gigabyte is loaded in 100 ms; model x (1 GB) is in
# c's memory from the start.  Six jobs, with the nodes that they have and how long they run (j6 needs x):
#
#   job   at   nodes    a             b             c
#   j1     0     10   100           200           400
#   j2     0     10   100           200           400
#   j3    10     10   100           200           400
#   j4    20      5    50           100           200
#   j5    30      5    50           100           200
#   j6   200     10   100 + 100     200 + 100     400
#
# The tested system:                   round_robin:
#   j1 a   0..100   waits   0            j1 a   0..100   waits   0
#   j2 a 100..200   waits 100            j2 b   0..200   waits   0
#   j3 a 200..300   waits 190            j3 c  10..410   waits   0
#   j4 b  20..120   waits   0            j4 a 100..150   waits  80
#   j5 b 120..220   waits  90            j5 b 200..300   waits 170
#   j6 b 220..520   waits  20            j6 c 410..810   waits 210
#   520 ms, waits 400 ms, total 1200 ms  810 ms, waits 460 ms, total 1710 ms
#
# shortest_queue:                      least_work_left:
#   j1 a   0..100   waits   0            j1 a   0..100   waits   0    left: a   0, b   0, c   0
#   j2 b   0..200   waits   0            j2 b   0..200   waits   0    left: a 100, b   0, c   0
#   j3 c  10..410   waits   0            j3 c  10..410   waits   0    left: a  90, b 190, c   0
#   j4 a 100..150   waits  80            j4 a 100..150   waits  80    left: a  80, b 180, c 390
#   j5 b 200..300   waits 170            j5 a 150..200   waits 120    left: a 120, b 170, c 380
#   j6 a 200..400   waits   0            j6 a 200..400   waits   0    left: a   0, b   0, c 210
#   (at 30 a has two, b and c one;
#   at 200 a has none)
#   410 ms, waits 250 ms, total 1300 ms  410 ms, waits 200 ms, total 1200 ms
#
# finish_soonest:                        until its end it takes, on a, b and c:
#   j1 a   0..100   waits   0            100, 200, 400
#   j2 a 100..200   waits 100            200, 200, 400
#   j3 b  10..210   waits   0            290, 200, 400
#   j4 c  20..220   waits   0            230, 290, 200
#   j5 a 200..250   waits 170            220, 280, 390
#   j6 a 250..450   waits  50            250, 310, 420
#   450 ms, waits 320 ms, total 1170 ms
#
# model_affine: as least_work_left, but j6 goes to c, where x is:
#   j6 c 410..810   waits 210:   810 ms, waits 410 ms, total 1610 ms
JOBS = {"j1": (0, 10), "j2": (0, 10), "j3": (10, 10), "j4": (20, 5), "j5": (30, 5)}
TABLES = [instance(name, node_ms, 100) for name, node_ms in (("a", 10), ("b", 20), ("c", 40))]
TESTED = {"j1": "a", "j2": "a", "j3": "a", "j4": "b", "j5": "b", "j6": "b"}
ROUND = {"j1": "a", "j2": "b", "j3": "c", "j4": "a", "j5": "b", "j6": "c"}
SHORTEST = {"j1": "a", "j2": "b", "j3": "c", "j4": "a", "j5": "b", "j6": "a"}
LEAST = {"j1": "a", "j2": "b", "j3": "c", "j4": "a", "j5": "a", "j6": "a"}
AFFINE = {"j1": "a", "j2": "b", "j3": "c", "j4": "a", "j5": "a", "j6": "c"}
SOONEST = {"j1": "a", "j2": "a", "j3": "b", "j4": "c", "j5": "a", "j6": "a"}
BY_HAND = {
    "round_robin": ROUND,
    "shortest_queue": SHORTEST,
    "least_work_left": LEAST,
    "finish_soonest": SOONEST,
    "model_affine": AFFINE,
}


def example(placed: dict[str, str]) -> Workload:
    """The six jobs; when they really ended does not matter, only where they were."""
    jobs = [ran(job, on=placed[job], at=at, until=9000 + at, work=nodes(count)) for job, (at, count) in JOBS.items()]
    jobs.append(ran("j6", on=placed["j6"], at=200, until=9900, work=nodes(10, ("x", 1))))
    return workload_of(log(farm(*TABLES), loaded("c", "x", at=0, size_bytes=GB), jobs))


def test_three_instances_and_six_jobs_as_computed_by_hand() -> None:
    """To the millisecond; of two policies with the same makespan the first is named."""
    regret = regret_of(example(TESTED))
    assert regret is not None
    assert (regret.n, regret.left_out) == (6, 0)
    assert regret.tested == ReplayOutcome(makespan_ms=520, mean_wait_ms=400 / 6, mean_total_ms=1200 / 6)
    assert regret.policies == {
        "round_robin": ReplayOutcome(makespan_ms=810, mean_wait_ms=460 / 6, mean_total_ms=1710 / 6),
        "shortest_queue": ReplayOutcome(makespan_ms=410, mean_wait_ms=250 / 6, mean_total_ms=1300 / 6),
        "least_work_left": ReplayOutcome(makespan_ms=410, mean_wait_ms=200 / 6, mean_total_ms=1200 / 6),
        "finish_soonest": ReplayOutcome(makespan_ms=450, mean_wait_ms=320 / 6, mean_total_ms=1170 / 6),
        "model_affine": ReplayOutcome(makespan_ms=810, mean_wait_ms=410 / 6, mean_total_ms=1610 / 6),
    }
    assert (regret.best_makespan, regret.makespan_ratio) == ("shortest_queue", 520 / 410)
    assert (regret.best_mean_wait, regret.mean_wait_ratio) == ("least_work_left", 2.0)
    assert (regret.best_mean_total, regret.mean_total_ratio) == ("finish_soonest", 1200 / 1170)


@pytest.mark.parametrize("policy", sorted(BY_HAND))
def test_a_system_that_places_as_a_policy_does_comes_to_what_that_policy_comes_to(policy: str) -> None:
    """Its regret against that policy is 1.0 exactly, and against the best where that is the best."""
    regret = regret_of(example(BY_HAND[policy]))
    assert regret is not None
    assert regret.tested == regret.policies[policy]
    assert (regret.makespan_ratio == 1.0) == (policy in ("shortest_queue", "least_work_left"))
    assert (regret.mean_wait_ratio == 1.0) == (policy == "least_work_left")
    assert (regret.mean_total_ratio == 1.0) == (policy == "finish_soonest")


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_regret_of_the_reference_policies_against_themselves_is_one(policy: str, seed: int) -> None:
    """Also on a hard day: their placement is put into the log's place, and replayed as the tested system's."""
    workload = busy(seed)
    placed = replay(workload, POLICIES[policy]()).assignments
    regret = regret_of(Workload(workload.settings, workload.warm, workload.arrivals, placed, workload.changes))
    assert regret is not None
    own = regret.policies[policy]
    assert regret.tested == own
    assert regret.tested.makespan_ms / own.makespan_ms == regret.tested.mean_wait_ms / own.mean_wait_ms == 1.0
    best = min(outcome.makespan_ms for outcome in regret.policies.values())
    assert (regret.makespan_ratio == 1.0) == (own.makespan_ms == best)
    assert regret.makespan_ratio == own.makespan_ms / best
    assert regret.policies[regret.best_makespan].makespan_ms == best


def test_one_can_be_better_than_all_policies() -> None:
    """None of them knows that a long job is to come; only who keeps the quick instance free for it is fast."""
    tables = [instance("fast", 10), instance("slow", 100)]
    jobs = [ran("j1", on="slow", at=0, until=100, work=nodes(1)), ran("j2", on="fast", at=1, until=201, work=nodes(20))]
    regret = regret_of(workload_of(log(farm(*tables), jobs)))
    assert regret is not None
    assert regret.tested == ReplayOutcome(makespan_ms=201, mean_wait_ms=0, mean_total_ms=150)
    assert regret.best_mean_wait == "round_robin"
    assert regret.makespan_ratio == 201 / 210


def test_where_the_best_policy_lets_nobody_wait_a_ratio_of_waits_has_no_meaning() -> None:
    """Both waits stand beside it; where the tested system lets nobody wait either it is as good."""
    two: list[Event] = [*farm(instance("a"), instance("b")), *ran("j1", on="a", at=0, until=100, work=nodes(10))]
    behind = regret_of(workload_of(log(two, ran("j2", on="a", at=10, begins=100, until=200, work=nodes(10)))))
    beside = regret_of(workload_of(log(two, ran("j2", on="b", at=10, until=110, work=nodes(10)))))
    assert behind is not None
    assert beside is not None
    assert (behind.tested.mean_wait_ms, behind.mean_wait_ratio) == (45.0, None)
    assert (beside.tested.mean_wait_ms, beside.mean_wait_ratio, beside.makespan_ratio) == (0.0, 1.0, 1.0)


def test_there_is_no_regret_where_there_is_nothing_to_compare() -> None:
    """No job, no job that ran, one instance, no configuration."""
    one = ran("j1", on="a", at=0, until=10, work=nodes(1))
    assert regret_of(workload_of(log(farm("a", "b")))) is None
    assert regret_of(workload_of(log(farm("a", "b"), submitted("j1", on="a", at=0)))) is None
    assert regret_of(workload_of(log(farm("a"), one))) is None
    assert regret_of(workload_of(log(one))) is None
    assert regret_of(workload_of(log(farm("a", "b"), one))) is not None


@pytest.mark.parametrize(("jobs", "instances", "is_small"), [(ENOUGH - 1, 2, True), (ENOUGH, 2, False), (39, 4, True)])
def test_a_small_sample_is_called_small(jobs: int, instances: int, is_small: bool) -> None:
    """Too few jobs, or too few for each instance."""
    there = farm(*(instance(name) for name in "abcd"[:instances]))
    many = [ran(f"j{n}", on="a", at=n, until=1000 + n, work=nodes(1)) for n in range(jobs)]
    regret = regret_of(workload_of(log(there, many)))
    assert regret is not None
    assert (regret.n, regret.is_small) == (jobs, is_small)


def test_what_a_client_waits_before_it_sends_a_job_again_is_its_own_wait() -> None:
    """Where one instance is full the job is sent again later; the policies have it at once."""
    tables = [instance("a"), instance("b")]
    again = ran("j1", on="b", at=500, until=510, work=nodes(1))
    regret = regret_of(workload_of(log(farm(*tables), rejected("j1", on="a", at=0, status=429), again)))
    assert regret is not None
    assert regret.tested == ReplayOutcome(makespan_ms=510, mean_wait_ms=500.0, mean_total_ms=510.0)
    assert regret.policies["round_robin"] == ReplayOutcome(makespan_ms=10, mean_wait_ms=0.0, mean_total_ms=10.0)


def test_who_keeps_jobs_back_is_compared_with_those_who_send_them_at_once() -> None:
    """Both are ordered at 0; the second is sent when the first has ended, although b is idle."""
    fleet, orders = farm(instance("a"), instance("b")), [order("j1", at=0), order("j2", at=0)]
    jobs = [ran(f"j{n + 1}", on="a", at=100 * n, until=100 * n + 100, work=nodes(10)) for n in range(2)]
    hidden, seen = regret_of(workload_of(log(fleet, jobs))), regret_of(workload_of(log(fleet, orders, jobs)))
    assert hidden is not None
    assert seen is not None
    assert (hidden.makespan_ratio, hidden.mean_wait_ratio) == (1.0, 1.0)
    assert (seen.makespan_ratio, seen.mean_total_ratio, seen.tested.mean_wait_ms) == (2.0, 1.5, 50.0)


def test_a_slow_instance_without_a_queue_is_good_for_the_wait_and_bad_for_the_user() -> None:
    """Nobody waits on the slow one, but the user does: behind a job of 100 on the fast one it takes 200, not 1000."""
    fleet = farm(instance("fast"), instance("slow", node_ms=100))
    work = nodes(10)
    jobs = [ran("j1", on="fast", at=0, until=100, work=work), ran("j2", on="slow", at=0, until=1000, work=work)]
    regret = regret_of(workload_of(log(fleet, jobs)))
    assert regret is not None
    assert (regret.best_mean_wait, regret.mean_wait_ratio) == ("round_robin", 1.0)
    assert (regret.best_mean_total, regret.mean_total_ratio) == ("finish_soonest", 1100 / 300)
