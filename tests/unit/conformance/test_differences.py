"""Two JSON values are compared strictly, and every difference has its path."""

import pytest

from comfyfarm.conformance.differences import Difference, differences


def found(expected: object, got: object) -> list[tuple[str, str | None, str | None]]:
    return [(difference.path, difference.expected, difference.got) for difference in differences(expected, got)]


@pytest.mark.parametrize("value", [None, True, 1, 1.0, "x", [], {}, [{"a": [1, None]}]])
def test_equal_values_do_not_differ(value: object) -> None:
    """Whatever they are."""
    assert found(value, value) == []


@pytest.mark.parametrize(("one", "other"), [(1, 1.0), (1, True), (0, False), (None, 0), ("1", 1), ([], {})])
def test_equal_values_of_different_types_differ(one: object, other: object) -> None:
    """A client that is strict about types notices the difference."""
    assert [path for path, _, _ in found(one, other)] == [""]


def test_a_difference_has_a_path() -> None:
    """With the JSON of both sides."""
    assert found({"jobs": [{"id": "a"}, {"id": "b"}]}, {"jobs": [{"id": "a"}, {"id": "c"}]}) == [
        ("jobs[1].id", '"b"', '"c"')
    ]


def test_a_key_of_one_side_only_is_a_difference() -> None:
    """A key with the value null counts as present."""
    assert found({"a": 1, "b": None}, {"b": None, "c": None}) == [("a", "1", None), ("c", None, "null")]


def test_one_item_too_many_does_not_make_the_rest_differ() -> None:
    """Lists of unequal length are aligned."""
    assert found(["start", "one", "two", "end"], ["start", "extra", "one", "two", "end"]) == [
        ("[1]", None, '"extra"')
    ]
    assert found(["start", "one", "two", "end"], ["start", "two", "end"]) == [("[1]", '"one"', None)]


def test_items_that_changed_are_compared_where_lists_are_unequal() -> None:
    """A changed item beside a missing one is one difference inside, not two whole items."""
    assert found([{"n": 1, "x": 0}, "a"], [{"n": 2, "x": 0}, "a", "b"]) == [
        ("[0].n", "1", "2"),
        ("[2]", None, '"b"'),
    ]


def test_lists_of_equal_length_are_compared_item_by_item() -> None:
    """So that a change of order is seen in place."""
    assert list(differences([1, 2], [2, 1])) == [Difference("[0]", "1", "2"), Difference("[1]", "2", "1")]
