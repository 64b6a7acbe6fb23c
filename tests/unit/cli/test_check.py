"""``comfyfarm check``, ``init`` and ``schema``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from comfyfarm.cli.main import main


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_new_configuration_is_shown_as_a_table(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Wide if it is piped; the schema that its first line names stands beside it."""
    assert main(["init"]) == 0
    assert capsys.readouterr().out == "config.toml\ncomfyfarm.schema.json\n"
    assert (here / "config.toml").read_text().startswith("#:schema comfyfarm.schema.json\n")
    assert main(["check", "config.toml"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:5] for line in lines[1:4]] == [
        ["alpha", "http://127.0.0.1:8188", "static", "0.33.0", "15ms"],
        ["gpu-1", "http://127.0.0.1:8189", "dynamic", "0.33.0", "45ms"],
        ["gpu-2", "http://127.0.0.1:8190", "dynamic", "0.33.0", "45ms"],
    ]
    assert lines[4] == "3 instances, control port 8180"
    assert main(["schema"]) == 0
    assert capsys.readouterr().out == (here / "comfyfarm.schema.json").read_text()


def test_a_file_of_yours_is_not_replaced(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "config.toml").write_text("# mine")
    assert main(["init"]) == 2
    assert capsys.readouterr().err == "comfyfarm init: config.toml: is there already; --force replaces it\n"
    assert (here / "config.toml").read_text() == "# mine"
    assert main(["init", "--force"]) == 0


def test_errors_are_printed_with_file_and_line(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "farm.toml").write_text('[[instance]]\nprot = 1\nmode = "static"\n[farm]\nspeed = 0\n')
    assert main(["check", "farm.toml"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "farm.toml:2: instance[0].prot: unknown key; did you mean 'port'?",
        "farm.toml:5: farm.speed: expected a number above 0, got 0.0",
    ]
    assert main(["check", "farm.toml", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert [error["line"] for error in told["errors"]] == [2, 5]
    assert told["instances"] == []


def test_a_file_that_is_not_there_is_no_error_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "none.toml"]) == 2
    assert capsys.readouterr().err == "comfyfarm check: none.toml: No such file or directory\n"
