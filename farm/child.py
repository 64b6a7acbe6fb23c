"""How does a farm run beside a program that is not Twisted's?

In a child process, on free ports.  Without pytest::

    with start_mock_server(disable_static_return=True) as farm:
        subprocess.run(["my-app", "--backend", farm.url])

The fixtures of :mod:`farm.pytest_plugin` stand on the same functions.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any, Literal, Self

from farm.child_config import ConfigSource, config_file
from farm.control_client import SyncFarmControl
from farm.evidence.assertions import BREATH_S, Assertions, Move, Within, held
from farm.evidence.claims import Claim
from farm.evidence.remote import RemoteEvidence
from farm.ledger.journal import Journal
from farm.ledger.placement.placed import Placement
from farm.ledger.verdict import Verdict
from farm.remote_faults import RemoteFault, RemoteGate
from farm.sim.stamp import Stamp

__all__ = ["ConfigSource", "FarmDied", "RunningFarm", "ServedInstance", "run_farm", "start_mock_server"]

_READY_WITHIN_S = 20.0
_STOPPED_WITHIN_S = 5.0
_POLL_S = 0.02
_LINES = 20

# The child imports what its parent would, wherever each of them found the farm.
_CHILD = """
import json, sys
folder, sys.path[:] = json.loads(sys.argv.pop(1))
from farm.child_main import main
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


class RunningFarm(Assertions[None]):
    """A farm in a child process: ``farm["gpu-1"].url``.

    Made by :func:`run_farm` and :func:`start_mock_server`.

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
        self._stopped = False
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

    def reset(self, name: str | None = None, *, files: bool = False) -> None:
        """Empty queue, history, cache and uploads of one instance, or of all.

        Output files and the numbers in their names go on, unless ``files``.

        :raises FarmDied: where the child has ended.
        """
        with self._alive():
            self.control.reset(name, files=files)

    def advance(self, duration: str | float) -> int:
        """Let so much simulated time pass (``"10s"``, or seconds), and give the moment then, in milliseconds.

        The configuration says ``[farm] clock = "virtual"``; all that was due has happened when this returns.

        :raises Refused: where the clock is real.
        :raises FarmDied: where the child has ended.
        """
        with self._alive():
            return self.control.advance(duration).at_ms

    def run_until_idle(self, limit: str | float | None = None) -> int:
        """Let simulated time pass until nothing is due any more, and give the moment then, in milliseconds.

        :param limit: but not longer than this; a day where it is not given.
        :raises TimeoutError: where something is due even then.
        :raises Refused: where the clock is real.
        :raises FarmDied: where the child has ended.
        """
        with self._alive():
            state = self.control.run_until_idle(limit)
        if state.next_ms is not None:
            raise TimeoutError(f"the farm is not idle at {state.at_ms} ms; the next thing is due at {state.next_ms} ms")
        return state.at_ms

    @contextmanager
    def fault(self, **table: Any) -> Iterator[RemoteFault]:
        """Arm a fault inside a block: ``with farm.fault(do="reset", at="reply", on="gpu-1") as fault:``.

        Written as ``[[fault]]`` of a configuration; taken off at the end, so that what it holds goes on.

        :raises Refused: where it is no fault, or cannot happen there.
        :raises FarmDied: where the child has ended.
        """
        with self._alive():
            fault = RemoteFault(self.control, self.control.arm(**table).id)
        with self._removing(fault):
            yield fault

    @contextmanager
    def hold(self, **table: Any) -> Iterator[RemoteGate]:
        """Close a gate inside a block: ``with farm.hold(on="gpu-1", at="history") as gate:``; ``gate.release()``.

        :raises Refused: where nothing can be held there.
        :raises FarmDied: where the child has ended.
        """
        with self._alive():
            gate = RemoteGate(self.control, self.control.hold(**table).id)
        with self._removing(gate):
            yield gate

    @contextmanager
    def _removing(self, fault: RemoteFault) -> Iterator[None]:
        try:
            yield
        finally:
            if not self._stopped:
                with self._alive():
                    fault.remove()

    def heal(self) -> None:
        """Take all faults off, open all gates, have every instance up and at work.

        :raises FarmDied: where the child has ended.
        """
        with self._alive():
            self.control.heal()

    def verdict(self, **bounds: Any) -> Verdict:
        """What the log proves about the system under test by now: ``farm.verdict(reaction="5s").findings``.

        :param bounds: others than the usual ones (docs/verdict.md); a number for a duration is seconds.
        :raises Refused: where there is no such bound.
        :raises FarmDied: where the child has ended.
        """
        with self._alive():
            return self.control.verdict(**bounds)

    def placement(self, **terms: Any) -> Placement:
        """How well its work was placed by now: ``farm.placement().herding.longest``.

        :param terms: others than the usual ones (docs/placement.md); a number for a duration is seconds.
        :raises Refused: where there is no such term.
        :raises FarmDied: where the child has ended.
        """
        with self._alive():
            return self.control.placement(**terms)

    def delivered(self, job: str, *, picture: bytes | None = None, **facts: Any) -> Stamp | None:
        """Say that the system under test has handed a result to its user; gives whose the picture is by its own stamp.

        :param job: the logical job that the user asked for.
        :param picture: its bytes; ``None`` comes back where it bears no stamp.
        :param facts: ``prompt_id``, ``instance``, ``file``, as far as they are known; ``stamp`` instead of the picture.
        :raises Refused: where the stamp is none, or there is no such instance.
        :raises FarmDied: where the child has ended.
        """
        with self._alive():
            return self.control.delivered(job, picture=picture, **facts).stamp

    @property
    def log(self) -> Journal:
        """What came, what was sent and what happened until now: ``farm.log.requests(route="/prompt")``.

        :raises FarmDied: where the child has ended.
        """
        with self._alive():
            return Journal(self.control.events())

    @property
    def evidence(self) -> RemoteEvidence:
        """What the farm knows of itself and of who used it."""
        return RemoteEvidence(self.control)

    def _hold(self, claim: Claim, within: Within) -> None:
        __tracebackhide__ = True
        with self._alive():
            for step in held(claim, self.evidence, within, time.monotonic):
                if isinstance(step, Move):
                    self.control.advance(step.by_ms / 1000)
                time.sleep(BREATH_S if isinstance(step, Move) else step.for_s)

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


def run_farm(config: ConfigSource) -> RunningFarm:
    """Run the farm that a file, a dictionary or TOML text describes.

    The farm is its own context manager: ``with run_farm("farm.toml") as farm:``.
    See :func:`farm.child_config.config_file` for ports and relative paths; the control server gets any free port.

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
