"""The history of ended jobs, and the windows on it that clients request."""

import pytest

from comfyfarm.sim.jobs import History, HistoryEntry, Job


def entry(prompt_id: str) -> HistoryEntry:
    return HistoryEntry(Job(1, prompt_id, {}, {}, ["2"], "name"))


def filled(ids: str, limit: int = 100) -> History:
    history = History()
    for prompt_id in ids:
        history.add(entry(prompt_id), limit)
    return history


@pytest.mark.parametrize(
    ("max_items", "offset", "shown"),
    [
        (None, -1, "abcde"),
        (2, -1, "de"),
        (9, -1, "abcde"),
        (None, 3, "de"),
        (None, 0, "abcde"),
        (None, 9, ""),
        (None, -7, "abcde"),
        (2, 1, "bc"),
        (2, 4, "e"),
        (9, 2, "cde"),
        (2, -7, "de"),
        (0, -1, ""),
        (-1, -1, ""),
        (0, 0, "a"),        # ComfyUI counts after it has added one
        (-1, 0, "a"),
        (0, 9, ""),
    ],
)
def test_a_window_is_cut_as_comfyui_cuts_it(max_items: int | None, offset: int, shown: str) -> None:
    """The last N, or N from an offset on; with ComfyUI's oddities at 0 and below."""
    assert "".join(filled("abcde").window(max_items, offset)) == shown


def test_a_window_of_nothing_is_empty() -> None:
    for max_items in (None, -1, 0, 5):
        for offset in (-1, 0, 5):
            assert History().window(max_items, offset) == {}


def test_one_more_than_the_limit_is_remembered() -> None:
    """The oldest are dropped; ComfyUI checks before it adds."""
    assert "".join(filled("abcdefg", limit=3).entries) == "defg"


def test_a_repeated_id_keeps_its_place() -> None:
    """Its content is that of the new entry."""
    history = filled("abc")
    again = entry("a")
    again.status_str = "error"
    history.add(again, 100)
    assert "".join(history.entries) == "abc"
    assert history.entries["a"] is again


def test_a_repeated_id_in_a_full_history_still_makes_room() -> None:
    """As in ComfyUI, which drops the oldest entry without a look at the new one."""
    assert "".join(filled("abcdc", limit=3).entries) == "bcd"
    assert "".join(filled("abcda", limit=3).entries) == "bcda"


def test_an_entry_has_its_keys_in_comfyuis_order() -> None:
    shown = entry("a").as_json()
    assert list(shown) == ["prompt", "outputs", "status", "meta"]
    assert shown["prompt"] == [1, "a", {}, {}, ["2"]]
    assert list(shown["status"].items()) == [("status_str", "success"), ("completed", True), ("messages", [])]


def test_only_success_is_completed() -> None:
    failed = entry("a")
    failed.status_str = "error"
    assert failed.status == {"status_str": "error", "completed": False, "messages": []}
