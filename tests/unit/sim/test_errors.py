"""How errors of comfyfarm's own are described in the log."""

from __future__ import annotations

import json

import pytest

from comfyfarm.sim.errors import internal_error
from comfyfarm.sim.prompt.submission import read_prompt


def test_the_place_is_the_last_line_of_the_package_that_the_error_passed() -> None:
    with pytest.raises(TypeError) as raised:
        read_prompt({"prompt": 5})
    assert internal_error(raised.value, 0).raised_at.partition(":")[0] == "sim/prompt/submission.py"
    with pytest.raises(json.JSONDecodeError) as elsewhere:
        json.loads("{")
    assert internal_error(elsewhere.value, 0).raised_at == "unknown"


def test_the_path_of_a_file_is_left_out() -> None:
    """Equal runs on two machines give equal logs."""
    error = FileNotFoundError(2, "No such file or directory", "/home/me/input.png")
    assert internal_error(error, 0).error == "FileNotFoundError: No such file or directory"
    assert internal_error(KeyError("x"), 0).error == "KeyError: 'x'"
