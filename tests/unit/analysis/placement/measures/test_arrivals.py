"""The orders in a log, the jobs that waited at once, and the sentence about a dispatcher's own queue."""

from __future__ import annotations

from comfyfarm.analysis.placement.arrival import arrival_of
from tests.support.logs import farm, order, ran, refused, submitted, taken
from tests.support.placing import follow, place

TWO = farm("a", "b")
ONE_AT_A_TIME = [ran(f"j{n}", on="a", at=100 * n, until=100 * n + 100) for n in range(3)]


def test_a_job_arrives_when_its_user_asked() -> None:
    """Also if that was reported afterwards; the earliest time counts."""
    orders = [order("j", at=55, when=20), order("j", at=56, when=30)]
    tracker = follow(TWO, ran("j", on="a", at=50, until=60), orders).attempts
    assert arrival_of(tracker.jobs["j"]).at_ms == 20


def test_an_order_that_was_made_after_the_job_was_sent_counts_for_nothing() -> None:
    """The user must have asked before; and a report of failure shows no arrival."""
    jobs = [refused("j1", on="a", at=10), ran("j2", on="a", at=10, until=20)]
    found = follow(TWO, jobs, order("j1", at=12, state="failed"), order("j2", at=15))
    assert [arrival_of(job).at_ms for job in found.attempts.jobs.values()] == [10, 10]
    assert found.placement().arrivals.orders == 0


def test_one_job_at_a_time_shows_no_waiting_and_says_that_this_proves_nothing() -> None:
    """Every wait is 0, but no order was reported and no job ever waited in the farm."""
    found = place(TWO, ONE_AT_A_TIME)
    assert (found.waits.worst_ms, found.arrivals.most_open, found.arrivals.most_waiting) == (0, 1, 0)
    assert (found.arrivals.n, found.arrivals.orders, found.arrivals.most_held) == (3, 0, None)
    assert found.arrivals.says == (
        "No order was reported (POST /api/orders): a queue in the system under test is invisible, and waits begin with "
        "the first attempt. No job ever waited in the farm, where there was at most 1 at once, so that short waits "
        "prove nothing."
    )


def test_with_the_orders_the_queue_of_the_software_is_seen() -> None:
    """All three were asked for at 0: two at most are held, and the waits are 0, 100 and 200."""
    found = place(TWO, [order(f"j{n}", at=0) for n in range(3)], ONE_AT_A_TIME)
    assert (found.arrivals.orders, found.arrivals.most_held, found.waits.worst_ms) == (3, 2, 200)
    assert found.arrivals.says == (
        "Every order was reported, so waiting in the system under test counts from the user's order on."
    )


def test_jobs_without_an_order_are_counted() -> None:
    """One of three; the second waits in the farm, behind the first."""
    jobs = [ran("j1", on="a", at=5, until=20), ran("j2", on="a", at=6, begins=20, until=30), order("j1", at=5)]
    found = place(TWO, jobs, order("kept", at=9)).arrivals
    assert (found.n, found.orders, found.unsent, found.most_waiting, found.most_held) == (3, 2, 1, 1, 1)
    assert found.says == (
        "1 of 3 jobs were not reported as orders (POST /api/orders): a queue in the system under test is invisible, "
        "and their waits begin with the first attempt."
    )


def test_jobs_that_wait_still_are_waiting_and_those_that_only_pass_are_not() -> None:
    """j1 runs from 0 on, j2 and j3 wait; j4 goes through b as soon as it comes, while j5 ends there."""
    on_a = [submitted("j1", on="a", at=0), taken("j1", on="a", at=0), submitted("j2", on="a", at=3)]
    on_a += [submitted("j3", on="a", at=3)]
    on_b = [ran("j5", on="b", at=0, until=5), ran("j4", on="b", at=5, until=8)]
    found = place(TWO, on_a, on_b).arrivals
    assert (found.most_waiting, found.most_open) == (2, 4)


def test_a_farm_without_jobs_says_so() -> None:
    assert place(TWO).arrivals.says == "No job came."
