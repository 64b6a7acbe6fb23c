"""Ports that are bound before they listen.

All ports of a farm are bound first, so that a farm with a port that is taken ends before it has served anything, and so
that the number of a port is known while its instance boots.
"""

import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IListeningPort, IProtocolFactory, IReactorTime
from twisted.logger import Logger

_logger = Logger()     # not in the class: Twisted keeps recent log events, and with them the objects that logged


RETRY_S = 1.0       # until a port that another program has is tried again


class PortTaken(Exception):
    """A port cannot be bound.

    :ivar reason: the system's error text.
    """

    def __init__(self, port: int, reason: str) -> None:
        super().__init__(port, reason)
        self.port = port
        self.reason = reason


class BoundPort(Protocol):
    """A port that is bound."""

    @property
    def number(self) -> int:
        """The port's number; never 0, also if any free port was requested."""

    def listen(self, factory: IProtocolFactory) -> IListeningPort:
        """Accept connections from now on."""

    def close(self) -> None:
        """Give the port back, if it does not listen."""


Bind = Callable[[str, int], BoundPort]


@dataclass(eq=False)
class TcpPort:
    """A port of the operating system."""

    reactor: Any
    number: int
    _socket: socket.socket = field(repr=False)

    @classmethod
    def binder(cls, reactor: Any) -> Bind:
        """Return a function that binds ports for a farm on this reactor."""
        return lambda host, port: cls.bind(reactor, host, port)

    @classmethod
    def bind(cls, reactor: Any, host: str, port: int) -> Self:
        """Bind a port; 0 for any free one.

        :raises PortTaken: if it cannot be bound.
        """
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            bound = socket.socket(family, kind, protocol)
        except OSError as error:
            raise PortTaken(port, error.strerror or str(error)) from error
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.setblocking(False)
            bound.bind(address)
        except OSError as error:
            bound.close()
            raise PortTaken(port, error.strerror or str(error)) from error
        return cls(reactor, int(bound.getsockname()[1]), bound)

    def listen(self, factory: IProtocolFactory) -> IListeningPort:
        self._socket.listen(1024)
        port: IListeningPort = self.reactor.adoptStreamPort(self._socket.fileno(), self._socket.family, factory)
        self._socket.close()    # the reactor has its own copy
        return port

    def close(self) -> None:
        self._socket.close()


@dataclass(eq=False)
class MemoryPort:
    """A port on Twisted's memory reactor, for tests."""

    reactor: Any
    number: int

    def listen(self, factory: IProtocolFactory) -> IListeningPort:
        # Twisted's memory reactor never forgets a port that was closed: clients would still find it there.
        servers = self.reactor.tcpServers
        servers[:] = [server for server in servers if server[0] != self.number]
        port: IListeningPort = self.reactor.listenTCP(self.number, factory)
        return port

    def close(self) -> None:
        pass


@dataclass(eq=False)
class ReopenablePort:
    """A port that can be opened and closed again and again, and keeps its number.

    A real port is closed in a later turn of the reactor.  If it is opened again before that, it listens right then.
    After it was closed it is bound again at once, so that its number stays reserved.  If another program was quicker,
    it is tried again each second while it shall be open.

    :ivar port: the port as it is bound now.
    :ivar bind: binds it again.
    :ivar clock: real time.
    :ivar error: why it cannot be bound, while it shall be open; else ``None``.
    """

    host: str
    port: BoundPort
    bind: Bind
    clock: IReactorTime
    error: str | None = field(default=None, init=False)
    _on_open: Callable[[], None] | None = field(default=None, init=False)     # while it shall be open and is not
    _retry: IDelayedCall | None = field(default=None, init=False)
    _listening: IListeningPort | None = field(default=None, init=False)
    _factory: IProtocolFactory | None = field(default=None, init=False)     # None while it shall be closed
    _is_closing: bool = field(default=False, init=False)
    _is_unbound: bool = field(default=False, init=False)
    _waiting: list[Deferred[None]] = field(default_factory=list, init=False)

    @property
    def number(self) -> int:
        return self.port.number

    @property
    def is_open(self) -> bool:
        """True if connections are accepted now."""
        return self._listening is not None

    @property
    def is_opening(self) -> bool:
        """True if connections will be accepted as soon as the port has been closed."""
        return self._factory is not None and self._listening is None

    def open(self, factory: IProtocolFactory, on_open: Callable[[], None] = lambda: None) -> None:
        """Accept connections from now on; does nothing if the port is open.

        :param on_open: called at once, unless another program has the port; then as soon as it is free.
        """
        if self._factory is None:
            self._factory, self._on_open = factory, on_open
            if self._is_closing:
                self._opened()
            else:
                self._listen()

    def _opened(self) -> None:
        on_open, self._on_open = self._on_open, None
        if on_open is not None:
            on_open()

    def _listen(self) -> None:
        self._retry = None
        if self._factory is None or self._is_closing:
            return
        if self._rebind():
            self._listening = self.port.listen(self._factory)
            if self.error is not None:
                self.error = None
                _logger.info("port {port} is open again", port=self.number)
            self._opened()
        else:
            self._retry = self.clock.callLater(RETRY_S, self._listen)

    def _rebind(self) -> bool:
        """Bind the port again if it was closed; return False if another program has taken it."""
        try:
            if self._is_unbound:
                self.port, self._is_unbound = self.bind(self.host, self.number), False
        except PortTaken as error:
            if self.error is None:
                _logger.warn("port {port} cannot be had again: {reason}", port=self.number, reason=error.reason)
            if self._factory is not None:
                self.error = f"port {self.number} cannot be had again: {error.reason}"
        return not self._is_unbound

    def close(self) -> None:
        """Refuse connections from now on; those that are open stay."""
        listening, self._listening, self._factory = self._listening, None, None
        retry, self._retry, self._on_open, self.error = self._retry, None, None, None
        if retry is not None:
            retry.cancel()
        if listening is not None:
            self._is_closing = True
            maybeDeferred(listening.stopListening).addBoth(self._closed)     # a memory port returns None

    def _closed(self, _: object) -> None:
        self._is_closing, self._is_unbound = False, True
        self.port.close()
        if self._factory is None:
            self._rebind()
        else:
            self._listen()
        waiting, self._waiting = self._waiting, []
        for deferred in waiting:
            deferred.callback(None)

    def settled(self) -> Deferred[None]:
        """Wait until the port is as open or as closed as the last call has left it."""
        deferred: Deferred[None] = Deferred()
        if self._is_closing:
            self._waiting.append(deferred)
        else:
            deferred.callback(None)
        return deferred

    async def give_up(self) -> None:
        """Close the port for good, so that other programs can bind it."""
        self.close()
        await self.settled()
        self.port.close()


def url(host: str, port: int) -> str:
    """Return the URL of a port for clients on this machine."""
    if host in ("0.0.0.0", "::", ""):
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
