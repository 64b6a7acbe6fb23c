"""All errors of a configuration at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from comfyfarm.cli.check import _make
from comfyfarm.config.problems import find_problems

BAD = """\
[farm]
control_prot = 1
speed = -3

[profile.slow]
timing.step = "45"

[[instance]]
name = "a b"
port = "x"
profile = "slo"

[[instance]]
mode = "dynamc"
models.checkpoints = ["a.safetensors", "b.safetensors:3XB", "c.safetensors:"]
missing_nodes = ["KSamplr"]

[[instance]]
name = "c"
port = 8188

[[instance]]
name = "c"
port = 9000
input = "nope.png"

[[fault]]
at = { phase = "reply", rout = "/prompt" }
do = "drop"

[[fault]]
at = "reply"
do = "dropp"

[[fault]]
at = "reply"
do = "drop"
times = 0

[[scenario]]
use = "F99"

[[sceanrio]]
use = "F08"
"""


def found(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "farm.toml"
    path.write_text(text)
    return [f"{problem.line}: {problem.error}" for problem in find_problems(path, _make)]


def test_every_error_is_found_once_with_its_line_and_a_suggestion(tmp_path: Path) -> None:
    """Also those that a check finds only when nothing else is wrong: places are those of the file."""
    expected = [
        "2: farm.control_prot: unknown key; did you mean 'control_port'?",
        "3: farm.speed: expected a number above 0, got -3.0",
        '6: profile.slow.timing.step: expected a duration such as "45ms"',
        "9: instance[0].name: expected letters, digits and ._- only, got 'a b'",
        "10: instance[0].port: expected int, got str",
        "11: instance[0].profile: unknown profile 'slo' (there are: slow); did you mean 'slow'?",
        "14: instance[1].mode: expected one of 'static', 'dynamic', got 'dynamc'; did you mean 'dynamic'?",
        "15: instance[1].models.checkpoints[1]: expected a size",
        "15: instance[1].models.checkpoints[2]: expected a size",
        "16: instance[1].missing_nodes[0]: there is no node type 'KSamplr'; is 'KSampler' meant?",
        "20: instance[2].port: 8188 is taken by instance[1] (comfyui)",
        "23: instance[3].name: 'c' is there already",
        "25: instance[3].input: ",
        "28: fault[0].at.rout: unknown key (there are: ",
        "33: fault[1].do: expected one of ",
        "38: fault[2].times: expected int >= 1",
        "41: scenario[0].use: there is no incident 'F99'",
        "43: sceanrio: unknown key; did you mean 'scenario'?",
    ]
    problems = found(tmp_path, BAD)
    assert [line[: len(start)] for line, start in zip(problems, expected, strict=True)] == expected
    assert problems[13].endswith("did you mean 'route'?")
    assert problems[14].endswith("got 'dropp'; did you mean 'drop'?")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[farm]\nseed = \n", "2: "),
        ("instance = 3", "1: instance: expected [[instance]] tables"),
        ("instance = []", "1: instance: a farm needs at least one [[instance]]"),
        ("[[fault]]\nat = 'reply'\n", "1: fault[0].do: is missing"),
        ("[[fault]]\nat = 'reply'\ndo = 'drop'\non = 'x'\n", "4: fault[0].on: 'x' matches no instance"),
    ],
)
def test_an_error_that_stands_alone_is_all_that_is_found(tmp_path: Path, text: str, expected: str) -> None:
    (line,) = found(tmp_path, text)
    assert line.startswith(expected)


def test_a_sound_file_has_no_problem(tmp_path: Path) -> None:
    assert found(tmp_path, '[[instance]]\nname = "a"\n') == []
