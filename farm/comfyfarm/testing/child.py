"""A farm in a child process, on free ports, for software that does not run in Twisted's reactor.

Without pytest::

    with start_mock_server(disable_static_return=True) as farm:
        subprocess.run(["my-app", "--backend", farm.url])

The fixtures of :mod:`comfyfarm.pytest_plugin` use the same functions.
"""

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

from comfyfarm.clients.control import SyncFarmControl, refuse_event_loop
from comfyfarm.clients.control_calls import Call
from comfyfarm.config.sources import ConfigSource, config_file
from comfyfarm.testing.remote import RemoteFarm

A = TypeVar("A")

_READY_WITHIN_S = 20.0
_STOPPED_WITHIN_S = 5.0
_POLL_S = 0.02
_LOG_LINES = 20

# The child takes its parent's sys.path, so that both import the same comfyfarm.
_CHILD = """
import json, sys
folder, sys.path[:] = json.loads(sys.argv.pop(1))
from comfyfarm.testing.child_main import main
main(folder)
"""
_TWISTD = ("-n", "--pidfile=", "comfyfarm")


class FarmDied(Exception):
    """The child process ended unexpectedly, or was not ready in time.

    :ivar status: its exit status, negative for a signal; ``None`` if it ran but was not ready in time.
    :ivar lines: the last lines of its log.
    """

    def __init__(self, status: int | None, lines: list[str]) -> None:
        self.status = status
        self.lines = lines
        end = f"was not ready after {_READY_WITHIN_S:g} s" if status is None else f"ended with status {status}"
        super().__init__("\n    ".join([f"the farm {end}; the end of its log:", *lines]))


@dataclass(frozen=True)
class ServedInstance:
    """A mock ComfyUI server, and the folders of its files.

    :ivar url: without a slash at the end.
    """

    name: str
    url: str
    mode: Literal["static", "dynamic"]
    input_dir: Path
    output_dir: Path


class RunningFarm(RemoteFarm):
    """A farm in a child process: ``farm["gpu-1"].url``.

    Made by :func:`run_farm` and :func:`start_mock_server`.  Every method that sends a request raises :class:`FarmDied`
    if the child has ended.

    :ivar instances: by name, in the order of the configuration.
    :ivar control_url: the URL of the farm's control server.
    :ivar control: a client of the control server: ``farm.control.change("gpu-1", mode="dynamic")``.
    """

    def __init__(self, *arguments: str, config: ConfigSource | None = None) -> None:
        """Start the process, and wait until every port listens.

        :param arguments: for ``twistd comfyfarm``.
        :param config: ``None``: the default farm of one instance.
        :raises FarmDied: if the process ends, or is not ready after 20 seconds.
        :raises RuntimeError: in a running event loop.
        """
        refuse_event_loop("starting a farm")
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
        if ready["control"] is None:
            self._end()
            raise ValueError("[farm] control = false: a farm for tests needs its control server")
        self.control_url, token = str(ready["control"]), ready.get("control_token")
        super().__init__(self.control_url, token)
        self._control = _ChildControl(self._reporting_death, self.control_url, token)
        self.instances: Mapping[str, ServedInstance] = MappingProxyType({
            name: ServedInstance(name, entry["url"], entry["mode"], Path(entry["input_dir"]), Path(entry["output_dir"]))
            for name, entry in ready["instances"].items()
        })

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __getitem__(self, name: str) -> ServedInstance:
        return self.instances[name]

    @property
    def url(self) -> str:
        """The base URL of the first instance."""
        return self.urls[0]

    @property
    def urls(self) -> list[str]:
        """The base URL of each instance, in the order of the configuration."""
        return [instance.url for instance in self.instances.values()]

    @contextmanager
    def _reporting_death(self) -> Iterator[None]:
        """Raise :class:`FarmDied` for a request that failed because the child has ended."""
        try:
            yield
        except OSError as error:
            status = None if isinstance(error, TimeoutError) else self._status()
            if status is None:
                raise
            raise FarmDied(status, self._last_lines()) from None

    def stop(self) -> None:
        """End the child and remove its files; a second call does nothing.

        :raises FarmDied: if it had already ended; its files are removed all the same.
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
                env={**os.environ, "TMPDIR": str(folder)},  # so that its files are removed even if it is killed
                start_new_session=True,     # so that a Ctrl-C reaches the parent only, which then stops the child
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
        """Return the exit status of the child; ``None`` if it still runs after a short wait."""
        try:
            return self._child.wait(_POLL_S)
        except subprocess.TimeoutExpired:
            return None

    def _last_lines(self) -> list[str]:
        return Path(self._folder.name, "log").read_text(errors="replace").splitlines()[-_LOG_LINES:]

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


class _ChildControl(SyncFarmControl):
    """A client of the child's control server that raises :class:`FarmDied` if the child has ended.

    :ivar guard: returns a context manager to send each request in.
    """

    def __init__(
        self, guard: Callable[[], AbstractContextManager[None]], base_url: str, token: str | None
    ) -> None:
        super().__init__(base_url, token)
        self.guard = guard

    def _send(self, request: Call[A]) -> A:
        with self.guard():
            return super()._send(request)


def run_farm(config: ConfigSource) -> RunningFarm:
    """Run a farm in a child process, for a ``with`` block; the control server gets a free port.

    :param config: a path, a dictionary or TOML text.  In a dictionary or text, instances without a port get free ones,
        and relative paths count from the working directory.
    :raises FarmDied: if the child does not start.
    """
    return RunningFarm(config=config)


def start_mock_server(disable_static_return: bool = False, port: int = 0) -> RunningFarm:
    """Run one mock ComfyUI server in a child process, for a ``with`` block; ``farm.url`` is its URL.

    :param disable_static_return: write a new file for every job, instead of always naming the same picture.
    :param port: 0 for any free one.
    :raises FarmDied: if the child does not start.
    """
    mode = ["--disable-static-return"] if disable_static_return else []
    return RunningFarm("--port", str(port), *mode)
