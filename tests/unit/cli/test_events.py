"""The command ``comfyfarm events``."""

from __future__ import annotations

from pathlib import Path

import pytest

from comfyfarm.cli.main import main
from comfyfarm.events.encoding import as_json
from comfyfarm.events.line_writer import LineWriter
from tests.support.logs import farm, log, ran

EVENTS = log(farm("a"), ran("j", on="a", at=0, until=5))


def test_each_event_of_a_saved_log_is_printed_with_all_its_fields(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes(LineWriter().lines(EVENTS))
    assert main(["events", str(path)]) == 0
    whole = capsysbinary.readouterr().out
    assert whole.count(b"\n") == len(EVENTS)
    assert whole.count(b'"prompt_id":"j@a"') >= 4
    path.write_bytes(whole)
    assert main(["events", str(path)]) == 0
    assert capsysbinary.readouterr().out == whole


def test_what_cannot_be_read_is_reported_and_the_rest_printed(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes(as_json(EVENTS[0]) + b"\ntorn")
    assert main(["events", str(path)]) == 1
    found = capsysbinary.readouterr()
    assert found.out == as_json(EVENTS[0]) + b"\n"
    assert found.err == b"comfyfarm events: line 2 is torn\n"
    assert main(["events", str(tmp_path / "missing")]) == 2
    assert b"No such file" in capsysbinary.readouterr().err
