"""Ports that are taken before anybody listens on them.

All ports of a farm are bound first, so that a taken one ends the farm before it has served anything, and so that
a number is known while an instance still boots.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from twisted.internet.interfaces import IListeningPort, IProtocolFactory

__all__ = ["Bind", "BoundPort", "MemoryPort", "PortTaken", "TcpPort", "url"]


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


def url(host: str, port: int) -> str:
    """Where a client on this machine finds a port."""
    if host in ("0.0.0.0", "::", ""):
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
