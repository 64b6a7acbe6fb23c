"""Which rows are wanted, and which reach their goals."""

from typing import Any

import pytest

from benchmarks.rows import LIMITS, Effort, Result


def result(**facts: Any) -> Result:
    return Result(**{"name": "get/queue/1", "unit": "us", "ours": 30.0, "other": 60.0, "ratio": 0.5, **facts})


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        ((), True),
        (("get",), True),
        (("get/queue/1",), True),
        (("job", "get/q"), True),
        (("get/prompt",), False),
        (("start",), False),
    ],
)
def test_rows_are_chosen_by_the_beginnings_of_their_names(names: tuple[str, ...], wanted: bool) -> None:
    assert Effort(names).wants("get/queue/1") is wanted


def test_a_family_is_wanted_if_one_of_its_rows_is() -> None:
    assert Effort(("get/queue/1",)).wants("get")
    assert not Effort(("get/queue/1",)).wants("post")


@pytest.mark.parametrize(
    ("facts", "met"),
    [
        ({"goal": 0.5}, True),
        ({"goal": 0.49}, False),
        ({"goal": 30, "bounds": "ours"}, True),
        ({"goal": 29, "bounds": "ours"}, False),
        ({"goal": 30, "bounds": "ours", "at_least": True}, True),
        ({"goal": 31, "bounds": "ours", "at_least": True}, False),
        ({}, True),
    ],
)
def test_a_goal_bounds_the_ratio_or_the_figure(facts: dict[str, Any], met: bool) -> None:
    assert result(**facts).is_met is met


def test_a_row_that_misses_its_goal_as_yet_fails_the_run_only_beyond_its_limit() -> None:
    """So that the benchmark finds out what has got worse."""
    missed = result(ratio=LIMITS["get/"], goal=0.6)
    assert (missed.is_met, missed.is_as_good_as_known) == (False, True)
    assert not result(ratio=LIMITS["get/"] + 0.1, goal=0.6).is_as_good_as_known
    assert not result(name="start/100", ratio=0.7, goal=0.6).is_as_good_as_known


def test_the_ratio_is_the_median_of_the_rounds_without_the_first() -> None:
    """One disturbed round changes nothing, whichever of the two it hits."""
    ours, other = iter([900.0, 1, 2, 3, 90, 5]), iter([1.0, 10, 20, 30, 40, 500])
    compared = Effort(rounds=5).compare(lambda: next(ours), lambda: next(other), name="x", unit="us")
    assert (compared.ours, compared.other, compared.ratio) == (3, 30, 0.1)
