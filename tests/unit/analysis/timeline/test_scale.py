"""Positions, labels and rows of a drawn timeline."""

from __future__ import annotations

import pytest

from comfyfarm.analysis.timeline.scale import Scale, as_duration, depths, rows


@pytest.mark.parametrize(
    ("ms", "words"),
    [
        (0, "0 ms"), (999, "999 ms"), (1000, "1 s"), (12_500, "12.5 s"), (59_999, "59.999 s"),
        (60_000, "1:00 min"), (200_999, "3:20 min"), (3_600_000, "1:00:00 h"), (90_061_000, "25:01:01 h"),
    ],
)  # fmt: skip
def test_a_moment_is_written_in_the_largest_unit_that_fits(ms: int, words: str) -> None:
    assert as_duration(ms) == words


def test_moments_at_the_edge_are_round_and_stand_apart() -> None:
    """Also for an empty run, and for an extremely long one."""
    assert list(Scale(0, 10_000, 0, 1000).ticks()) == list(range(0, 10_001, 1000))
    assert list(Scale(3_600_500, 3_610_500, 0, 400).ticks(100)) == [3_605_000, 3_610_000]
    assert list(Scale(0, 0, 0, 1000).ticks()) == [0]
    assert len(Scale(0, 1 << 53, 0, 1000).ticks()) <= 12


def test_what_lies_outside_of_a_picture_stands_at_its_edge() -> None:
    """An empty run is drawn at the left."""
    scale = Scale(100, 200, 50, 10)
    assert [scale.x(each) for each in (0, 100, 150, 200, 999)] == [50, 50, 55, 60, 60]
    assert Scale(5, 5, 50, 10).x(5) == 50


def test_waiting_jobs_stand_in_rows_that_move_up() -> None:
    assert rows([(0, 10), (0, 5), (5, 20), (6, 7), (10, 12)]) == [0, 1, 1, 2, 0]
    assert rows([]) == []


def test_the_depth_of_a_queue_changes_once_a_moment() -> None:
    """Changes at the same time are combined; empty waits are not counted."""
    assert depths([(0, 10), (5, 10), (10, 20), (7, 7)]) == [(0, 1), (5, 2), (10, 1), (20, 0)]
