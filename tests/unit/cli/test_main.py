"""The command line as a whole: what there is, and how it fails."""

from __future__ import annotations

import os

import pytest

from comfyfarm.cli.main import COMMANDS, command_of, main


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_the_help_of_each_begins_with(name: str) -> None:
    assert (command_of(name).help or "").partition("\n\n")[0].replace("\n", " ") == COMMANDS[name]


@pytest.mark.parametrize("name", COMMANDS)
def test_each_help_says_the_exit_status(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    assert "exit status" in " ".join(capsys.readouterr().out.split())


def test_a_bare_call_prints_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    printed = " ".join("".join(capsys.readouterr()).split())
    assert all(about in printed for about in COMMANDS.values())


@pytest.mark.parametrize("words", [["rum"], ["judge"], ["judge", "x", "--trail", "y"]])
def test_a_wrong_command_line_has_a_status_of_its_own(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """It is no verdict: neither fail nor unknown."""
    assert main(words) == 2
    assert "Error: " in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [["--no-color", "schema"], ["schema", "--no-color"], ["scenarios", "show", "--no-color", "F08"]],
)
def test_colours_can_be_left_out(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the command or after it; rich, which prints the colours, follows this variable."""
    monkeypatch.setenv("NO_COLOR", "")
    assert main(words) == 0
    assert os.environ["NO_COLOR"] == "1"
