"""How does a farm run beside a program that is not Twisted's?

In a child process, on free ports.  Without pytest::

    with start_mock_server(disable_static_return=True) as farm:
        subprocess.run(["my-app", "--backend", farm.url])

The fixtures of :mod:`comfyfarm.pytest_plugin` stand on the same functions.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any, Literal, Self, TypeVar

from comfyfarm.clients.control import SyncFarmControl
from comfyfarm.clients.control_calls import Call
from comfyfarm.config.sources import ConfigSource, config_file
from comfyfarm.testing.remote import RemoteFarm

A = TypeVar("A")

_READY_WITHIN_S = 20.0
_STOPPED_WITHIN_S = 5.0
_POLL_S = 0.02
_LINES = 20

# The child imports what its parent would, wherever each of them found the farm.
_CHILD = """
import json, sys
folder, sys.path[:] = json.loads(sys.argv.pop(1))
from comfyfarm.testing.child_main import main
main(folder)
"""
_TWISTD = ("-n", "--pidfile=", "comfyfarm")


class FarmDied(Exception):
    """The child process ended unasked, or was never ready.

    :ivar status: its exit status, negative for a signal; ``None`` where it ran but was not ready in time.
    :ivar lines: the last lines of its log.
    """

    def __init__(self, status: int | None, lines: list[str]) -> None:
        self.status = status
        self.lines = lines
        what = f"was not ready after {_READY_WITHIN_S:g} s" if status is None else f"ended with status {status}"
        super().__init__("\n    ".join([f"the farm {what}; the end of its log:", *lines]))


@dataclass(frozen=True)
class ServedInstance:
    """One mock ComfyUI server, and where it keeps its files.

    :ivar url: without a slash at the end.
    """

    name: str
    url: str
    mode: Literal["static", "dynamic"]
    input_dir: Path
    output_dir: Path


class RunningFarm(RemoteFarm):
    """A farm in a child process: ``farm["gpu-1"].url``.

    Made by :func:`run_farm` and :func:`start_mock_server`.  Every method that asks it raises :class:`FarmDied` if the
    child has ended.

    :ivar instances: by name, in the order of the configuration.
    :ivar control_url: where the farm's own API is.
    :ivar control: its client: ``farm.control.change("gpu-1", mode="dynamic")``.
    """

    def __init__(self, *arguments: str, config: ConfigSource | None = None) -> None:
        """Start the process, and wait until every port listens.

        :param arguments: for ``twistd comfyfarm``.
        :param config: ``None`` for the default farm of one instance.
        :raises FarmDied: where it ended instead, or was not ready after 20 seconds.
        """
        self._folder = TemporaryDirectory(prefix="comfyfarm-")
        try:
            self._child = self._start(arguments, config)
        except BaseException:
            self._folder.cleanup()
            raise
        atexit.register(self._end)
        try:
            ready = self._wait_until_ready()
        except BaseException:
            self._end()
            raise
        self.control_url = str(ready["control"])
        self.control = SyncFarmControl(self.control_url)
        self._control = _ControlOfChild(self.control_url, self._alive)
        self.instances: Mapping[str, ServedInstance] = MappingProxyType(_instances(ready))

    def __enter__(self) -> Self:
        """Be stopped at the end of a block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, as :meth:`stop` does."""
        self.stop()

    def __getitem__(self, name: str) -> ServedInstance:
        """One instance.

        :raises KeyError: where the configuration names no such instance.
        """
        return self.instances[name]

    @property
    def url(self) -> str:
        """The base URL of the first instance, for a farm of one."""
        return self.urls[0]

    @property
    def urls(self) -> list[str]:
        """The base URL of each instance, in the order of the configuration."""
        return [instance.url for instance in self.instances.values()]

    @contextmanager
    def _alive(self) -> Iterator[None]:
        """Say what became of the child, where it does not answer."""
        try:
            yield
        except OSError as why:
            status = None if isinstance(why, TimeoutError) else self._status()
            if status is None:
                raise
            raise FarmDied(status, self._last_lines()) from None

    def stop(self) -> None:
        """End the child; its files are removed, whatever became of it.  Once is enough; a second call does nothing.

        :raises FarmDied: where it had ended before, unasked.
        """
        if self._stopped:
            return
        status = self._child.poll()
        lines = [] if status is None else self._last_lines()
        self._end()
        if status is not None:
            raise FarmDied(status, lines)

    def _start(self, arguments: tuple[str, ...], config: ConfigSource | None) -> subprocess.Popen[bytes]:
        folder = Path(self._folder.name)
        options = ["--ready-file", str(folder / "ready.json"), "--control-port", "0", *arguments]
        if config is not None:
            options += ["--config", str(config_file(config, folder))]
        with (folder / "log").open("wb") as log:
            return subprocess.Popen(  # noqa: S603  (our own code)
                [sys.executable, "-c", _CHILD, json.dumps([str(folder), sys.path]), *_TWISTD, *options],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "TMPDIR": str(folder)},      # so that its files go with ours, even if it is killed
                start_new_session=True,     # a Ctrl-C is for the parent, which then stops the child
            )

    def _wait_until_ready(self) -> dict[str, Any]:
        ready = Path(self._folder.name, "ready.json")
        deadline = time.monotonic() + _READY_WITHIN_S
        while not ready.exists():
            status = self._status()
            if status is not None or time.monotonic() > deadline:
                raise FarmDied(status, self._last_lines())
        return dict(json.loads(ready.read_bytes()))

    def _status(self) -> int | None:
        """The child's exit status, or ``None`` where it still runs after a moment."""
        try:
            return self._child.wait(_POLL_S)
        except subprocess.TimeoutExpired:
            return None

    def _last_lines(self) -> list[str]:
        return Path(self._folder.name, "log").read_text(errors="replace").splitlines()[-_LINES:]

    def _end(self) -> None:
        self._stopped = True
        atexit.unregister(self._end)
        if self._child.poll() is None:
            self._child.send_signal(signal.SIGTERM)
        try:
            self._child.wait(_STOPPED_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        if self._child.stdin is not None:
            self._child.stdin.close()
        self._folder.cleanup()


class _ControlOfChild(SyncFarmControl):
    """A client that says what became of the child, if it does not answer.

    :ivar alive: a block around each request.
    """

    def __init__(self, base_url: str, alive: Callable[[], AbstractContextManager[None]]) -> None:
        super().__init__(base_url)
        self.alive = alive

    def _send(self, request: Call[A]) -> A:
        with self.alive():
            return super()._send(request)


def run_farm(config: ConfigSource) -> RunningFarm:
    """Run the farm that a file, a dictionary or TOML text describes.

    The farm is its own context manager: ``with run_farm("farm.toml") as farm:``.
    See :func:`comfyfarm.config.sources.config_file` for ports and relative paths; the control server gets any free
    port.

    :raises FarmDied: where the child does not start.
    """
    return RunningFarm(config=config)


def start_mock_server(disable_static_return: bool = False, port: int = 0) -> RunningFarm:
    """Run one mock ComfyUI server, without a configuration file.

    The farm is its own context manager: ``with start_mock_server() as farm:``, and then ``farm.url``.

    :param disable_static_return: write a new file for every job, instead of always naming the same picture.
    :param port: 0 for any free one.
    :raises FarmDied: where the child does not start.
    """
    mode = ["--disable-static-return"] if disable_static_return else []
    return RunningFarm("--port", str(port), *mode)


def _instances(ready: Mapping[str, Any]) -> dict[str, ServedInstance]:
    return {
        name: ServedInstance(name, facts["url"], facts["mode"], Path(facts["input_dir"]), Path(facts["output_dir"]))
        for name, facts in ready["instances"].items()
    }
