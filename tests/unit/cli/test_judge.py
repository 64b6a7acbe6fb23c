"""``comfyfarm judge``: what a person sees, what a machine reads, and the exit status."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from comfyfarm.analysis.log_analysis import LogAnalysis
from comfyfarm.cli.main import main
from comfyfarm.events import Configured, Event
from comfyfarm.events.encoding import as_json
from tests.support.logs import farm, log, ran, submitted, trial

TWO = farm("gpu-1", "gpu-2", delivery="none")
WELL = log(TWO, ran("j1", on="gpu-1", at=0, until=500), ran("j2", on="gpu-2", at=10, until=800))
BADLY = log(TWO, ran("[red]", on="gpu-1", at=0, until=5), ran("[red]", on="gpu-2", at=10, until=15))
OPEN = log(farm("gpu-1"), submitted("j1", on="gpu-1", at=0))


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COLUMNS", "250")
    return tmp_path / "run.jsonl"


def save(path: Path, events: list[Event]) -> str:
    path.write_bytes(b"".join(as_json(event) + b"\n" for event in events))
    return str(path)


@pytest.mark.parametrize(("events", "status", "word"), [(WELL, 0, "pass"), (BADLY, 1, "fail"), (OPEN, 3, "unknown")])
def test_the_exit_status_is_the_verdict(
    path: Path, events: list[Event], status: int, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Unknown is no pass."""
    assert main(["judge", save(path, events)]) == status
    assert capsys.readouterr().out.startswith(f"{word}: ")


def test_a_person_gets_the_findings_and_the_placement(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In sentences, whatever brackets a job's name has; and which samples are small."""
    main(["judge", save(path, BADLY)])
    output = capsys.readouterr().out
    words = " ".join(output.split())
    assert "fail: 1 order by what was sent: 1 delivered; 2 attempts, 1 job succeeded; 15 events, 0.015 s" in words
    assert "error ran_twice" in words
    assert "[red] ran 2 times" in words
    assert "fairness 2* jain 1" in words
    assert "No order was reported (POST /api/orders): a queue in the system under test is invisible" in words
    assert "* too few to show much." in words
    assert "None" not in words


@pytest.mark.parametrize("form", ["--json", "--placement-json"])
def test_a_machine_gets_the_bytes_and_nothing_else(
    path: Path, form: str, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Those that the live farm's control server gives, see tests/memory/test_analysis_api.py."""
    analysis = LogAnalysis()
    for event in BADLY:
        analysis.on_event(event)
    assert main(["judge", save(path, BADLY), form]) == 1
    assert capsysbinary.readouterr().out == as_json(analysis.verdict() if form == "--json" else analysis.placement())


TRIALS = log(
    *(farm("gpu-1", "gpu-2"), ran("j1", on="gpu-1", at=0, until=5)),
    *(trial("first", at=6), ran("j1", on="gpu-1", at=7, until=8), ran("j1", on="gpu-2", at=9, until=10)),
    *(trial("[last]", at=11), ran("j1", on="gpu-2", at=12, until=15)),
)


def test_the_last_trial_is_judged_or_the_one_that_is_named(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["judge", save(path, TRIALS)])
    assert " (trial [last]): 1 order by what was sent: 0 delivered; 1 attempt, 1 job" in capsys.readouterr().out
    assert main(["judge", str(path), "--trial", "first"]) == 1
    output = capsys.readouterr().out
    assert "fail (trial first): 1 order by what was sent: 0 delivered; 2 attempts" in output
    assert "ran_twice" in output
    main(["judge", str(path), "--trial", "", "--json"])
    assert json.loads(capsys.readouterr().out)["attempts"] == 1
    assert main(["judge", str(path), "--trial", "second"]) == 2
    expected = "comfyfarm judge: trial: there is no 'second' (there are: first, [last])\n"
    assert capsys.readouterr().err == expected


def test_bounds_are_set_on_the_command_line(path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """And the placement's terms, too."""
    retried = log(farm("gpu-1"), *(ran("j1", on="gpu-1", at=at, until=at + 5, ends="error") for at in (0, 500)))
    assert main(["judge", save(path, retried), "--json"]) == 3
    assert main(["judge", save(path, retried), "--json", "--set", "backoff=1s", "--set", "quick_retries=0"]) == 1
    capsysbinary.readouterr()
    main(["judge", str(path), "--placement-json", "--set", "fresh=7s", "--set", "overtakes=4"])
    placement = json.loads(capsysbinary.readouterr().out)
    assert (placement["misplacements"]["fresh_ms"], placement["starvation"]["overtakes"]) == (7000, 4)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--set", "patience=5s"], "comfyfarm judge: patience: there is no such bound (there are: liveness, reaction,"),
        (["--set", "reaction=5"], 'comfyfarm judge: reaction: expected a duration such as "45ms",'),
        (["--set", "retries=-1"], "comfyfarm judge: retries: expected int >= 0"),
        (["--set", "retries"], "comfyfarm judge: retries: expected int, got str"),
    ],
)
def test_a_wrong_bound_is_refused_in_one_line(
    path: Path, arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["judge", save(path, WELL), *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(expected)
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_a_log_that_cannot_be_opened_is_reported_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["judge", str(tmp_path / "no.jsonl")]) == 2
    assert main(["judge", str(tmp_path)]) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"comfyfarm judge: {tmp_path}/no.jsonl: No such file or directory",
        f"comfyfarm judge: {tmp_path}: Is a directory",
    ]


@pytest.mark.parametrize("content", [b"", bytes(range(256)) * 100])
def test_what_is_no_log_at_all_is_refused(path: Path, content: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    """It says nothing of the software, not even that it is unknown."""
    path.write_bytes(content)
    assert main(["judge", str(path), "--json"]) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", f"comfyfarm judge: {path}: there is no event in it\n")


def test_a_log_with_a_broken_line_is_judged_as_far_as_it_goes(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(path, WELL)
    path.write_bytes(path.read_bytes() + b"\x00\xff\n")
    assert main(["judge", str(path)]) == 3
    words = " ".join(capsys.readouterr().out.split())
    assert "unknown log_incomplete" in words
    assert "is no JSON" in words


def test_a_log_may_come_in_from_another_program(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``curl .../api/log | comfyfarm judge -``."""
    save(path, BADLY)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(path.read_bytes())))
    assert main(["judge", "-"]) == 1


def test_a_log_without_its_end_is_no_pass_unless_a_live_farm_may_have_sent_it(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, *others = WELL
    assert isinstance(first, Configured)
    save(path, [replace(first, version="0.2"), *others])
    assert main(["judge", str(path)]) == 3
    assert "the log has no end: the farm was killed, or still runs" in capsys.readouterr().out
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(path.read_bytes())))
    assert main(["judge", "-"]) == 0
