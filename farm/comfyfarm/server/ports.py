"""Ports that are taken before anybody listens on them.

All ports of a farm are bound first, so that a taken one ends the farm before it has served anything, and so that
a number is known while an instance still boots.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.logger import Logger


class PortTaken(Exception):
    """A port that cannot be had.

    :ivar reason: the system's own words.
    """

    def __init__(self, port: int, reason: str) -> None:
        super().__init__(port, reason)
        self.port = port
        self.reason = reason


class BoundPort(Protocol):
    """A port that is ours."""

    @property
    def number(self) -> int:
        """The real one, also where any free port was asked for."""

    def listen(self, factory: IProtocolFactory) -> IListeningPort:
        """Accept connections from now on."""

    def close(self) -> None:
        """Give the port back, where nobody listened."""


Bind = Callable[[str, int], BoundPort]


@dataclass(eq=False)
class TcpPort:
    """A real port.

    :ivar number: the real one, which is known also when nobody listens any more.
    """

    reactor: Any
    number: int
    _socket: socket.socket = field(repr=False)

    @classmethod
    def binder(cls, reactor: Any) -> Bind:
        """How a farm on this reactor gets its ports."""
        return lambda host, port: cls.bind(reactor, host, port)

    @classmethod
    def bind(cls, reactor: Any, host: str, port: int) -> TcpPort:
        """Take a port; 0 for any free one.

        :raises PortTaken: where it cannot be had.
        """
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            taken = socket.socket(family, kind, protocol)
        except OSError as why:
            raise PortTaken(port, why.strerror or str(why)) from why
        try:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.setblocking(False)
            taken.bind(address)
        except OSError as why:
            taken.close()
            raise PortTaken(port, why.strerror or str(why)) from why
        return cls(reactor, int(taken.getsockname()[1]), taken)

    def listen(self, factory: IProtocolFactory) -> IListeningPort:
        """See :class:`BoundPort`."""
        self._socket.listen(1024)
        port: IListeningPort = self.reactor.adoptStreamPort(self._socket.fileno(), self._socket.family, factory)
        self._socket.close()    # the reactor has its own copy
        return port

    def close(self) -> None:
        """See :class:`BoundPort`."""
        self._socket.close()


@dataclass(eq=False)
class MemoryPort:
    """A port on Twisted's memory reactor, for tests."""

    reactor: Any
    number: int

    def listen(self, factory: IProtocolFactory) -> IListeningPort:
        """See :class:`BoundPort`."""
        # Twisted's memory reactor never forgets a port that was closed: clients would still find it there.
        servers = self.reactor.tcpServers
        servers[:] = [server for server in servers if server[0] != self.number]
        port: IListeningPort = self.reactor.listenTCP(self.number, factory)
        return port

    def close(self) -> None:
        """See :class:`BoundPort`."""


@dataclass(eq=False)
class ReopenablePort:
    """A port that is opened, closed and opened again, and stays ours: its number is the same all the time.

    Real ports are closed in a later turn of the reactor; who opens one again before that is listened for right then.

    :ivar bind: how the port is taken again.
    """

    host: str
    port: BoundPort
    bind: Bind
    logger = Logger()
    _listening: IListeningPort | None = field(default=None, init=False)
    _wanted: IProtocolFactory | None = field(default=None, init=False)
    _closing: bool = field(default=False, init=False)
    _is_lost: bool = field(default=False, init=False)
    _settling: list[Deferred[None]] = field(default_factory=list, init=False)

    @property
    def number(self) -> int:
        """The port's, whether anybody listens or not."""
        return self.port.number

    @property
    def is_open(self) -> bool:
        """Whether connections are accepted now."""
        return self._listening is not None

    @property
    def is_opening(self) -> bool:
        """Whether connections will be accepted as soon as the port has been closed."""
        return self._wanted is not None and self._listening is None

    def open(self, factory: IProtocolFactory) -> None:
        """Accept connections from now on, unless that is so."""
        if self._wanted is None:
            self._wanted = factory
            self._listen()

    def _listen(self) -> None:
        if self._wanted is not None and not self._closing and self._have_it():
            self._listening = self.port.listen(self._wanted)

    def _have_it(self) -> bool:
        """Take the port again where it has been closed; somebody else may have been quicker."""
        try:
            if self._is_lost:
                self.port, self._is_lost = self.bind(self.host, self.number), False
        except PortTaken as why:
            self.logger.warn("port {port} cannot be had again: {reason}", port=self.number, reason=why.reason)
        return not self._is_lost

    def close(self) -> None:
        """Refuse connections from now on; those that are open stay."""
        listening, self._listening, self._wanted = self._listening, None, None
        if listening is not None:
            self._closing = True
            maybeDeferred(listening.stopListening).addBoth(self._closed)     # a memory port answers None

    def _closed(self, _: object) -> None:
        self._closing, self._is_lost = False, True
        self.port.close()
        if self._have_it():
            self._listen()
        settling, self._settling = self._settling, []
        for each in settling:
            each.callback(None)

    def settled(self) -> Deferred[None]:
        """Wait until the port is as open or as closed as it was asked to be."""
        waiting: Deferred[None] = Deferred()
        if self._closing:
            self._settling.append(waiting)
        else:
            waiting.callback(None)
        return waiting

    async def give_up(self) -> None:
        """Close it for good: it is nobody's any more."""
        self.close()
        await self.settled()
        self.port.close()


def url(host: str, port: int) -> str:
    """Where a client on this machine finds a port."""
    if host in ("0.0.0.0", "::", ""):
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
