"""Farms inside a test: in memory on a clock that the test moves, or in the test's own reactor.

Users get them through the fixtures ``memory_farm`` and ``twisted_farm`` (docs/testing.md).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from twisted.internet.defer import ensureDeferred
from twisted.internet.testing import MemoryReactorClock

from farm.backend import Backend
from farm.child_config import ConfigSource, config_file
from farm.client import ComfyClient
from farm.clock import VirtualClock
from farm.config import FarmConfig, Overrides, load
from farm.memory_client import Listener, MemoryWire, Reply
from farm.ports import Bind, BoundPort, MemoryPort, TcpPort
from farm.service import Farm, make_farm

__all__ = ["MemoryFarm", "MemoryInstance", "TwistedFarm", "TwistedInstance", "as_config"]

_EPOCH_UNIX_MS = 1_700_000_000_000      # what clients' clocks say when a farm in memory starts


def as_config(config: ConfigSource | FarmConfig) -> FarmConfig:
    """Read a configuration from wherever a test has it: a path, a dictionary, TOML text.

    :raises ConfigError: where it does not describe a farm.
    """
    if isinstance(config, FarmConfig):
        return config
    with TemporaryDirectory() as folder:
        return load(config_file(config, Path(folder)), Overrides(control_port=0))


@dataclass(eq=False)
class MemoryInstance:
    """A client's hands on one instance in memory."""

    farm: MemoryFarm
    backend: Backend

    def ask(self, method: str, path: str, **options: Any) -> Reply:
        """Make one HTTP exchange, to its end; no time passes.

        :param options: ``json``, or ``data`` (bytes), and ``headers``.
        """
        reply = self.farm.wire.ask(self.backend.site, method, path, **options)
        self.farm.advance(0)
        return reply

    def listen(self, client_id: str) -> Listener:
        """Open a websocket."""
        listener = self.farm.wire.listen(self.backend.port.number, client_id)
        self.farm.advance(0)
        return listener


@dataclass(eq=False)
class MemoryFarm:
    """A farm without sockets, in time that the test moves: ``farm["gpu-1"].ask(...)``, ``farm.advance(5)``.

    :ivar clock: simulated time; sockets do not live in it.
    """

    farm: Farm
    clock: VirtualClock
    wire: MemoryWire

    @classmethod
    def start(cls, config: FarmConfig) -> MemoryFarm:
        """Start a farm; its seed is 0 unless the configuration names one."""
        clock, reactor = VirtualClock(), MemoryReactorClock()
        farm = make_farm(
            _with_seed(config), reactor=reactor, clock=clock, bind=_memory_ports(reactor), unix_ms=_EPOCH_UNIX_MS
        )
        farm.startService()
        return cls(farm, clock, MemoryWire(reactor))

    def stop(self) -> None:
        """Stop the farm, and remove what it wrote."""
        self.wire.close()
        stopping = ensureDeferred(self.farm.stopService())
        problems: list[Any] = []
        stopping.addErrback(problems.append)
        if problems:
            problems[0].raiseException()

    def __getitem__(self, name: str) -> MemoryInstance:
        """One instance.

        :raises KeyError: where the configuration names no such instance.
        """
        return MemoryInstance(self, self.farm.backends[name])

    def control(self, method: str, path: str, **options: Any) -> Reply:
        """Ask the control server."""
        return self.wire.ask(self.farm.control.site, method, path, **options)

    def advance(self, seconds: float) -> None:
        """Let simulated time pass, and everything arrive that is sent meanwhile."""
        self.clock.advance(seconds)
        self.wire.flush()


def _with_seed(config: FarmConfig) -> FarmConfig:
    if config.farm.seed is not None:
        return config
    return msgspec.structs.replace(config, farm=msgspec.structs.replace(config.farm, seed=0))


def _memory_ports(reactor: MemoryReactorClock) -> Bind:
    """Ports of a memory reactor; where any free one is asked for they count up."""
    free = iter(range(40_000, 65_536))

    def bind(host: str, port: int) -> BoundPort:  # noqa: ARG001 (the interface)
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
class TwistedFarm:
    """A farm in the test's own reactor, on real sockets: ``farm["gpu-1"].url``."""

    farm: Farm
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
        started = cls(farm)
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
        await self.farm.stopService()

    def __getitem__(self, name: str) -> TwistedInstance:
        """One instance.

        :raises KeyError: where the configuration names no such instance.
        """
        return self.instances[name]

    @property
    def urls(self) -> list[str]:
        """The base URL of each instance, in the order of the configuration."""
        return [instance.url for instance in self.instances.values()]

