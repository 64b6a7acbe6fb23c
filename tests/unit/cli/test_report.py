"""The command ``comfyfarm report``."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from comfyfarm.analysis.report.page import page
from comfyfarm.cli.main import main
from comfyfarm.events import Event
from comfyfarm.events.encoding import as_json
from tests.support.logs import Piece, farm, log, ran, trial
from tests.support.timelines import LOST, analysis_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.jsonl"


def save(path: Path, *pieces: Piece) -> str:
    events: list[Event] = log(*pieces)
    path.write_bytes(b"".join(as_json(event) + b"\n" for event in events))
    return str(path)


def test_the_page_is_written_beside_the_log(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Under its name; the command prints the path and succeeds, whatever the verdict."""
    assert main(["report", save(path, *LOST)]) == 0
    assert capsys.readouterr().out == f"{path.with_suffix('.html')}\n"
    assert path.with_suffix(".html").read_text("utf-8") == page(analysis_of(*LOST))


def test_each_form_is_written_where_it_is_wanted(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = path.parent
    asked = ["-o", str(out / "a.html"), "--trace", str(out / "a.json"), "--svg", str(out / "a.svg")]
    assert main(["report", save(path, *LOST), *asked]) == 0
    assert {each.name for each in out.iterdir()} == {"run.jsonl", "a.html", "a.json", "a.svg"}
    assert (out / "a.html").read_bytes().startswith(b"<!doctype html>")
    assert json.loads((out / "a.json").read_bytes())["traceEvents"]
    assert (out / "a.svg").read_bytes().startswith(b"<svg ")
    assert capsys.readouterr().out.splitlines() == [str(out / name) for name in ("a.html", "a.json", "a.svg")]
    assert main(["report", str(path), "--trace", str(out / "b.json")]) == 0
    assert not (out / "run.html").exists()


def test_a_trial_can_be_named(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Else it is the last one."""
    save(path, *LOST, trial("last", at=90_000), ran("j7", on="gpu-1", at=90_001, until=90_010))
    assert main(["report", str(path), "--text"]) == 0
    assert "j7" in capsys.readouterr().out
    assert main(["report", str(path), "--text", "--trial", ""]) == 0
    assert "j7" not in capsys.readouterr().out
    assert main(["report", str(path), "--text", "--trial", "none"]) == 2
    assert capsys.readouterr().err == "comfyfarm report: trial: there is no 'none' (there are: last)\n"


def test_the_text_is_printed(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", save(path, *LOST), "--text"]) == 0
    assert "gpu-2 BB" in capsys.readouterr().out
    assert [each.name for each in path.parent.iterdir()] == ["run.jsonl"]


def test_a_terminal_without_the_letters_gets_others(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    assert main(["report", save(path, farm("日本"), ran("j", on="日本", at=0, until=9)), "--text"]) == 0
    assert b"?? A" in out.buffer.getvalue()


def test_a_log_may_come_in(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``-`` reads it; the page goes into the current folder."""
    save(path, *LOST)
    monkeypatch.chdir(path.parent)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(path.read_bytes())))
    assert main(["report", "-"]) == 0
    assert (path.parent / "run.html").exists()


def test_a_torn_log_is_shown_as_far_as_it_goes(path: Path) -> None:
    save(path, *LOST)
    path.write_bytes(path.read_bytes()[:-20])
    assert main(["report", str(path)]) == 0
    assert "log incomplete" in path.with_suffix(".html").read_text("utf-8")


@pytest.mark.parametrize("content", [b"", b"\n\n", b"{}\n", b"no json at all", b"\x00\xff" * 1000])
def test_what_is_no_log_is_refused(path: Path, content: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    """In one line; nothing is written."""
    path.write_bytes(content)
    assert main(["report", str(path)]) == 2
    assert capsys.readouterr().err == f"comfyfarm report: {path}: there is no event in it\n"
    assert [each.name for each in path.parent.iterdir()] == ["run.jsonl"]


def test_files_that_fail_are_named(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing log, a missing folder, and a page that would overwrite the log."""
    missing, away = path.parent / "missing.jsonl", path.parent / "nowhere" / "a.html"
    tries: list[tuple[list[str], Any]] = [
        (["report", str(missing)], f"{missing}: No such file or directory"),
        (["report", str(path.parent)], f"{path.parent}: Is a directory"),
        (["report", save(path, *LOST), "-o", str(away)], f"{away}: No such file or directory"),
        (["report", str(path), "-o", str(path)], f"{path}: that is the log itself; name another file with -o"),
    ]
    for asked, said in tries:
        assert main(asked) == 2
        assert capsys.readouterr().err == f"comfyfarm report: {said}\n"
    assert path.read_bytes().startswith(b'{"kind":"configured"')
