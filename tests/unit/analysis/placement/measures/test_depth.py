"""Errors of depth and of work left, herding, and misplaced jobs, computed by hand."""

from __future__ import annotations

from typing import Any

import pytest

from comfyfarm.analysis.placement.measures.depth import Misplaced
from comfyfarm.analysis.placement.placement import PlacementThresholds
from comfyfarm.events import Work
from comfyfarm.units import Duration
from tests.support.logs import asked, crashed, draining, farm, frozen, loaded, ran, refused, showed, submitted
from tests.support.placing import place

TWO = farm("a", "b")


def three_on_a(last: str) -> list[Any]:
    """Three jobs of 100 each are sent to a at 0, 1 and 2; a fourth to another instance or to a, at 3."""
    on_a = [ran(f"j{n}", on="a", at=n, begins=n * 100, until=(n + 1) * 100) for n in range(3)]
    return [*on_a, ran("j4", on=last, at=3, begins=300, until=350)]


def test_the_shortest_queue_is_no_error() -> None:
    """j1 could choose between two empty ones; each of the others goes to the shorter."""
    jobs = [ran(f"j{n}", on="ab"[n % 2], at=n, begins=n * 100, until=n * 100 + 100) for n in range(4)]
    found = place(TWO, jobs)
    assert (found.depth_error.n, found.depth_error.median, found.depth_error.worst) == (4, 0, 0)
    assert found.work_error.median_ms == 0
    assert found.misplacements.each == ()


def test_a_longer_queue_is_an_error_in_jobs_and_in_work() -> None:
    """Depth errors 0, 1, 2, 3. When j1 comes, 99 are left on a; for j2 198; for j4 297. b is empty."""
    found = place(TWO, three_on_a("a"))
    assert (found.depth_error.median, found.depth_error.p99, found.depth_error.worst) == (1, 3, 3)
    assert (found.work_error.median_ms, found.work_error.p99_ms, found.work_error.worst_ms) == (99, 297, 297)
    assert (found.work_error.exact, found.work_error.is_small) == (4, True)


def test_an_error_is_measured_against_those_that_could_have_been_chosen() -> None:
    """B is frozen, drained or dead, or lacks a node: then there was no choice."""
    for gone in (frozen("b", at=0), draining("b", at=0), crashed("b", at=0)):
        assert place(TWO, gone, three_on_a("a")).depth_error.n == 0
    lacking = farm("a", {"name": "b", "missing_nodes": ["Rare"]})
    jobs = [ran(f"j{n}", on="a", at=0, begins=n, until=n + 1, work=Work(nodes={"Rare": 1})) for n in range(3)]
    assert place(lacking, jobs).depth_error.n == 0
    assert place(lacking, jobs).depth_error.median is None


def test_who_is_chosen_although_it_is_drained_was_a_choice() -> None:
    """A has one job and is drained; the next goes there, although b is empty."""
    found = place(TWO, submitted("j1", on="a", at=0), draining("a", at=1), submitted("j2", on="a", at=2))
    assert (found.depth_error.n, found.depth_error.worst) == (2, 1)


def test_refusals_are_no_errors_of_depth() -> None:
    """Only what was taken on was placed."""
    found = place(TWO, submitted("j1", on="a", at=0), refused("j2", on="a", at=1))
    assert (found.depth_error.n, found.depth_error.worst) == (1, 0)


def test_a_p99_needs_a_hundred() -> None:
    """Fewer are small."""
    def jobs(count: int) -> list[Any]:
        return [ran(f"j{n}", on="a", at=2 * n, until=2 * n + 1) for n in range(count)]

    assert place(TWO, jobs(99)).depth_error.is_small
    assert not place(TWO, jobs(100)).depth_error.is_small


# Herding.


