"""A farm without sockets, on a virtual clock that the test advances."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.testing import MemoryReactorClock

from comfyfarm.config import FarmConfig
from comfyfarm.control.app import FarmApp
from comfyfarm.server.backend import Backend
from comfyfarm.server.farm import make_farm
from comfyfarm.server.ports import Bind, BoundPort, MemoryPort
from comfyfarm.server.time.clock import EPOCH_UNIX_MS
from comfyfarm.testing.expectations import Expectation
from comfyfarm.testing.in_process import InProcessFarm, LiveFault, LiveGate, in_seconds
from comfyfarm.testing.listener import Listener
from comfyfarm.testing.memory_client import MemoryWire, Reply, result_of
from comfyfarm.testing.waiting import Within

F = TypeVar("F", bound=LiveFault)


@dataclass(eq=False, repr=False)
class MemoryInstance:
    """An instance in memory, as its clients see it."""

    farm: MemoryFarm
    backend: Backend

    def ask(self, method: str, path: str, **options: Any) -> Reply:
        """Send an HTTP request, and return the answer; no time passes.

        :param options: ``json`` or ``data`` (bytes), and ``headers``.
        :raises ConnectionRefusedError: if the instance is stopped.
        """
        self._check_port()
        reply = self.farm.wire.ask(self.backend.site, method, path, **options)
        self.farm.advance(0)
        return reply

    def listen(self, client_id: str) -> Listener:
        """Open a websocket.

        :raises ConnectionRefusedError: if the instance is stopped.
        """
        self._check_port()
        listener = self.farm.wire.listen(self.backend.port.number, client_id)
        self.farm.advance(0)
        return listener

    def _check_port(self) -> None:
        if not self.backend.port.is_open:
            raise ConnectionRefusedError(self.backend.url)


@dataclass(eq=False, repr=False)
class MemoryFarm(InProcessFarm[None]):
    """A farm without sockets, on a virtual clock: ``farm["gpu-1"].ask(...)``, ``farm.advance("5s")``."""

    wire: MemoryWire

    @classmethod
    def start(cls, config: FarmConfig) -> MemoryFarm:
        """Start a farm; its clock is virtual, and its seed is 0 unless the configuration has one."""
        reactor = MemoryReactorClock()
        ports = memory_ports(reactor)
        config = _for_memory(config)
        app = FarmApp(make_farm(config, reactor=reactor, clock=reactor, bind=ports, unix_ms=EPOCH_UNIX_MS))
        app.startService()
        farm = cls(app, MemoryWire(reactor))
        farm.advance(0)     # faults of the phase ``process`` that are due at once fire now
        return farm

    def stop(self) -> None:
        """Stop the farm and remove its files; a second call does nothing."""
        if not self.app.running:
            return
        self.wire.close()
        stopping = maybeDeferred(self.app.stopService)
        self.wire.reactor.advance(0)        # a connection that was aborted needs a turn of the reactor
        result_of(stopping)

    def __getitem__(self, name: str) -> MemoryInstance:
        return MemoryInstance(self, self.farm.backends[name])

    def control(self, method: str, path: str, **options: Any) -> Reply:
        """Send a request to the control server, with the options of :meth:`MemoryInstance.ask`; return the answer."""
        reply = self.wire.ask(self.app.server.site, method, path, **options)
        self.wire.flush()
        return reply

    def advance(self, duration: str | float) -> None:
        """Advance the clock (``"10s"``, or seconds); all that is sent until then is delivered."""
        result_of(Deferred.fromCoroutine(self.farm.clock_control.advance(in_seconds(duration))))
        self.wire.flush()

    def run_until_idle(self, limit: str | float = "24h") -> int:
        """Advance the clock until nothing is due, and return the simulated time in milliseconds.

        :raises TimeoutError: if something is still due after ``limit``.
        """
        is_idle = result_of(Deferred.fromCoroutine(self.farm.clock_control.run_until_idle(in_seconds(limit))))
        self.wire.flush()
        return self._idle_at(is_idle=is_idle)

    @contextmanager
    def fault(self, **table: Any) -> Iterator[LiveFault]:
        """Arm a fault inside a block: ``with farm.fault(do="reset", at="reply", on="gpu-1") as fault:``.

        It is written as ``[[fault]]`` of a configuration.  If it fires at once, it has fired when the block begins; at
        the end of the block it is removed, and what it holds continues.

        :raises ConfigError: if it is no fault, or cannot fire at that phase.
        :raises UnknownFault: if its glob matches no instance, or its id is taken.
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
        """Remove all faults, open all gates, and start or resume every instance."""
        self.farm.fault_controller.heal()
        self.advance(0)

    def _expect(self, expectation: Expectation, within: Within) -> None:
        __tracebackhide__ = True
        for step in self._steps(expectation, within, self.wire.reactor.seconds):
            if step.advance_ms:
                self.advance(step.advance_ms / 1000)
            else:
                self.wire.reactor.advance(step.pause_s)
                self.wire.flush()


def _for_memory(config: FarmConfig) -> FarmConfig:
    settings = msgspec.structs.replace(config.farm, clock="virtual", speed=1.0, seed=config.farm.seed or 0)
    return msgspec.structs.replace(config, farm=settings)


def memory_ports(reactor: MemoryReactorClock) -> Bind:
    """Return a function that opens ports on a memory reactor; port 0 gives the next free number from 40000 on."""
    free = iter(range(40_000, 65_536))

    def bind(host: str, port: int) -> BoundPort:
        return MemoryPort(reactor, port or next(free))

    return bind


def check_config(config: FarmConfig) -> None:
    """Check that a farm can be made from a configuration, without starting one.

    :raises ConfigError: if a picture or a captured file cannot be read, or a name is unknown.
    """
    reactor = MemoryReactorClock()
    make_farm(config, reactor=reactor, clock=reactor, bind=memory_ports(reactor), unix_ms=EPOCH_UNIX_MS)
