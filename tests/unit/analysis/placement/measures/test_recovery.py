"""Failover, rejoining, draining, and the use of models in memory, computed by hand."""

from __future__ import annotations

from typing import Any

from comfyfarm.events import Work
from tests.support.logs import (
    crashed,
    draining,
    farm,
    finished,
    loaded,
    ran,
    ready,
    refused,
    rejected,
    started,
    submitted,
    taken,
    unloaded,
)
from tests.support.placing import place

TWO = farm("a", "b")


def lost(*jobs: str, at: int) -> list[Any]:
    """These are sent to a at 0 and lost when it dies."""
    return [*[submitted(job, on="a", at=0) for job in jobs], crashed("a", at=at, lost=jobs)]


def test_failover_is_the_time_until_the_first_lost_job_is_sent_elsewhere() -> None:
    """A dies at 100 with two jobs; they are sent to b at 130 and 190."""
    found = place(TWO, lost("j1", "j2", at=100), ran("j2", on="b", at=130, until=140), submitted("j1", on="b", at=190))
    assert (found.failover.n, found.failover.median_ms, found.failover.worst_ms, found.failover.never) == (1, 30, 30, 0)


def test_a_job_that_is_sent_back_to_the_same_instance_is_not_moved() -> None:
    """A is up again, and gets it."""
    again = [started("a", at=110), ready("a", at=120, epoch=2), submitted("j1", on="a", at=150, epoch=2)]
    found = place(TWO, lost("j1", at=100), again).failover
    assert (found.n, found.median_ms, found.never) == (1, None, 1)


def test_a_refusal_elsewhere_shows_that_the_failure_was_noticed() -> None:
    """B refuses it at 125."""
    assert place(TWO, lost("j1", at=100), refused("j1", on="b", at=125)).failover.median_ms == 25


def test_a_stop_that_loses_nothing_needs_no_failover() -> None:
    """Nothing was there; or what was there had run elsewhere already, to its end."""
    assert place(TWO, crashed("a", at=5)).failover.n == 0
    assert place(TWO, ran("j1", on="b", at=0, until=9), lost("j1", at=100)).failover.n == 0


def test_each_stop_counts_once() -> None:
    """Times 10, 20, 90: the median is 20; five would be enough to say so."""
    pieces = []
    for number, after in enumerate((10, 90, 20)):
        job, at = f"j{number}", 1000 * number
        pieces += [
            ready("a", at=at, epoch=number + 1),
            submitted(job, on="a", at=at + 1),
            crashed("a", at=at + 100, lost=[job], epoch=number + 1),
            ran(job, on="b", at=at + 100 + after, until=at + 500),
        ]
    found = place(TWO, pieces).failover
    assert (found.n, found.median_ms, found.worst_ms, found.never, found.is_small) == (3, 20, 90, 0, True)


# Coming back.


def back(at: int = 200, epoch: int = 2) -> list[Any]:
    """A dies long before, and is ready again."""
    return [
        crashed("a", at=at - 100, epoch=epoch - 1),
        started("a", at=at - 50, epoch=epoch),
        ready("a", at=at, epoch=epoch),
    ]


def test_rejoining_is_the_time_until_a_returned_instance_gets_a_job() -> None:
    """Ready at 200; jobs at 210 and 230 go to b, the one at 260 to a."""
    jobs = [submitted(f"j{at}", on=on, at=at) for at, on in ((210, "b"), (230, "b"), (260, "a"))]
    found = place(TWO, back(), jobs).rejoin
    assert (found.n, found.median_ms, found.never) == (1, 60, 0)


def test_who_returned_and_got_nothing_never_rejoined() -> None:
    """B got the jobs."""
    found = place(TWO, back(), submitted("j", on="b", at=210)).rejoin
    assert (found.n, found.median_ms, found.never) == (1, None, 1)


def test_a_return_without_a_job_for_it_does_not_count() -> None:
    """No job came; or none that it could run; or none before it was gone again."""
    assert place(TWO, back()).rejoin.n == 0
    lacking = farm({"name": "a", "missing_nodes": ["Rare"]}, "b")
    assert place(lacking, back(), ran("j", on="b", at=210, until=220, work=Work(nodes={"Rare": 1}))).rejoin.n == 0
    assert place(TWO, back(), crashed("a", at=205, epoch=2), submitted("j", on="b", at=210)).rejoin.n == 0


def test_the_first_start_is_no_return() -> None:
    """A boots until 50, and gets its first job at 90."""
    found = place(farm("a", "b")[0], ready("b", at=0), ready("a", at=50), submitted("j", on="a", at=90)).rejoin
    assert found.n == 0


def test_every_return_counts() -> None:
    """Jobs 10 and 40 after the two."""
    jobs = [submitted("j1", on="a", at=210, epoch=2), submitted("j2", on="a", at=540, epoch=3)]
    found = place(TWO, back(200), back(500, epoch=3), jobs).rejoin
    assert (found.n, found.median_ms, found.worst_ms) == (2, 10, 40)