def test_jobs_sent_to_one_instance_without_news_are_a_herd() -> None:
    """Both queues were shown empty; then three go to a before anything new is shown."""
    shown = [showed(0, on="a", at=0), showed(0, on="b", at=0)]
    found = place(TWO, shown, [submitted(f"j{n}", on="a", at=n) for n in (1, 2, 3)]).herding
    assert (found.longest, found.instance, found.n) == (3, "a", 3)


def test_news_of_the_queue_ends_a_herd() -> None:
    """Each submission is followed by the message that says how long the queue is now."""
    jobs = [[submitted(f"j{n}", on="a", at=n), showed(n, on="a", at=n)] for n in (1, 2, 3)]
    assert place(TWO, jobs).herding.longest == 1
    polled = [[submitted(f"j{n}", on="a", at=n), asked("/queue", on="a", at=n, shown=n)] for n in (1, 2, 3)]
    assert place(TWO, polled).herding.longest == 1


def test_taking_turns_is_no_herd_even_in_the_dark() -> None:
    """a, b, a, b, without anything shown."""
    assert place(TWO, [submitted(f"j{n}", on="ab"[n % 2], at=n) for n in range(8)]).herding.longest == 1


def test_two_clients_are_no_herd_together() -> None:
    """Each sends two to a, taking turns with the other."""
    jobs = [submitted(f"j{n}", on="a", at=n, client=f"c{n % 2}") for n in range(4)]
    assert place(TWO, jobs).herding.longest == 2


def test_where_there_is_one_instance_there_is_no_herd() -> None:
    """Nobody could have sent them elsewhere."""
    found = place(farm("a"), [submitted(f"j{n}", on="a", at=n) for n in range(4)]).herding
    assert (found.n, found.longest, found.instance) == (0, 0, "")


# Misplaced.


def misplaced(*pieces: Any, fresh_ms: int = 1000) -> Misplaced:
    """The job k, which is sent to a at 5000 while two of 100 each wait there and b has none."""
    jobs = [ran(f"j{n}", on="a", at=3990 + n, begins=4950 + n * 100, until=5050 + n * 100) for n in range(2)]
    last = ran("k", on="a", at=5000, begins=5150, until=5200)
    found = place(TWO, jobs, last, *pieces, thresholds=PlacementThresholds(fresh=Duration(fresh_ms))).misplacements.each
    assert [job.job for job in found] == ["j1", "k"]
    return found[-1]


def test_a_client_that_was_shown_the_truth_a_moment_ago_knew_and_ignored() -> None:
    """Two on a and none on b, 0.4 and 0.1 seconds before."""
    found = misplaced(showed(2, on="a", at=4600), showed(0, on="b", at=4900))
    assert found.why == "knew_and_ignored"
    assert (found.depth, found.shown, found.shown_age_ms) == (2, 2, 400)
    assert (found.better, found.better_depth, found.better_shown, found.better_shown_age_ms) == ("b", 0, 0, 100)
    assert found.says == (
        "k was sent to a with 2 jobs at 5 s, while b had 0 jobs; a had shown 2 0.4 s before, b had shown 0 0.1 s "
        "before: knew and ignored."
    )


def test_a_client_that_was_shown_nothing_could_not_know() -> None:
    """Neither of both, or only of one."""
    assert misplaced().why == "could_not_know"
    assert misplaced(showed(2, on="a", at=4900)).why == "could_not_know"
    assert misplaced(showed(2, on="a", at=4900)).says.endswith("nothing was shown of b: could not know.")


def test_a_client_that_was_shown_something_else_could_not_know() -> None:
    """It was shown that b had three."""
    assert misplaced(showed(2, on="a", at=4900), showed(3, on="b", at=4900)).why == "could_not_know"


def test_old_news_obliges_as_long_as_it_is_true() -> None:
    """A websocket tells of changes only: two and none is still so, half a second or a second and more later."""
    assert misplaced(showed(2, on="a", at=3995), showed(0, on="b", at=10)).why == "knew_and_ignored"


