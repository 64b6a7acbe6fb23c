"""JSON that is kept for what does not change."""

import json

from comfyfarm.server.http.recent_bodies import RecentBodies


def test_a_thing_is_encoded_once_with_the_text_of_json_dumps() -> None:
    bodies, shown = RecentBodies(), []
    value = {"a": [1, 2.5, None, "ä"], "b": {}}

    def show() -> object:
        shown.append(1)
        return value

    assert [bodies.of("thing", show) for _ in range(3)] == [json.dumps(value).encode()] * 3
    assert len(shown) == 1


def test_only_the_latest_are_kept_and_none_that_is_large() -> None:
    """So that a long history, or an absurd prompt, costs no memory."""
    bodies, shown = RecentBodies(most_bytes=100), []

    def show(name: str, size: int) -> bytes:
        return bodies.of(name, lambda: shown.append(name) or "x" * size)    # type: ignore[func-returns-value]

    for name in "abcdefa":      # each of 22 bytes
        show(name, 20)
    assert shown == list("abcdefa")
    show("f", 20)
    assert shown == list("abcdefa")
    for _ in range(2):
        show("large", 30)
    assert shown[-2:] == ["large", "large"]
