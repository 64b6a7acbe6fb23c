"""A farm and its control server as one service: what a start that fails leaves behind."""

import os
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import maybeDeferred
from twisted.internet.testing import MemoryReactorClock

from comfyfarm.config import read
from comfyfarm.control.app import CannotStart, FarmApp
from comfyfarm.server.farm import make_farm
from comfyfarm.server.ports import MemoryPort


def _bind(reactor: Any, _host: str, port: int) -> MemoryPort:
    return MemoryPort(reactor, port)


def _app(tables: dict[str, Any], folder: Path, reactor: Any) -> FarmApp:
    config, bind = read(tables, folder), partial(_bind, reactor)
    return FarmApp(make_farm(config, reactor=reactor, clock=reactor, bind=bind, unix_ms=0))


def test_a_start_that_fails_leaves_the_log_closed_and_no_timer(tmp_path: Path) -> None:
    """The log has been opened and written when the instance finds a file in the place of its folder."""
    (tmp_path / "file").write_bytes(b"")
    tables = {"farm": {"log": "run.jsonl", "control_port": 0}, "instance": [{"port": 0, "output_dir": "file"}]}
    reactor: Any = MemoryReactorClock()
    with pytest.raises(CannotStart, match="file: Not a directory"):
        _app(tables, tmp_path, reactor).startService()
    assert reactor.getDelayedCalls() == []
    assert (tmp_path / "run.jsonl").read_bytes().startswith(b'{"kind":"configured"')


def test_a_farm_without_a_control_server_serves_its_instances_and_says_so() -> None:
    reactor: Any = MemoryReactorClock()
    config = read({"farm": {"control": False}, "instance": [{"name": "gpu-1", "port": 7}]}, Path())
    app = FarmApp(make_farm(config, reactor=reactor, clock=reactor, bind=partial(_bind, reactor), unix_ms=0))
    app.startService()
    described = app.described()
    maybeDeferred(app.stopService)
    assert described["control"] is None
    assert described["instances"]["gpu-1"]["url"] == "http://127.0.0.1:7"


def test_a_pipe_as_the_log_is_refused(tmp_path: Path) -> None:
    """The farm would wait for somebody who reads it, and later for each thing that is read."""
    os.mkfifo(tmp_path / "pipe")
    tables = {"farm": {"log": "pipe", "control_port": 0}, "instance": [{"port": 0}]}
    with pytest.raises(CannotStart, match="pipe: a pipe cannot be the log"):
        _app(tables, tmp_path, MemoryReactorClock()).startService()