@pytest.mark.parametrize(("fresh_ms", "why"), [(999, "could_not_know"), (1000, "knew_and_ignored")])
def test_news_that_is_no_longer_true_obliges_for_a_second(fresh_ms: int, why: str) -> None:
    """A was shown with seven, 1000 ms before, although it had two."""
    assert misplaced(showed(7, on="a", at=4000), showed(0, on="b", at=4900), fresh_ms=fresh_ms).why == why


def test_a_client_knows_what_it_has_sent_itself() -> None:
    """Both were shown empty long ago; it has sent two to a since, and so knew of two."""
    found = misplaced(showed(0, on="a", at=10), showed(0, on="b", at=10))
    assert found.why == "knew_and_ignored"
    assert "a had shown 0 4.99 s before and 2 sent there since" in found.says


@pytest.mark.parametrize(("on_b_ms", "jobs"), [(500, []), (5, ["k"])])
def test_more_jobs_but_less_to_do_is_no_misplacement(on_b_ms: int, jobs: list[str]) -> None:
    """A has two jobs of 10, b one of 500: whoever looks at the work goes to a; not so where b has one of 5."""
    pieces = [
        ran("other", on="b", at=0, until=on_b_ms),
        ran("s1", on="a", at=1, begins=2, until=12),
        ran("s2", on="a", at=1, begins=12, until=22),
        ran("k", on="a", at=2, begins=22, until=32),
    ]
    found = place(TWO, pieces)
    assert [job.job for job in found.misplacements.each] == jobs
    assert found.depth_error.worst == 1


def behind(fast_ms: int, slow_ms: int, work: Work, *pieces: Any) -> list[str]:
    """The jobs that are misplaced: j2 is sent to fast behind a job that has 100 left, although slow is empty."""
    timing = {name: {"node": f"{ms}ms", "load_per_gb": "100ms"} for name, ms in (("fast", fast_ms), ("slow", slow_ms))}
    fleet = farm(*({"name": name, "timing": own} for name, own in timing.items()))
    jobs = [ran("j1", on="fast", at=0, until=110), ran("j2", on="fast", at=10, begins=110, until=111, work=work)]
    return [job.job for job in place(fleet, jobs, *pieces).misplacements.each]


@pytest.mark.parametrize(("slow_ms", "jobs"), [(21, []), (19, ["j2"])])
def test_whoever_goes_where_a_job_is_finished_soonest_has_not_misplaced_it(slow_ms: int, jobs: list[str]) -> None:
    """Ten nodes take 100 on fast, 200 with the wait; on slow 210 or 190."""
    assert behind(10, slow_ms, Work(nodes={"N": 10})) == jobs


@pytest.mark.parametrize(("in_memory", "jobs"), [([], []), (["slow"], ["j2"]), (["fast", "slow"], ["j2"])])
def test_loading_a_model_counts_for_the_end_of_a_job(in_memory: list[str], jobs: list[str]) -> None:
    """Ten nodes take 100 on either; the model is loaded in 200, which is more than the wait of 100."""
    work = Work(nodes={"N": 10}, models=(("checkpoints", "x", 2 * 1024**3),))
    assert behind(10, 10, work, [loaded(name, "x", at=0) for name in in_memory]) == jobs


def test_a_model_that_was_loaded_for_the_job_itself_counts_on_both() -> None:
    """Both had to load it, so slow was sooner."""
    work = Work(nodes={"N": 10}, models=(("checkpoints", "x", 2 * 1024**3),))
    assert behind(10, 10, work, loaded("fast", "x", at=110, job="j2")) == ["j2"]


def test_while_no_length_is_known_the_longer_queue_is_misplaced() -> None:
    """Nothing has ended yet."""
    found = place(TWO, [submitted(f"j{n}", on="a", at=n) for n in range(2)]).misplacements
    assert [(job.job, job.depth, job.better_depth) for job in found.each] == [("j1", 1, 0)]
    assert (found.could_not_know, found.knew_and_ignored, found.n, found.is_small) == (1, 0, 2, True)
