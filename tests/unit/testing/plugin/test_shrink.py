"""The search for the smallest set of faults with which a test fails."""

from collections.abc import Sequence

import pytest

from comfyfarm.testing.plugin.shrink import ddmin


@pytest.mark.parametrize("guilty", [{0}, {11}, {2, 9}, {0, 11}, {4, 5}, {1, 6, 10}, set(range(12))])
def test_exactly_the_guilty_ones_are_left_in_their_order(guilty: set[int]) -> None:
    assert ddmin(range(12), lambda selection: guilty <= set(selection)) == sorted(guilty)


def test_nothing_is_left_if_it_fails_by_itself() -> None:
    assert ddmin([1, 2, 3], lambda _: True) == []


def test_of_two_causes_one_is_left() -> None:
    """And none of what is left can be left out."""
    left = ddmin(range(12), lambda selection: {1, 2} <= set(selection) or {7, 8, 9} <= set(selection))
    assert left in ([1, 2], [7, 8, 9])


def test_no_selection_is_tried_twice() -> None:
    """Each is a whole run of a test."""
    tried: list[tuple[int, ...]] = []

    def fails(selection: Sequence[int]) -> bool:
        tried.append(tuple(selection))
        return {3, 20} <= set(selection)

    assert ddmin(range(24), fails) == [3, 20]
    assert len(tried) == len(set(tried)) < 60