# Draining.


def test_jobs_sent_to_a_drained_instance_are_counted() -> None:
    """A is drained from 10 to 50: of three jobs in that time, two went there, one of them refused."""
    pieces = [
        submitted("before", on="a", at=5),
        draining("a", at=10),
        submitted("j1", on="a", at=20),
        rejected("j2", on="a", at=30, status=503),
        submitted("j3", on="b", at=40),
        draining("a", at=50, ends=True),
        submitted("after", on="a", at=60),
    ]
    found = place(TWO, pieces).drained
    assert (found.n, found.dispatches, found.is_small) == (3, 2, True)


def test_a_drained_instance_that_gets_nothing_is_as_it_should_be() -> None:
    """Whatever ends there was there before."""
    pieces = [ran("j1", on="a", at=5, until=100), draining("a", at=10), submitted("j2", on="b", at=20)]
    found = place(TWO, pieces).drained
    assert (found.n, found.dispatches) == (1, 0)


# Models.


def needing(model: str) -> Work:
    """A run that needs one model."""
    return Work(models=(("checkpoints", model, 1),))


def test_a_run_without_loading_is_a_hit() -> None:
    """The model is there from the start."""
    found = place(TWO, loaded("a", "x", at=0), ran("j", on="a", at=1, until=9, work=needing("x"))).affinity
    assert (found.n, found.hits, found.possible, found.share) == (1, 1, 1, 1.0)
    assert (found.loads, found.loads_per_job) == (0, 0.0)


def test_a_run_that_loads_what_another_has_is_a_hit_that_was_missed() -> None:
    """A has the model, and b gets the job and has to load it."""
    pieces = [ran("j", on="b", at=1, until=9, work=needing("x")), loaded("b", "x", at=5, job="j")]
    found = place(TWO, loaded("a", "x", at=0), pieces).affinity
    assert (found.n, found.hits, found.possible, found.share) == (1, 0, 1, 0.0)
    assert (found.loads, found.loads_per_job) == (1, 1.0)


def test_a_run_that_loads_what_nobody_has_missed_nothing() -> None:
    """Or only one had it that could not be chosen."""
    pieces = [ran("j", on="b", at=1, until=9, work=needing("x")), loaded("b", "x", at=5, job="j")]
    assert place(TWO, pieces).affinity.possible == 0
    assert place(TWO, pieces).affinity.share is None
    assert place(TWO, loaded("a", "x", at=0), draining("a", at=0), pieces).affinity.possible == 0


def test_runs_without_models_have_no_part_in_it() -> None:
    """An upscaling by arithmetic."""
    found = place(TWO, ran("j", on="a", at=1, until=9)).affinity
    assert (found.n, found.share, found.loads_per_job, found.is_small) == (0, None, None, True)


def test_a_model_that_comes_back_after_making_room_is_thrash() -> None:
    """x, y, x, y on a: x and y come back once each. On b each comes once."""
    pieces = [
        loaded("a", "x", at=1, job="j"),
        unloaded("a", "x", at=2),
        loaded("a", "y", at=3, job="j"),
        unloaded("a", "y", at=4),
        loaded("a", "x", at=5, job="j"),
        unloaded("a", "x", at=6),
        loaded("a", "y", at=7, job="j"),
        loaded("b", "x", at=7, job="j"),
        unloaded("b", "x", at=8),
        loaded("b", "y", at=9, job="j"),
    ]
    found = place(TWO, pieces).affinity
    assert (found.thrash, found.thrash_by_instance) == (2, {"a": 2})


def test_a_model_that_a_new_process_loads_again_is_no_thrash() -> None:
    """It had made room in the epoch before."""
    pieces = [loaded("a", "x", at=1, job="j"), unloaded("a", "x", at=2), back(200), loaded("a", "x", at=300, job="k")]
    assert place(TWO, pieces).affinity.thrash == 0


def test_loads_count_for_the_run_that_needed_them() -> None:
    """Two for the first, none for the second, although it waited by then."""
    both = Work(models=(("checkpoints", "x", 1), ("vae", "y", 1)))
    pieces = [
        submitted("j1", on="a", at=0),
        submitted("j2", on="a", at=0),
        taken("j1", on="a", at=1),
        loaded("a", "x", at=2, job="j1"),
        loaded("a", "y", at=3, job="j1", folder="vae"),
        finished("j1", on="a", at=4, work=both),
        taken("j2", on="a", at=4),
        finished("j2", on="a", at=5, work=both),
    ]
    found = place(TWO, pieces).affinity
    assert (found.n, found.hits, found.possible, found.loads, found.loads_per_job) == (2, 1, 1, 2, 1.0)
