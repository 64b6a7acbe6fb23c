"""``comfyfarm doctor`` and ``comfyfarm completion``."""

from __future__ import annotations

import json
from pathlib import Path
from socket import create_server

import pytest

from comfyfarm import __version__
from comfyfarm.cli.main import main
from tests.support.commands import ENVIRONMENT, comfyfarm


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, tuple[str, str]]:
    return {check["what"]: (check["state"], check["says"]) for check in json.loads(capsys.readouterr().out)}


def test_a_taken_port_is_a_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of the farm that is named; what is not installed and only nice to have is none."""
    config = tmp_path / "config.toml"
    with create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config.write_text(f"[farm]\ncontrol_port = 0\n[[instance]]\nname = 'a'\nport = {port}\n")
        assert main(["doctor", "-c", str(config), "--json"]) == 1
    checks = told(capsys)
    assert checks[f"port {port} (a)"] == ("problem", "Address already in use")
    assert checks["comfyfarm"] == ("ok", __version__)
    assert checks["Pillow, PNG"] == ("ok", "works")
    assert {state for what, (state, _) in checks.items() if not what.startswith("port")} <= {"ok", "note"}


def test_a_sound_machine_is_shown_as_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.toml").write_text("[farm]\ncontrol_port = 0\n[[instance]]\nport = 0\n")
    assert main(["doctor", "-c", str(tmp_path / "config.toml")]) == 0
    assert "twistd comfyfarm is known" in capsys.readouterr().out
    (tmp_path / "config.toml").write_text("[farm]\nport = 0\n")
    assert main(["doctor", "-c", str(tmp_path / "config.toml")]) == 1


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_completion(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    assert "_COMFYFARM_COMPLETE" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("comfyfarm wa", ["plain,watch"]),
        ("comfyfarm load --pol", ["plain,--policy"]),
        ("comfyfarm fault he", ["plain,heal"]),
        ("comfyfarm workflow two", ["plain,two-passes"]),
    ],
)
def test_commands_and_options_are_completed(
    monkeypatch: pytest.MonkeyPatch, words: str, completed: list[str]
) -> None:
    count = len(words.split()) - 1
    asked = {"COMP_WORDS": words, "COMP_CWORD": str(count), "_COMFYFARM_COMPLETE": "bash_complete"}
    for name, value in asked.items():
        monkeypatch.setitem(ENVIRONMENT, name, value)
    assert comfyfarm().stdout.splitlines() == completed
