"""The websocket connections of an instance at ``/ws``, by client id (docs/fidelity.md, "Websocket")."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from twisted.python.failure import Failure
from twisted.web.server import Request

from comfyfarm.seeds import new_uuid
from comfyfarm.server.http.request import query
from comfyfarm.server.websocket.connection import ServerProtocol


@dataclass(eq=False)
class Socket(ServerProtocol):
    """One connection to ``/ws``.

    :ivar client_id: the id it was opened under; never empty.
    :ivar flags: the feature flags that the client announced.
    :ivar is_displaced: the connection is open, but the hub has forgotten it.
    """

    client_id: str
    hub: "Hub" = field(repr=False)
    flags: dict[str, Any] = field(default_factory=dict)
    is_displaced: bool = False
    _has_spoken: bool = False

    def negotiationFinished(self) -> None:
        super().negotiationFinished()
        self.hub.opened(self)

    def textMessageReceived(self, message: str) -> None:
        """Handle the client's feature flags, if they are its first message."""
        content = _read(message)
        if content is None or self._has_spoken or self.hub.server_flags is None:
            return
        self._has_spoken = True
        if content.get("type") == "feature_flags":
            flags = content.get("data", {})
            self.flags = flags if isinstance(flags, dict) else {}
            self.hub.send(self, "feature_flags", self.hub.server_flags)

    def connectionLost(self, reason: Failure) -> None:
        self.hub.closed(self)


def _read(message: str) -> dict[str, Any] | None:
    """Decode a message; None if it is no JSON object."""
    try:
        content = json.loads(message)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


@dataclass(eq=False)
class Hub:
    """The sockets of one process.

    :ivar sids: the random stream of the ids of clients that name none.
    :ivar server_flags: the feature flags that the instance announces; ``None``: it knows nothing of such flags.
    :ivar on_open: called with each socket as it opens, before anything else is sent to it.
    :ivar on_close: called with each socket when it is gone.
    :ivar send: sends one socket a message of a type, with data.
    """

    sids: Random
    server_flags: dict[str, Any] | None
    on_open: Callable[[Socket], None]
    on_close: Callable[[Socket], None]
    send: Callable[[Socket, str, object], None]
    _sockets: dict[str, Socket] = field(default_factory=dict)
    _everybody: tuple[Socket, ...] | None = field(default=None, init=False)    # None: a socket came or went since

    def buildProtocol(self, request: Request) -> Socket:
        return Socket(query(request).get("clientId") or new_uuid(self.sids).hex, self)

    def opened(self, socket: Socket) -> None:
        """Add a socket; an older one with the same id stays open but is sent nothing more."""
        # It is added last: messages that are due until now, and are sent while it is greeted, are not for it.
        self.on_open(socket)
        self._sockets[socket.client_id] = socket
        self._everybody = None
        if socket.is_displaced:
            self.displace(socket)

    def closed(self, socket: Socket) -> None:
        """Forget a socket, and with it a newer one that uses the same id.

        ComfyUI forgets the id without checking which socket uses it by then, so a client that reconnected quickly
        gets no more messages (docs/fidelity.md, "Upstream bugs").
        """
        self._sockets.pop(socket.client_id, None)
        self._everybody = None
        self.on_close(socket)

    def displace(self, socket: Socket) -> None:
        """Forget a socket that stays open, as if an older one with the same id had ended."""
        socket.is_displaced = True
        if self._sockets.get(socket.client_id) is socket:
            del self._sockets[socket.client_id]
            self._everybody = None

    @property
    def has_backlog(self) -> bool:
        """True if a client has not taken yet what was sent to it."""
        return any(socket.writer.has_backlog for socket in self._sockets.values())

    def recipients(self, to: object) -> tuple[Socket, ...]:
        """Return the sockets of a client (none or one) by the id it gave, any JSON; all sockets if ``to`` is None."""
        if to is None:
            if self._everybody is None:
                self._everybody = tuple(self._sockets.values())
            return self._everybody
        found = self._sockets.get(to) if isinstance(to, str) else None
        return (found,) if found is not None else ()
