"""What does a test leave behind?  pytest-twisted does not ask, so the fixture here does, for every test."""

import gc
import signal
import sys
from collections.abc import Iterator

import pytest
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import capturedLogs

SLOW = {"browser", "conformance", "socket", "test_docs.py"}


@pytest.fixture(autouse=True)
def meant_errors() -> Iterator[list[type[Exception]]]:
    """Fail a test that leaves delayed calls or logged errors behind, unhandled ones of a Deferred among them.

    A test that means an error to be logged asks for this fixture and adds its type to the list.
    """
    meant: list[type[Exception]] = []
    before = _delayed_calls()
    with capturedLogs() as events:
        yield meant
        gc.collect()        # an unhandled error is logged when its Deferred goes
        gc.freeze()         # what outlives a test is not looked through again after each of the next ones
    left = [call for call in _delayed_calls() if call not in before]
    described = [str(call) for call in left]
    for call in left:
        call.cancel()
    assert not left, "delayed calls were left behind:\n" + "\n".join(described)
    failures = [event["log_failure"] for event in events if "log_failure" in event]
    unmeant = [failure for failure in failures if not failure.check(*meant)]
    assert not unmeant, "errors were logged:\n" + "\n".join(failure.getTraceback() for failure in unmeant)


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--comfyui URL``, ``--versions``."""
    parser.addoption(
        "--comfyui",
        metavar="URL",
        help="a real ComfyUI to be held against the recordings of its version, too; idle, and nobody else's meanwhile",
    )
    parser.addoption("--versions", action="store_true", help="hold instances of every recorded version against theirs")


def pytest_configure() -> None:
    """Let the processes that tests start take SIGINT, also if this one was started in a shell's background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files whose tests wait for processes, so that no worker is left with one of them in the end."""
    items.sort(key=lambda item: not SLOW & {*item.path.parts})


def pytest_collection_finish() -> None:
    """Leave all that was imported out of the search for leftovers, which is done after every test."""
    gc.collect()
    gc.freeze()


def _delayed_calls() -> list[IDelayedCall]:
    """Those of the reactor, if there is one yet: asking for it would install it."""
    reactor = sys.modules.get("twisted.internet.reactor")
    return [] if reactor is None else list(reactor.getDelayedCalls())
