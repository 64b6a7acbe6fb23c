"""Faults as they are written: what is read, and what is refused in one line that says where and what is allowed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from comfyfarm.config import ConfigError, load, read
from comfyfarm.config.fault_tables import read_fault
from comfyfarm.faults.effects import EFFECTS
from comfyfarm.faults.effects.timing import Delay
from comfyfarm.faults.fault import Fault, Rule
from comfyfarm.faults.phases import At
from comfyfarm.units import Duration

RULE = "on, at, id, times, skip, every, chance, after, until, ttl, stagger, sticky, cites"
AT = "phase, route, method, job, node, node_type, model, step, type, client, size, file"
PHASES = (
    "'process', 'request', 'submit', 'reply', 'start', 'node', 'step', 'save', 'success', 'history', 'frame', 'view', "
    "'upload', 'status'"
)
DOINGS = ", ".join(sorted(EFFECTS))


def can(phase: str) -> str:
    return ", ".join(sorted(name for name, kind in EFFECTS.items() if phase in kind.phases))


WRONG = {
    # What it does.
    'at = "node"': f"do: is missing (expected one of {DOINGS})",
    'at = "node"\ndo = "explode"': f"do: expected one of {DOINGS}, got 'explode'",
    'at = "node"\ndo = 5': f"do: expected one of {DOINGS}, got 5",
    'at = "start"\ndo = "error"': (
        f"do: 'error' cannot happen at phase 'start' (there: {can('start')}; 'error' at: node, step, save)"
    ),
    'at = "frame"\ndo = "late"\nduration = "1s"': (
        f"do: 'late' cannot happen at phase 'frame' (there: {can('frame')}; 'late' at: save)"
    ),
    'at = "node"\ndo = "delay"': "duration: is missing",
    'at = "node"\ndo = "delay"\nduration = 5': (
        'duration: expected a duration such as "45ms", "1.5s", "2min" or "1h", got 5'
    ),
    'at = "node"\ndo = "delay"\nduration = "soon"': (
        'duration: expected a duration such as "45ms", "1.5s", "2min" or "1h", got \'soon\''
    ),
    'at = "node"\ndo = "delay"\nduration = "1s"\ncolour = 1': f"colour: unknown key (there are: {RULE}, do, duration)",
    'at = "node"\ndo = "crash"\nkeep = ["queue", "face"]': (
        "keep[1]: expected one of 'queue', 'history', 'uploads', 'models', got 'face'"
    ),
    'at = "save"\ndo = "cut_file"\nshare = 1.0': "share: expected float < 1.0",
    'at = "save"\ndo = "cut_file"\nsize = "5"': 'size: expected a size such as "512MB" or "6.9GB", got \'5\'',
    'at = "node"\ndo = "slow"\nfactor = 0.5': "factor: expected float >= 1.0",
    # Where.
    'do = "oom"': "at: is missing",
    'do = "oom"\nat = 5': "at: expected a phase, or a table with one, got int",
    'do = "oom"\nat = "lunch"': f"at.phase: expected one of {PHASES}, got 'lunch'",
    'do = "oom"\nat = { node = "3" }': f"at.phase: is missing (expected one of {PHASES})",
    'do = "oom"\nat = { phase = "node", nod = "3" }': f"at.nod: unknown key (there are: {AT}); did you mean 'node'?",
    'do = "hold"\nat = { phase = "start", node = "3" }': (
        "at.node: has no meaning at phase 'start' (there are: job, client, model, node_type)"
    ),
    'do = "crash"\nat = { phase = "process", job = 1 }': (
        "at.job: has no meaning at phase 'process' (there are: none)"
    ),
    'do = "oom"\nat = { phase = "node", job = 0 }': "at.job: expected int >= 1",
    'do = "oom"\nat = { phase = "node", job = true }': "at.job: expected int or str, got bool",
    'do = "oom"\nat = { phase = "step", step = 0 }': "at.step: expected int >= 1",
    'do = "hold"\nat = { phase = "request", route = "/api/prompt" }': (
        "at.route: expected a path without /api, such as '/history*', got '/api/prompt'"
    ),
    'do = "hold"\nat = { phase = "request", route = "prompt" }': (
        "at.route: expected a path without /api, such as '/history*', got 'prompt'"
    ),
    'do = "hold"\nat = { phase = "request", size = 5 }': (
        'at.size: expected a size such as "512MB" or "6.9GB", got 5'
    ),
    # On whom.
    'do = "oom"\nat = "node"\non = "gpu-9"': "on: 'gpu-9' matches no instance (there are: gpu-1, gpu-2)",
    'do = "oom"\nat = "node"\non = ["gpu-1", "cpu*"]': "on: 'cpu*' matches no instance (there are: gpu-1, gpu-2)",
    'do = "oom"\nat = "node"\non = []': "on: expected at least one name or glob",
    'do = "oom"\nat = "node"\non = 5': "on: expected str or a list, got int",
    # How often, and when.
    'do = "oom"\nat = "node"\ntimes = 0': "times: expected int >= 1",
    'do = "oom"\nat = "node"\ntimes = "x"': "times: expected int, got str",
    'do = "oom"\nat = "node"\nskip = -1': "skip: expected int >= 0",
    'do = "oom"\nat = "node"\nevery = 0': "every: expected int >= 1",
    'do = "oom"\nat = "node"\nchance = 1.5': "chance: expected float <= 1.0",
    'do = "oom"\nat = "node"\nchance = -0.1': "chance: expected float >= 0.0",
    'do = "oom"\nat = "node"\nttl = "0s"': "ttl: expected a duration above 0, got 0ms",
    'do = "oom"\nat = "node"\nafter = "2s"\nuntil = "1s"': (
        "until: expected a moment behind after (2000ms), got 1000ms"
    ),
    'do = "oom"\nat = "node"\nuntil = "0s"': "until: expected a moment behind after (0ms), got 0ms",
    'do = "crash"\nat = "process"\ntimes = 2': (
        "times: has no meaning at phase 'process', which comes once (see after)"
    ),
    'do = "crash"\nat = "process"\nsticky = true': (
        "sticky: has no meaning at phase 'process', which comes once (see after)"
    ),
    'do = "oom"\nat = "node"\nsticky = 1': "sticky: expected bool, got int",
    'do = "oom"\nat = "node"\nid = ""': "id: expected a name of at most 200 printable characters without /, got ''",
    'do = "oom"\nat = "node"\nid = "a/b"': (
        "id: expected a name of at most 200 printable characters without /, got 'a/b'"
    ),
    'do = "oom"\nat = "node"\nttl = "9999999h"': "ttl: expected at most 8766000h, got '9999999h'",
}


@pytest.mark.parametrize(("table", "said"), WRONG.items())
def test_a_wrong_fault_is_refused_in_one_line_that_says_where(table: str, said: str, tmp_path: Path) -> None:
    """Of a file with one good fault before it."""
    path = tmp_path / "config.toml"
    path.write_text(
        '[[instance]]\nname = "gpu-{n}"\ncount = 2\n[[fault]]\ndo = "oom"\nat = "node"\n[[fault]]\n' + table
    )
    with pytest.raises(ConfigError) as refused:
        load(path)
    assert str(refused.value) == f"{path}: fault[1].{said}"


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({"fault": {"do": "oom", "at": "node"}}, "fault: expected [[fault]] tables"),
        ({"fault": [5]}, "fault[0]: expected a table, got int"),
        (
            {"fault": [{"do": "oom", "at": "node", "id": "a"}, {"do": "hang", "at": "node", "id": "a"}]},
            "fault[1].id: 'a' is armed already",
        ),
        (
            {"fault": [{"do": "oom", "at": "node"}, {"do": "hang", "at": "node", "id": "oom-1"}]},
            "fault[1].id: 'oom-1' is armed already",
        ),
    ],
)
def test_faults_are_tables_with_names_of_their_own(raw: dict[str, Any], said: str, tmp_path: Path) -> None:
    """A name that a fault without one is given counts, too."""
    with pytest.raises(ConfigError) as refused:
        read(raw, tmp_path)
    assert str(refused.value) == said


def test_a_fault_that_stands_alone_is_refused_without_a_place() -> None:
    """As in a body of the control API."""
    with pytest.raises(ConfigError, match=r"^at\.nod: unknown key"):
        read_fault({"do": "oom", "at": {"phase": "node", "nod": 1}})
    with pytest.raises(ConfigError, match=r"^expected a table, got list$"):
        read_fault([])
    with pytest.raises(ConfigError, match=r"^do: is missing"):
        read_fault({})


def test_what_is_written_is_what_is_meant() -> None:
    raw = {
        "id": "slow start",
        "on": ["gpu-*", "cpu"],
        "at": {"phase": "start", "job": "cat*", "client": "me"},
        "do": "delay",
        "duration": "1.5s",
        "times": 2,
        "after": "10s",
        "until": "1min",
        "cites": ["a#1", "b#2"],
    }
    rule = Rule(
        id="slow start",
        on=("gpu-*", "cpu"),
        at=At(phase="start", job="cat*", client="me"),
        times=2,
        after=Duration(10_000),
        until=Duration(60_000),
        cites=("a#1", "b#2"),
    )
    assert read_fault(raw) == Fault(rule, Delay(duration=Duration(1500)))


def test_reading_leaves_the_table_as_it_was() -> None:
    raw = {"do": "oom", "at": "node"}
    read_fault(raw)
    assert raw == {"do": "oom", "at": "node"}


@pytest.mark.parametrize(
    "raw",
    [
        {"do": "delay", "at": "node", "duration": "1.5s"},
        {"do": "crash", "at": "process", "keep": ["queue"], "restart_after": "1min", "stagger": "2s"},
        {"do": "cut_file", "at": {"phase": "save", "node": "9"}, "size": "1KB", "chance": 0.25},
        {"do": "hold", "at": {"phase": "upload", "size": "1MB"}, "on": ["a", "b"], "ttl": "5s", "cites": "x#1"},
    ],
)
def test_a_fault_as_it_is_written_to_the_log_can_be_armed_again(raw: dict[str, Any]) -> None:
    """Written as JSON, as in a log."""
    fault = read_fault(raw)
    written = msgspec.json.decode(msgspec.json.encode(fault.as_written()))
    assert read_fault(written) == fault
