"""Long work in child processes: its results, its end, and what it cannot touch."""

from __future__ import annotations

import gc
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import pytest
import pytest_twisted
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.internet.testing import MemoryReactorClock

from comfyfarm.analysis.report.page import page
from comfyfarm.analysis.timeline.text import as_text
from comfyfarm.analysis.trials import analyse_saved
from comfyfarm.clients import HttpStatusError
from comfyfarm.clients.comfy_sync import ask
from comfyfarm.events.encoding import as_json
from comfyfarm.server.snapshots import IN_PLACE, NoResult, Snapshots
from comfyfarm.testing.child import run_farm
from comfyfarm.workflows import text_to_image

LONG = IN_PLACE + 1


def on_reactor() -> Snapshots:
    from twisted.internet import reactor

    return Snapshots(reactor)


def start(snapshots: Snapshots, work: Callable[[], Any]) -> Deferred[Any]:
    return Deferred.fromCoroutine(snapshots.run(work, LONG))


def hang() -> NoReturn:
    while True:
        signal.pause()


@pytest_twisted.ensureDeferred
async def test_work_sees_the_state_as_it_was_and_changes_nothing() -> None:
    state = ["as it was"]

    def work() -> tuple[int, list[str]]:
        state.append("changed")
        return os.getpid(), state

    done = start(on_reactor(), work)
    state[0] = "later"
    pid, seen = await done
    assert (seen, state) == (["as it was", "changed"], ["later"])
    with pytest.raises(ProcessLookupError):     # it is gone, and reaped
        os.kill(pid, 0)


@pytest_twisted.ensureDeferred
async def test_a_result_may_be_longer_than_a_pipe_holds() -> None:
    assert await start(on_reactor(), lambda: b"x" * 5_000_000) == b"x" * 5_000_000


@pytest_twisted.ensureDeferred
async def test_an_exception_of_the_work_is_raised_with_its_traceback() -> None:
    def divide() -> float:
        return 1 / 0

    with pytest.raises(ZeroDivisionError) as caught:
        await start(on_reactor(), divide)
    assert "in divide" in caught.value.__notes__[0]


@pytest_twisted.ensureDeferred
async def test_the_child_holds_no_port_open() -> None:
    """Else the port of an instance that crashes would still take connections."""
    with socket.create_server(("127.0.0.1", 0)) as port, pytest.raises(OSError, match="Bad file descriptor"):
        await start(on_reactor(), lambda: os.fstat(port.fileno()))


@pytest_twisted.ensureDeferred
async def test_work_that_nobody_waits_for_is_ended_and_frees_its_place() -> None:
    snapshots = on_reactor()
    hanging = [start(snapshots, hang), start(snapshots, hang)]
    third = start(snapshots, os.getpid)
    await deferLater(snapshots.reactor, 0)
    assert not third.called, "two at once"
    hanging[0].cancel()
    with pytest.raises(CancelledError):
        await hanging[0]
    assert await third != os.getpid()
    hanging[1].cancel()
    with pytest.raises(CancelledError):
        await hanging[1]
    await snapshots.stop()


@pytest_twisted.ensureDeferred
async def test_stopping_ends_what_works_and_what_waits() -> None:
    snapshots = on_reactor()
    works = [start(snapshots, hang) for _ in range(3)]
    await snapshots.stop()
    for work in works:
        with pytest.raises(NoResult):
            await work


@pytest_twisted.ensureDeferred
async def test_a_child_that_is_killed_has_no_result() -> None:
    with pytest.raises(NoResult, match="ended without one"):
        await start(on_reactor(), lambda: os.kill(os.getpid(), signal.SIGKILL))


@pytest_twisted.ensureDeferred
async def test_no_full_garbage_collection_copies_the_memory_while_a_child_lives() -> None:
    """It took the farm 0.7 s: what the collector looks at, it writes to."""
    snapshots, thresholds = on_reactor(), gc.get_threshold()
    hanging = [start(snapshots, hang), start(snapshots, hang)]
    hanging[0].addErrback(lambda _: None).cancel()
    assert await start(snapshots, os.getpid) != os.getpid()
    assert gc.get_threshold() == (*thresholds[:2], 1_000_000)
    hanging[1].addErrback(lambda _: None).cancel()
    await snapshots.stop()
    assert gc.get_threshold() == thresholds


@pytest_twisted.ensureDeferred
async def test_little_work_and_work_in_a_farm_in_memory_is_done_in_place() -> None:
    assert await on_reactor().run(os.getpid, IN_PLACE) == os.getpid()
    assert await Snapshots(MemoryReactorClock()).run(os.getpid, LONG) == os.getpid()


def test_a_long_log_is_judged_in_a_child_to_the_same_bytes_as_its_file(tmp_path: Path) -> None:
    log = tmp_path / "run.jsonl"
    with run_farm({"farm": {"clock": "virtual", "log": str(log)}, "instance": [{"name": "gpu-1"}]}) as farm:
        for number in range(150):
            ask("POST", f"{farm['gpu-1'].url}/prompt", {"prompt": text_to_image(number, steps=1)})
        farm.run_until_idle()
        paths = "verdict", "placement", "timeline?format=text", "report", "verdict?since=0"
        answers = [ask("GET", f"{farm.control_url}/api/{path}") for path in paths]
        journal = msgspec.json.decode(ask("GET", f"{farm.control_url}/api/journal"))
        with pytest.raises(HttpStatusError, match="there is no 'a'"):
            ask("GET", f"{farm.control_url}/api/verdict?trial=a")
        saved = analyse_saved(log.read_bytes().splitlines())
    assert saved.verdict().seq > IN_PLACE
    verdict, placement = as_json(saved.verdict()), as_json(saved.placement())
    assert answers[:4] == [verdict, placement, as_text(saved.timeline()).encode(), page(saved).encode()]
    assert msgspec.json.decode(answers[4])["attempts"] == journal["by_route"]["POST /prompt"] == 150
