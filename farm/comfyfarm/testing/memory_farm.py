"""A farm without sockets, in time that the test moves."""

from __future__ import annotations

from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from comfyfarm.config import FarmConfig
from comfyfarm.control.app import FarmApp, make_app
from comfyfarm.server.backend import Backend
from comfyfarm.server.ports import Bind, BoundPort, MemoryPort
from comfyfarm.server.time.clock import EPOCH_UNIX_MS
from comfyfarm.testing.assertions import AdvanceClock, Assertions, Within, held
from comfyfarm.testing.claims import Expectation
from comfyfarm.testing.in_process import InProcessFarm, LiveFault, LiveGate, in_seconds
from comfyfarm.testing.memory_client import Listener, MemoryWire, Reply

T = TypeVar("T")
F = TypeVar("F", bound=LiveFault)


@dataclass(eq=False)
class MemoryInstance:
    """A client's hands on one instance in memory."""

    farm: MemoryFarm
    backend: Backend

    def ask(self, method: str, path: str, **options: Any) -> Reply:
        """Make one HTTP exchange, to its end; no time passes.

        :param options: ``json``, or ``data`` (bytes), and ``headers``.
        :raises ConnectionRefusedError: where the instance is stopped.
        """
        self._must_listen()
        reply = self.farm.wire.ask(self.backend.site, method, path, **options)
        self.farm.advance(0)
        return reply

    def listen(self, client_id: str) -> Listener:
        """Open a websocket.

        :raises ConnectionRefusedError: where the instance is stopped.
        """
        self._must_listen()
        listener = self.farm.wire.listen(self.backend.port.number, client_id)
        self.farm.advance(0)
        return listener

    def _must_listen(self) -> None:
        if not self.backend.port.is_open:
            raise ConnectionRefusedError(self.backend.url)


@dataclass(eq=False)
class MemoryFarm(InProcessFarm, Assertions[None]):
    """A farm without sockets, in time that the test moves: ``farm["gpu-1"].ask(...)``, ``farm.advance("5s")``."""

    app: FarmApp
    wire: MemoryWire

    @classmethod
    def start(cls, config: FarmConfig) -> MemoryFarm:
        """Start a farm; its clock is virtual, and its seed is 0 unless the configuration names one."""
        reactor = MemoryReactorClock()
        ports = memory_ports(reactor)
        app = make_app(_for_memory(config), reactor=reactor, clock=reactor, bind=ports, unix_ms=EPOCH_UNIX_MS)
        app.startService()
        started = cls(app, MemoryWire(reactor))
        started.advance(0)      # what befalls a process at once has done so
        return started

    def stop(self) -> None:
        """Stop the farm, and remove what it wrote.  Once is enough; a second call does nothing."""
        if not self.app.running:
            return
        self.wire.close()
        stopping = maybeDeferred(self.app.stopService)
        ended: list[Any] = []
        stopping.addBoth(ended.append)
        self.wire.reactor.advance(0)        # a connection that is cut off needs a turn of the reactor
        assert ended, "nothing else takes time"
        if isinstance(ended[0], Failure):
            ended[0].raiseException()

    def __getitem__(self, name: str) -> MemoryInstance:
        """One instance.

        :raises KeyError: where the configuration names no such instance.
        """
        return MemoryInstance(self, self.farm.backends[name])

    def control(self, method: str, path: str, **options: Any) -> Reply:
        """Ask the control server."""
        reply = self.wire.ask(self.app.server.site, method, path, **options)
        self.wire.flush()
        return reply

    def advance(self, duration: str | float) -> None:
        """Let simulated time pass (``"10s"``, or seconds), and everything arrive that is sent meanwhile."""
        self._now(self.farm.clock_control.advance(in_seconds(duration)))
        self.wire.flush()

    def run_until_idle(self, limit: str | float = "24h") -> int:
        """Let simulated time pass until nothing is due any more, and give the moment then, in milliseconds.

        :raises TimeoutError: where something is due even after ``limit``.
        """
        is_idle = self._now(self.farm.clock_control.run_until_idle(in_seconds(limit)))
        self.wire.flush()
        return self._idle_at(is_idle=is_idle)

    @contextmanager
    def fault(self, **table: Any) -> Iterator[LiveFault]:
        """Arm a fault inside a block: ``with farm.fault(do="reset", at="reply", on="gpu-1") as fault:``.

        Written as ``[[fault]]`` of a configuration.  What it does at once is done when the block begins; it is taken
        off at the end, so that what it holds goes on.

        :raises ConfigError: where it is no fault, or cannot happen there.
        :raises UnknownFault: where its glob means no instance, or its id is taken.
        """
        with self._removing(LiveFault.arm(self.farm.fault_controller, table)) as fault:
            yield fault

    @contextmanager
    def hold(self, **table: Any) -> Iterator[LiveGate]:
        """Close a gate inside a block: ``with farm.hold(on="gpu-1", at="history") as gate:``; ``gate.release()``."""
        with self._removing(LiveGate.arm(self.farm.fault_controller, {"do": "hold", **table})) as gate:
            yield gate

    @contextmanager
    def _removing(self, fault: F) -> Iterator[F]:
        self.advance(0)
        try:
            yield fault
        finally:
            if self.farm.running:
                fault.remove()
                self.advance(0)

    def heal(self) -> None:
        """Take all faults off, open all gates, have every instance up and at work."""
        self.farm.fault_controller.heal()
        self.advance(0)

    def _hold(self, claim: Expectation, within: Within) -> None:
        __tracebackhide__ = True
        for step in held(claim, self.evidence, within, self.wire.reactor.seconds):
            if isinstance(step, AdvanceClock):
                self.advance(step.by_ms / 1000)
            else:
                self.wire.reactor.advance(step.for_s)
                self.wire.flush()

    @staticmethod
    def _now(moving: Coroutine[Any, Any, T]) -> T:
        """What comes of something that needs no real time."""
        results: list[Any] = []
        Deferred.fromCoroutine(moving).addBoth(results.append)
        assert results, "in memory nothing waits"
        if isinstance(results[0], Failure):
            results[0].raiseException()
        result: T = results[0]
        return result


def _for_memory(config: FarmConfig) -> FarmConfig:
    settings = msgspec.structs.replace(config.farm, clock="virtual", speed=1.0, seed=config.farm.seed or 0)
    return msgspec.structs.replace(config, farm=settings)


def memory_ports(reactor: MemoryReactorClock) -> Bind:
    """Ports of a memory reactor; where any free one is asked for they count up."""
    free = iter(range(40_000, 65_536))

    def bind(host: str, port: int) -> BoundPort:
        return MemoryPort(reactor, port or next(free))

    return bind
