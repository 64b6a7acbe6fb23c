"""Jain's index, utilisation, and idling while work waits, computed by hand."""

from __future__ import annotations

from typing import Any

import pytest

from comfyfarm.events import Paused, Resumed, Work
from tests.support.logs import (
    crashed,
    draining,
    farm,
    finished,
    frozen,
    order,
    ran,
    ready,
    refused,
    started,
    submitted,
    taken,
    thawed,
)
from tests.support.placing import place


def test_equal_busy_times_are_perfectly_fair_whatever_the_numbers_of_jobs() -> None:
    """A does one job of 100, b two of 50: busy 100 and 100."""
    jobs = [ran("j1", on="a", at=0, until=100), ran("j2", on="b", at=0, until=50), ran("j3", on="b", at=50, until=100)]
    found = place(farm("a", "b"), jobs)
    assert found.utilisation.by_instance == {"a": 1.0, "b": 1.0}
    assert found.fairness.jain == 1.0
    assert found.fairness.n == 3


def test_unequal_busy_times_are_less_fair() -> None:
    """Busy 90, 30 and 0 of 90: (120/90)^2 / (3 x (90^2 + 30^2)/90^2) = 14400 / 27000."""
    jobs = [ran("j1", on="a", at=0, until=90), ran("j2", on="b", at=0, until=30)]
    found = place(farm("a", "b", "c"), jobs)
    assert found.utilisation.by_instance == {"a": 1.0, "b": pytest.approx(1 / 3), "c": 0.0}
    assert found.fairness.jain == pytest.approx(14400 / 27000)


def test_an_instance_twice_as_fast_is_to_do_twice_the_work() -> None:
    """Ten nodes take 100 on slow and 50 on fast: one job there and two here are even, one each are not."""
    fleet = farm({"name": "slow", "timing": {"node": "10ms"}}, {"name": "fast", "timing": {"node": "5ms"}})
    work = Work(nodes={"N": 10})
    jobs = [ran("j1", on="slow", at=0, until=100, work=work), ran("j2", on="fast", at=0, until=50, work=work)]
    uneven = place(fleet, jobs).fairness
    even = place(fleet, jobs, ran("j3", on="fast", at=50, until=100, work=work)).fairness
    third, half = pytest.approx(1 / 3), pytest.approx(1 / 2)
    assert even.capacity == {"slow": third, "fast": pytest.approx(2 / 3)}
    assert (even.jain, even.work, even.jobs) == (1.0, even.capacity, even.capacity)
    assert uneven.jain == pytest.approx(0.9)
    assert uneven.work == uneven.jobs == {"slow": half, "fast": half}
    assert uneven.capacity == even.capacity


def test_who_was_down_owes_no_work() -> None:
    """B was up for the first half only, and busy all of that; the whole is 100 long."""
    jobs = [ran("j1", on="a", at=0, until=100), ran("j2", on="b", at=0, until=50), crashed("b", at=50)]
    found = place(farm("a", "b"), jobs)
    assert found.utilisation.by_instance == {"a": 1.0, "b": 1.0}
    assert found.fairness.jain == 1.0
    assert found.fairness.capacity == {"a": 100 / 150, "b": 50 / 150}


def test_who_was_never_up_is_left_out_of_fairness() -> None:
    """B boots after the last job."""
    found = place(farm("a")[0], farm("a", "b")[:2], ran("j1", on="a", at=5, until=25), ready("b", at=30))
    assert found.utilisation.by_instance == {"a": 1.0, "b": None}
    assert found.fairness.jain == 1.0


def test_time_without_work_before_and_after_is_no_idleness() -> None:
    """Work from 1000 to 1100; the farm began at 0, and the log goes on until 5000."""
    found = place(farm("a"), ran("j", on="a", at=1000, until=1100), refused("late", on="a", at=5000))
    assert found.utilisation.by_instance == {"a": 1.0}


def test_what_still_runs_is_busy_until_now() -> None:
    """It began at 10; now it is 50, and the job was sent at 0."""
    pieces = [submitted("j", on="a", at=0), taken("j", on="a", at=10), submitted("k", on="b", at=50)]
    assert place(farm("a", "b"), pieces).utilisation.by_instance == {"a": 0.8, "b": 0.0}


def test_a_run_that_was_lost_or_kept_was_work_too() -> None:
    """A ran 0..40 and lost it; b ran 0..40, kept it, and ran it again 60..100: up for 80 of 100."""
    pieces = [
        *[submitted(f"j-{name}", on=name, at=0) for name in "ab"],
        *[taken(f"j-{name}", on=name, at=0) for name in "ab"],
        crashed("a", at=40, lost=["j-a"]),
        crashed("b", at=40, kept=("queue",)),
        started("b", at=50),
        ready("b", at=60, epoch=2),
        taken("j-b", on="b", at=60, epoch=2),
        finished("j-b", on="b", at=100, epoch=2),
    ]
    assert place(farm("a", "b"), pieces).utilisation.by_instance == {"a": 1.0, "b": 1.0}


def test_nothing_is_fair_where_nothing_was_done() -> None:
    """No job, or none that ran: no index, and never NaN."""
    assert place(farm("a", "b")).fairness.jain is None
    assert place(farm("a", "b")).utilisation.by_instance == {"a": None, "b": None}
    assert place(farm("a"), submitted("j", on="a", at=1)).fairness.jain is None


