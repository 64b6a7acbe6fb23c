"""``comfyfarm conform``: what it takes, and what a person sees."""

from io import StringIO

import pytest
from rich.console import Console

from comfyfarm.cli.main import main
from comfyfarm.conformance.differences import Difference
from comfyfarm.conformance.report import print_report
from comfyfarm.conformance.score import ScenarioOutcome


def printed(*outcomes: ScenarioOutcome, in_full: bool = False) -> str:
    file = StringIO()
    print_report(Console(file=file, width=100), outcomes, in_full=in_full)
    return file.getvalue()


def test_a_report_ends_with_the_score() -> None:
    """Families above it, and why some were not judged."""
    skipped = ScenarioOutcome("c", "sampling", 0.0, skipped="no checkpoint")
    output = printed(ScenarioOutcome("a", "http", 1.0), ScenarioOutcome("b", "http", 0.5), skipped, skipped)
    assert [line.split() for line in output.splitlines()] == [
        ["family", "same", "of", "skipped", "seconds"],
        ["http", "2", "2", "0", "1.5"],
        ["sampling", "0", "0", "2", "0.0"],
        ["skipped", "2:", "no", "checkpoint"],
        ["compared", "with", "ComfyUI", "0.25.0"],
        ["score:", "2/2", "(100.0", "%)"],
    ]


def test_a_report_begins_with_the_differences() -> None:
    """Values as they are, with their brackets; what is missing is nothing."""
    found = (Difference("step 1, GET /x: json[0]", '["[red]"]', None), Difference("step 2: status", "200", "404"))
    assert printed(ScenarioOutcome("a", "http", 1.0, found)).startswith(
        "a (http)\n"
        "  step 1, GET /x: json[0]\n"
        '    ComfyUI ["[red]"]\n'
        "    here    (nothing)\n"
        "  step 2: status\n"
        "    ComfyUI 200\n"
        "    here    404\n"
    )


def test_long_reports_are_cut_unless_all_is_requested() -> None:
    """Three differences of a scenario, and the beginning of a long value."""
    outcome = ScenarioOutcome("a", "http", 1.0, tuple(Difference(f"p{n}", "x" * 500, "y") for n in range(5)))
    short, whole = printed(outcome), printed(outcome, in_full=True)
    assert "... and 2 more (-v shows all)" in short
    assert "x" * 160 + "..." in short
    assert ("p4" in short, "p4" in whole, "x" * 500 in whole) == (False, True, True)


def test_it_lists_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Without asking any server."""
    assert main(["conform", "--list", "--family", "users"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines() if " users " in line] == [
        "settings_roundtrip",
        "userdata_files",
        "userdata_errors",
    ]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--only", "nope"], "comfyfarm conform: no scenario 'nope'\n"),
        ([], "comfyfarm conform: which server?  comfyfarm conform URL, or comfyfarm conform --self\n"),
    ],
)
def test_what_cannot_be_done_is_reported_in_a_line(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With status 2."""
    assert main(["conform", *arguments]) == 2
    assert capsys.readouterr().err == expected


@pytest.mark.parametrize("word", ["foo://x", "http://", "http://[", "http://x:0", "http://x:y"])
def test_an_address_that_is_none_is_refused(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    """As any argument that makes no sense."""
    assert main(["conform", word]) == 2
    assert f"expected something like http://127.0.0.1:8188, got {word!r}" in capsys.readouterr().err
