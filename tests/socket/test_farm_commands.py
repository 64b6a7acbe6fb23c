"""The commands that act on a running farm."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from comfyfarm.cli.main import main
from comfyfarm.testing.child import RunningFarm, run_farm


@pytest.fixture(scope="module")
def farm() -> Iterator[RunningFarm]:
    with run_farm({"instance": [{"name": "gpu-{n}", "count": 2}]}) as running:
        yield running


@pytest.fixture(autouse=True)
def _control(farm: RunningFarm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMFYFARM_CONTROL", farm.control_url)


def test_a_fault_is_armed_listed_and_healed(farm: RunningFarm, capsys: pytest.CaptureFixture[str]) -> None:
    """Words are values of TOML, or texts."""
    words = ["do=status", "at.phase=request", "at.route=/prompt", "on=gpu-*", "times=2", "id=busy", "status=503"]
    assert main(["fault", "arm", *words]) == 0
    assert capsys.readouterr().out == "busy\n"
    (state,) = farm.control.faults().faults
    assert state.fault["at"] == {"phase": "request", "route": "/prompt"}
    assert (state.fault["times"], state.fault["status"], state.on) == (2, 503, ("gpu-1", "gpu-2"))
    assert main(["fault", "list"]) == 0
    row = capsys.readouterr().out.splitlines()[1]
    assert row.split() == ["busy", "armed", "status", "request", "/prompt", "gpu-1,", "gpu-2", "never"]
    assert main(["fault", "heal"]) == 0
    assert main(["fault", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["faults"][0]["state"] == "healed"


def test_an_instance_is_crashed_restarted_paused_and_resumed(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["crash", "gpu-1"], ["restart", "gpu-1"], ["pause", "gpu-1"], ["resume", "gpu-1"]):
        assert main(words) == 0
    assert capsys.readouterr().out.splitlines() == [
        "gpu-1: stopped, 0 in the queue, started 1 times",
        "gpu-1: running, 0 in the queue, started 2 times",
        "gpu-1: paused, 0 in the queue, started 2 times",
        "gpu-1: running, 0 in the queue, started 2 times",
    ]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["pause", "gpu-7"], "pause: no instance is called 'gpu-7'; there are: gpu-1, gpu-2"),
        (["crash", "gpu-1", "--restart-after", "soon"], "crash: restart_after: expected a duration"),
        (["fault", "arm", "do=dropp", "at=reply"], "fault: do: expected one of broadcast, close, "),
        (["fault", "arm", "drop"], "fault: expected KEY=VALUE, got 'drop'"),
        (["fault", "arm", "do=drop", "at=reply", "at.route=/x"], "fault: at: is a text and a table"),
        (["fault", "list", "--control", "127.0.0.1:1"], "fault: http://127.0.0.1:1: Connection refused"),
        (["watch", "--control", "127.0.0.1:1"], "watch: http://127.0.0.1:1: Connection refused"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"comfyfarm {says}")
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_a_farm_is_watched(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["watch", "--for", "0.05", "--every", "0.01"]) == 0
    output = capsys.readouterr().out
    assert "gpu-1" in output
    assert "gpu-2" in output