def test_fairness_over_a_few_jobs_is_called_small() -> None:
    """Ten runs for each instance are the least."""
    def jobs(count: int) -> list[Any]:
        return [ran(f"j{n}", on="ab"[n % 2], at=n, until=n + 1) for n in range(count)]

    assert place(farm("a", "b"), jobs(19)).fairness.is_small
    assert not place(farm("a", "b"), jobs(20)).fairness.is_small


# Idle while work waits.


def two_on_a(**second: Any) -> list[Any]:
    """Two jobs are sent to a: the first runs 0..100, the second waits for it until 100, and runs to 150."""
    return [ran("j1", on="a", at=0, until=100), ran("j2", on="a", at=20, begins=100, until=150, **second)]


def test_an_idle_instance_wastes_the_time_in_which_a_job_waits_elsewhere() -> None:
    """j2 waits 20..100 while b does nothing: 80 of 150."""
    found = place(farm("a", "b"), two_on_a()).idle_while_waiting
    assert (found.ms, found.share, found.n) == (80, 80 / 150, 2)


def test_a_busy_instance_wastes_nothing() -> None:
    """B works 0..60: only 60..100 are wasted; and nothing where it works all the time."""
    assert place(farm("a", "b"), two_on_a(), ran("k", on="b", at=0, until=60)).idle_while_waiting.ms == 40
    assert place(farm("a", "b"), two_on_a(), ran("k", on="b", at=0, until=150)).idle_while_waiting.ms == 0


def test_two_idle_instances_waste_the_same_time_once() -> None:
    """It is the time that counts."""
    assert place(farm("a", "b", "c"), two_on_a()).idle_while_waiting.ms == 80


def test_who_cannot_run_the_job_wastes_nothing() -> None:
    """B lacks the node; that comes to light when j2 has run."""
    fleet = farm("a", {"name": "b", "missing_nodes": ["Rare"]})
    assert place(fleet, two_on_a(work=Work(nodes={"Rare": 1}))).idle_while_waiting.ms == 0
    assert place(fleet, two_on_a(work=Work(nodes={"Usual": 1}))).idle_while_waiting.ms == 80


def test_who_is_not_there_wastes_nothing() -> None:
    """B is frozen until 40, drained from 60 to 70, and dies at 90: 20 + 20 are left of 20..100."""
    gone = [frozen("b", at=1), thawed("b", at=40), draining("b", at=60), draining("b", at=70, ends=True)]
    assert place(farm("a", "b"), two_on_a(), gone, crashed("b", at=90)).idle_while_waiting.ms == 40


def test_a_paused_worker_wastes_nothing() -> None:
    """B is paused from 30 to 90: of 20..100, 10 and 10 are wasted."""
    pause = [Paused(at_ms=30, instance="b"), Resumed(at_ms=90, instance="b")]
    assert place(farm("a", "b"), two_on_a(), pause).idle_while_waiting.ms == 20


def test_a_job_that_waits_where_nothing_runs_waits_for_nobody_else() -> None:
    """There is one instance, which takes its time."""
    assert place(farm("a"), ran("j", on="a", at=0, begins=50, until=60)).idle_while_waiting.ms == 0


def test_what_happens_behind_the_last_job_wastes_nothing() -> None:
    """An instance that comes back long after."""
    late = [crashed("b", at=500), started("b", at=510), ready("b", at=520, epoch=2)]
    assert place(farm("a", "b"), two_on_a(), late).idle_while_waiting.ms == 80


def test_a_job_that_is_kept_back_wastes_the_time_of_idle_instances() -> None:
    """Asked at 0 and sent at 100, when j1 ends: b could have run it all that time. Without the order nothing shows."""
    jobs = [ran("j1", on="a", at=0, until=100), ran("j2", on="a", at=100, until=150)]
    found = place(farm("a", "b"), jobs, order("j2", at=30, when=0)).idle_while_waiting
    assert (found.ms, found.share) == (100, 100 / 150)
    assert place(farm("a", "b"), jobs).idle_while_waiting.ms == 0
    assert place(farm("a"), jobs, order("j2", at=0)).idle_while_waiting.ms == 0


def test_a_refused_job_waits_until_it_is_taken_on() -> None:
    """A refuses it at 10, b gets it at 50, and did nothing until then."""
    jobs = [ran("j1", on="a", at=0, until=60), refused("j2", on="a", at=10), ran("j2", on="b", at=50, until=60)]
    assert place(farm("a", "b"), jobs).idle_while_waiting.ms == 40


def test_without_jobs_there_is_no_share() -> None:
    """Nothing to divide by."""
    found = place(farm("a", "b")).idle_while_waiting
    assert (found.n, found.ms, found.share, found.is_small) == (0, 0, None, True)


def test_a_job_that_still_waits_counts_until_now() -> None:
    """j1 runs on a since 0; j2 waits there since 10; at 60 the log ends."""
    pieces = [submitted("j1", on="a", at=0), taken("j1", on="a", at=0), submitted("j2", on="a", at=10)]
    found = place(farm("a", "b"), pieces, refused("x", on="a", at=60)).idle_while_waiting
    assert (found.ms, found.share) == (50, 50 / 60)
