"""The fixture that fails a test for what it leaves behind."""

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

CONFTEST = Path(__file__).with_name("conftest.py")
SUITE = """
from twisted.internet.defer import fail
from twisted.logger import Logger
from twisted.python.failure import Failure

def test_a_delayed_call():
    from twisted.internet import reactor
    reactor.callLater(60, print)

def test_an_error_that_nobody_handled():
    fail(RuntimeError("dropped"))

def test_an_error_that_was_meant(meant_errors):
    Logger().failure("as planned", failure=Failure(RuntimeError("meant")))
    meant_errors.append(RuntimeError)

def test_nothing():
    pass
"""


def test_what_a_test_leaves_behind_fails_it(pytester: pytest.Pytester) -> None:
    """A delayed call and a dropped failure each fail the test that made them, and no later one."""
    pytester.makeconftest(CONFTEST.read_text())
    pytester.makepyfile(SUITE)
    result = pytester.runpytest_subprocess("-p", "no:comfyfarm")
    result.assert_outcomes(passed=4, errors=2)
    result.stdout.fnmatch_lines([
        "E * delayed calls were left behind:*",
        "E * errors were logged:",
        "ERROR *::test_a_delayed_call*",
        "ERROR *::test_an_error_that_nobody_handled*",
    ])
