"""The example's two runs, as a user starts them: one passes, and the other one fails and says why."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

LONGEST_S = 120     # it takes about 5 seconds, on a machine that has nothing else to do
REPORT = re.compile(r"^_+ (test_\w+) _+$", re.MULTILINE)

# What the text of a failed test must hold.
BUGS = {
    "test_a_job_whose_answer_was_lost_is_not_run_twice": (
        "error ran_twice: job-1 ran 2 times to its end, on gpu-1 at ",
        "its first submission, to gpu-1, was never answered",
        "drop-1 (drop at reply): 1 x gpu-1",
        "r sent again",
    ),
    "test_a_job_is_not_done_because_its_server_was_started_anew": (
        "error false_completion: job-1 was reported as delivered at ",
        "when its last attempt, on gpu-1, had been lost with its process",
        "crash-1 (crash at step): 1 x gpu-1",
        "x down",
    ),
    "test_a_rolling_restart_loses_nothing": ("error false_completion: ",),
    "test_a_burst_is_spread_over_the_servers": (
        "was sent to gpu-1 with 11 jobs at ",
        "while gpu-2 had 0 jobs",
        "knew and ignored",
        "= Herding(n=12, is_small=True, longest=",
    ),
}


def run(request: pytest.FixtureRequest, dispatcher: str) -> tuple[int, str]:
    """Run the example's suite, under the rules that hold for our own: nothing is left behind, warnings are errors."""
    installed = request.config.pluginmanager.hasplugin("comfyfarm")
    plugins = ["-p", "tests.conftest", *([] if installed else ["-p", "comfyfarm.pytest_plugin"])]
    suite = ["-v", "examples/test_dispatcher.py", "--dispatcher", dispatcher]
    command = [sys.executable, "-m", "pytest", *plugins, *suite]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LONGEST_S, check=False)
    return ended.returncode, ended.stdout + ended.stderr


def test_the_good_dispatcher_passes(request: pytest.FixtureRequest) -> None:
    """All of it."""
    code, said = run(request, "good")
    assert code == pytest.ExitCode.OK, said
    assert " 15 passed" in said


def test_the_naive_dispatcher_is_found_out_and_the_text_says_what_it_did(request: pytest.FixtureRequest) -> None:
    """Three bugs, each named by the farm, with a picture of the run; on a good day it works."""
    code, said = run(request, "naive")
    assert code == pytest.ExitCode.TESTS_FAILED, said
    assert said.count("test_every_job_comes_back_once[") == said.count("] PASSED") == 3, said
    _, *parts = REPORT.split(said)
    reports = dict(zip(parts[::2], parts[1::2], strict=True))
    for test, sentences in BUGS.items():
        missing = [each for each in ("   0 ms   ", "job-1", *sentences) if each not in reports.get(test, "")]
        assert not missing, reports.get(test, said)
