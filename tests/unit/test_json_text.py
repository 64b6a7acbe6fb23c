"""The text of JSON that is written: that of Python's ``json.dumps``."""

from __future__ import annotations

import json

import pytest

from comfyfarm.json_text import encode_text, text_encoder

VALUES = [
    {"type": "status", "data": {"status": {"exec_info": {"queue_remaining": 3}}}},
    [1, -0.0, 1e100, 0.1 + 0.2, float("nan"), float("-inf"), 2**70, True, None],
    'quotes " and \\, ä, \u2028, \ud800 and \x00',
    {1: "a", None: "b", 1.5: [], "empty": {}},
    7,
    [],
]


@pytest.mark.parametrize("value", VALUES)
def test_the_text_is_that_of_json_dumps(value: object) -> None:
    assert encode_text(value) == json.dumps(value)
    assert encode_text(value) == json.dumps(value), "an encoder keeps nothing of what it has encoded"


def test_keys_can_be_sorted() -> None:
    value = {"b": {"d": 1, "c": 2}, "a": 3}
    assert text_encoder(sort_keys=True)(value) == json.dumps(value, sort_keys=True)


def test_what_is_no_json_fails_as_in_json_dumps() -> None:
    """And the next value is encoded all the same."""
    with pytest.raises(TypeError, match="Object of type set is not JSON serializable"):
        encode_text([{1}])
    assert encode_text([1]) == "[1]"


def test_a_python_without_the_extension_in_c_gives_the_same_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json.encoder, "c_make_encoder", None)
    for value in VALUES:
        assert text_encoder()(value) == json.dumps(value)
