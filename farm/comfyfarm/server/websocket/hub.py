"""Who listens at ``/ws``, and under which id (docs/fidelity.md, "Websocket")."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from random import Random
from typing import Any

from twisted.python.failure import Failure
from twisted.web.server import Request
from twisted.web.websocket import WebSocketTransport

from comfyfarm.seeds import new_uuid
from comfyfarm.server.http.request import query
from comfyfarm.server.websocket.connection import SocketWriter, limit_messages


@dataclass(eq=False)
class Socket:
    """One connection to ``/ws``.

    :ivar client_id: the id it was opened under; never empty.
    :ivar flags: the feature flags that the client announced.
    :ivar is_displaced: the hub has forgotten it, although it is open.
    """

    client_id: str
    hub: Hub = field(repr=False)
    flags: dict[str, Any] = field(default_factory=dict)
    line: SocketWriter = field(init=False, repr=False)
    is_displaced: bool = False
    _greeted: bool = False

    def negotiationStarted(self, transport: WebSocketTransport) -> None:
        """Keep the transport; writing has to wait until the handshake is over."""
        self._transport = transport
        limit_messages(transport)

    def negotiationFinished(self) -> None:
        """Listen from now on."""
        self.line = SocketWriter(self._transport)
        self.hub.opened(self)

    def textMessageReceived(self, message: str) -> None:
        """Hear the client's feature flags, if they are the first that it says."""
        said = _read(message)
        if said is None or self._greeted:
            return
        self._greeted = True
        if said.get("type") == "feature_flags":
            flags = said.get("data", {})
            self.flags = flags if isinstance(flags, dict) else {}
            self.send("feature_flags", self.hub.server_flags)

    def bytesMessageReceived(self, data: bytes | bytearray) -> None:
        """ComfyUI does not mind what a client says in bytes."""

    def pongReceived(self, payload: bytes) -> None:
        """Nothing waits for it."""

    def connectionLost(self, reason: Failure) -> None:
        """Be forgotten."""
        self.hub.closed(self)

    def send(self, kind: str, data: object) -> None:
        """Tell this socket alone."""
        self.hub.send(self, kind, data)


def _read(message: str) -> dict[str, Any] | None:
    """What a client said, where it is an object of JSON."""
    try:
        said = json.loads(message)
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None


@dataclass(eq=False)
class Hub:
    """The sockets of one instance.

    :ivar sids: where the ids of nameless clients come from.
    :ivar server_flags: what the instance announces.
    :ivar on_open: called with each socket as it opens, before anything else is sent to it.
    :ivar on_close: called with each socket when it is gone.
    :ivar send: tells one socket alone something, of a type and with data.
    """

    sids: Random
    server_flags: dict[str, Any]
    on_open: Callable[[Socket], None]
    on_close: Callable[[Socket], None]
    send: Callable[[Socket, str, object], None]
    _sockets: dict[str, Socket] = field(default_factory=dict)

    def buildProtocol(self, request: Request) -> Socket:
        """Make the protocol of one connection."""
        return Socket(query(request).get("clientId") or new_uuid(self.sids).hex, self)

    def opened(self, socket: Socket) -> None:
        """Take a socket in; an older one of the same id stays open but hears nothing more.

        It is taken in last: what was due until now, and is said while it is greeted, is not for it.
        """
        self.on_open(socket)
        self._sockets[socket.client_id] = socket
        if socket.is_displaced:
            self.displace(socket)

    def closed(self, socket: Socket) -> None:
        """Forget a socket, and whichever else listens under its id.

        ComfyUI forgets the id without looking at whose it is by now, so that a client which reconnected quickly
        goes deaf (docs/fidelity.md, "Upstream bugs").
        """
        self._sockets.pop(socket.client_id, None)
        self.on_close(socket)

    def displace(self, socket: Socket) -> None:
        """Forget a socket that stays open, as if an older one of its id had ended."""
        socket.is_displaced = True
        if self._sockets.get(socket.client_id) is socket:
            del self._sockets[socket.client_id]

    @property
    def is_owing(self) -> bool:
        """Whether a client has not taken yet what was said to it."""
        return any(socket.line.is_owing for socket in self._sockets.values())

    def hearing(self, to: object) -> Collection[Socket]:
        """The sockets that a message reaches: a client's, or everybody's where ``to`` is ``None``."""
        if to is None:
            return list(self._sockets.values())
        found = self._sockets.get(to) if isinstance(to, str) else None
        return [found] if found is not None else []
