"""Farms inside a test: in memory on a clock that the test moves, or in the test's own reactor.

Users get them through the fixtures ``memory_farm`` and ``twisted_farm`` (docs/testing.md).
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import msgspec
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from farm.backend import Backend
from farm.child_config import ConfigSource, config_file
from farm.client import ComfyClient
from farm.clock import EPOCH_UNIX_MS
from farm.config import FarmConfig, Overrides, load
from farm.control_client import FarmControl
from farm.evidence.assertions import BREATH_S, Assertions, Move, Within, held
from farm.evidence.claims import Claim
from farm.evidence.live import LiveEvidence
from farm.judged import JudgedHere
from farm.live_faults import LiveFault, LiveGate
from farm.memory_client import Listener, MemoryWire, Reply
from farm.ports import Bind, BoundPort, MemoryPort, TcpPort
from farm.service import Farm, make_farm
from farm.sim.units import Duration

__all__ = ["MemoryFarm", "MemoryInstance", "TwistedFarm", "TwistedInstance", "as_config", "check_config"]

T = TypeVar("T")
F = TypeVar("F", bound=LiveFault)


def as_config(config: ConfigSource | FarmConfig) -> FarmConfig:
    """Read a configuration from wherever a test has it: a path, a dictionary, TOML text.

    :raises ConfigError: where it does not describe a farm.
    """
    if isinstance(config, FarmConfig):
        return config
    with TemporaryDirectory() as folder:
        return load(config_file(config, Path(folder)), Overrides(control_port=0))


def check_config(config: FarmConfig) -> None:
    """Look whether a farm could be made of a configuration; none is started.

    :raises ConfigError: where a picture or a captured file cannot be read, or a name means nothing.
    """
    reactor = MemoryReactorClock()
    make_farm(config, reactor=reactor, clock=reactor, bind=_memory_ports(reactor), unix_ms=EPOCH_UNIX_MS)


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
class MemoryFarm(JudgedHere, Assertions[None]):
    """A farm without sockets, in time that the test moves: ``farm["gpu-1"].ask(...)``, ``farm.advance("5s")``."""

    farm: Farm
    wire: MemoryWire

    @classmethod
    def start(cls, config: FarmConfig) -> MemoryFarm:
        """Start a farm; its clock is virtual, and its seed is 0 unless the configuration names one."""
        reactor = MemoryReactorClock()
        ports = _memory_ports(reactor)
        farm = make_farm(_for_memory(config), reactor=reactor, clock=reactor, bind=ports, unix_ms=EPOCH_UNIX_MS)
        farm.startService()
        started = cls(farm, MemoryWire(reactor))
        started.advance(0)      # what befalls a process at once has done so
        return started

    def stop(self) -> None:
        """Stop the farm, and remove what it wrote.  Once is enough; a second call does nothing."""
        if not self.farm.running:
            return
        self.wire.close()
        stopping = ensureDeferred(self.farm.stopService())
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
        reply = self.wire.ask(self.farm.control.site, method, path, **options)
        self.wire.flush()
        return reply

    def advance(self, duration: str | float) -> None:
        """Let simulated time pass (``"10s"``, or seconds), and everything arrive that is sent meanwhile."""
        self._now(self.farm.keeper.advance(_in_seconds(duration)))
        self.wire.flush()

    def run_until_idle(self, limit: str | float = "24h") -> int:
        """Let simulated time pass until nothing is due any more, and give the moment then, in milliseconds.

        :raises TimeoutError: where something is due even after ``limit``.
        """
        is_idle = self._now(self.farm.keeper.run_until_idle(_in_seconds(limit)))
        self.wire.flush()
        return _idle_at(self.farm, is_idle=is_idle)

    @contextmanager
    def fault(self, **table: Any) -> Iterator[LiveFault]:
        """Arm a fault inside a block: ``with farm.fault(do="reset", at="reply", on="gpu-1") as fault:``.

        Written as ``[[fault]]`` of a configuration.  What it does at once is done when the block begins; it is taken
        off at the end, so that what it holds goes on.

        :raises ConfigError: where it is no fault, or cannot happen there.
        :raises UnknownFault: where its glob means no instance, or its id is taken.
        """
        with self._removing(LiveFault.arm(self.farm.nemesis, table)) as fault:
            yield fault

    @contextmanager
    def hold(self, **table: Any) -> Iterator[LiveGate]:
        """Close a gate inside a block: ``with farm.hold(on="gpu-1", at="history") as gate:``; ``gate.release()``."""
        with self._removing(LiveGate.arm(self.farm.nemesis, {"do": "hold", **table})) as gate:
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
        self.farm.nemesis.heal()
        self.advance(0)

    @property
    def evidence(self) -> LiveEvidence:
        """What the farm knows of itself and of who used it."""
        return LiveEvidence(self.farm)

    def _hold(self, claim: Claim, within: Within) -> None:
        __tracebackhide__ = True
        for step in held(claim, self.evidence, within, self.wire.reactor.seconds):
            if isinstance(step, Move):
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


def _in_seconds(duration: str | float) -> float:
    return Duration.parse(duration) / 1000 if isinstance(duration, str) else duration


def _idle_at(farm: Farm, *, is_idle: bool) -> int:
    now_ms = farm.time.now_ms()
    if not is_idle:
        raise TimeoutError(f"the farm is not idle at {now_ms} ms; the next thing is due at {farm.keeper.next_ms} ms")
    return now_ms


def _for_memory(config: FarmConfig) -> FarmConfig:
    settings = msgspec.structs.replace(config.farm, clock="virtual", speed=1.0, seed=config.farm.seed or 0)
    return msgspec.structs.replace(config, farm=settings)


def _memory_ports(reactor: MemoryReactorClock) -> Bind:
    """Ports of a memory reactor; where any free one is asked for they count up."""
    free = iter(range(40_000, 65_536))

    def bind(host: str, port: int) -> BoundPort:
        return MemoryPort(reactor, port or next(free))

    return bind


@dataclass(eq=False)
class TwistedInstance:
    """One instance in this reactor.

    :ivar client: for tests that ask it themselves.
    """

    name: str
    url: str
    backend: Backend
    client: ComfyClient


@dataclass(eq=False)
class TwistedFarm(JudgedHere, Assertions[Coroutine[Any, Any, None]]):
    """A farm in the test's own reactor, on real sockets: ``farm["gpu-1"].url``.

    :ivar control: the client of its control server.
    """

    farm: Farm
    control: FarmControl
    instances: dict[str, TwistedInstance] = field(default_factory=dict)

    @classmethod
    async def start(cls, reactor: Any, config: FarmConfig) -> TwistedFarm:
        """Start a farm.

        :raises CannotStart: where a port is taken.
        """
        farm = make_farm(
            config, reactor=reactor, clock=reactor, bind=TcpPort.binder(reactor), unix_ms=int(time.time() * 1000)
        )
        farm.startService()
        started = cls(farm, FarmControl(farm.control.url, reactor=reactor))
        for name, backend in farm.backends.items():
            client = ComfyClient(backend.url, reactor=reactor)
            started.instances[name] = TwistedInstance(name, backend.url, backend, client)
        return started

    async def stop(self) -> None:
        """Stop the farm; no connection and no file is left.  Once is enough."""
        if not self.farm.running:
            return
        for instance in self.instances.values():
            await instance.client.close()
        await self.control.close()
        await self.farm.stopService()

    def __getitem__(self, name: str) -> TwistedInstance:
        """One instance.

        :raises KeyError: where the configuration names no such instance.
        """
        return self.instances[name]

    async def advance(self, duration: str | float) -> int:
        """Let so much simulated time pass (``"10s"``, or seconds), and give the moment then, in milliseconds.

        :raises WrongClock: unless the configuration says ``[farm] clock = "virtual"``.
        """
        await self.farm.keeper.advance(_in_seconds(duration))
        return self.farm.time.now_ms()

    async def run_until_idle(self, limit: str | float = "24h") -> int:
        """Let simulated time pass until nothing is due any more, and give the moment then, in milliseconds.

        :raises TimeoutError: where something is due even after ``limit``.
        :raises WrongClock: unless the configuration says ``[farm] clock = "virtual"``.
        """
        return _idle_at(self.farm, is_idle=await self.farm.keeper.run_until_idle(_in_seconds(limit)))

    @asynccontextmanager
    async def fault(self, **table: Any) -> AsyncIterator[LiveFault]:
        """Arm a fault inside a block: ``async with farm.fault(do="reset", at="reply", on="gpu-1") as fault:``.

        Written as ``[[fault]]`` of a configuration; taken off at the end, so that what it holds goes on.

        :raises ConfigError: where it is no fault, or cannot happen there.
        :raises UnknownFault: where its glob means no instance, or its id is taken.
        """
        async with self._removing(LiveFault.arm(self.farm.nemesis, table)) as fault:
            yield fault

    @asynccontextmanager
    async def hold(self, **table: Any) -> AsyncIterator[LiveGate]:
        """Close a gate inside a block: ``async with farm.hold(on="gpu-1", at="history") as gate:``."""
        async with self._removing(LiveGate.arm(self.farm.nemesis, {"do": "hold", **table})) as gate:
            yield gate

    @asynccontextmanager
    async def _removing(self, fault: F) -> AsyncIterator[F]:
        try:
            yield fault
        finally:
            if self.farm.running:
                fault.remove()
                await self._settled()

    async def heal(self) -> None:
        """Take all faults off, open all gates, have every instance up and at work."""
        self.farm.nemesis.heal()
        await self._settled()

    @property
    def evidence(self) -> LiveEvidence:
        """What the farm knows of itself and of who used it."""
        return LiveEvidence(self.farm)

    async def _hold(self, claim: Claim, within: Within) -> None:
        __tracebackhide__ = True
        reactor = self.farm.reactor
        for step in held(claim, self.evidence, within, reactor.seconds):
            if isinstance(step, Move):
                await self.advance(step.by_ms / 1000)
            await deferLater(reactor, BREATH_S if isinstance(step, Move) else step.for_s)

    async def _settled(self) -> None:
        for instance in self.instances.values():
            await instance.backend.port.settled()

    @property
    def urls(self) -> list[str]:
        """The base URL of each instance, in the order of the configuration."""
        return [instance.url for instance in self.instances.values()]

    @property
    def clock(self) -> IReactorTime:
        """What simulated time is read from: software that waits on it, too, has one time with a virtual farm."""
        return self.farm.keeper.clock
