"""How errors of comfyfarm's own are described in the log."""

from __future__ import annotations

import json

import pytest

from comfyfarm.sim.errors import describe, origin_of
from comfyfarm.sim.prompt.submission import read_prompt


def test_the_place_is_the_last_line_of_the_package_that_the_error_passed() -> None:
    with pytest.raises(TypeError) as raised:
        read_prompt({"prompt": 5})
    assert origin_of(raised.value).partition(":")[0] == "sim/prompt/submission.py"
    with pytest.raises(json.JSONDecodeError) as elsewhere:
        json.loads("{")
    assert origin_of(elsewhere.value) == "unknown"


def test_the_path_of_a_file_is_left_out() -> None:
    """Equal runs on two machines give equal logs."""
    error = FileNotFoundError(2, "No such file or directory", "/home/me/input.png")
    assert describe(error) == "FileNotFoundError: No such file or directory"
    assert describe(KeyError("x")) == "KeyError: 'x'"
