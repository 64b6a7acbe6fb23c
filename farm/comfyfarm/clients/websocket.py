"""What does a server say on its websocket, to one who listens in Twisted?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredQueue
from twisted.internet.interfaces import IReactorTCP
from twisted.python.failure import Failure
from twisted.web.websocket import ConnectionRejected, WebSocketClientEndpoint, WebSocketTransport
from wsproto.utilities import LocalProtocolError

from comfyfarm.clients.errors import HttpStatusError

Message = dict[str, Any] | bytes


@dataclass(frozen=True)
class _End:
    """What stands last in an ear: Twisted's queue takes no bare failure where nobody waits for it."""

    reason: Failure


@dataclass(eq=False)
class ComfyWebSocket:
    """One open websocket, as an asynchronous iterator of what it hears.

    Use :meth:`open`; it hands out an ear that listens already.
    """

    _heard: DeferredQueue[Message | _End] = field(default_factory=DeferredQueue, repr=False)
    _closed: Deferred[None] = field(default_factory=Deferred, repr=False)
    _lost: Failure | None = field(default=None, repr=False)
    _opening: Deferred[ComfyWebSocket] | None = field(default=None, repr=False)
    _transport: WebSocketTransport = field(init=False, repr=False)

    @classmethod
    async def open(cls, reactor: IReactorTCP, url: str) -> ComfyWebSocket:
        """Open a websocket at ``url`` (``ws://...``).

        :raises Refused: where the server answers the upgrade with something else.
        :raises ConnectionClosed: where it hangs up instead.
        """
        ear = cls()
        ear._opening = Deferred.fromCoroutine(WebSocketClientEndpoint.new(reactor, url).connect(ear))
        try:
            return await ear._opening
        except ConnectionRejected as why:
            await ear._closed
            raise HttpStatusError(why.response.code, b"") from why
        except CancelledError:
            if ear._lost is not None:
                ear._lost.raiseException()
            raise
        finally:
            ear._opening = None

    async def close(self) -> None:
        """Hang up, and wait until the connection is gone."""
        with suppress(LocalProtocolError):      # raised where one side has said goodbye already
            self._transport.loseConnection()
        if not self._closed.called:
            waiting: Deferred[None] = Deferred()
            self._closed.chainDeferred(waiting)
            await waiting

    def take_heard(self) -> Iterator[Message]:
        """Give what was heard and not yet taken, without waiting."""
        for heard in tuple(self._heard.pending):
            if isinstance(heard, _End):
                return
            self._heard.pending.remove(heard)
            yield heard

    def __aiter__(self) -> ComfyWebSocket:
        """Iterate over what comes in."""
        return self

    async def __anext__(self) -> Message:
        """Wait for the next message."""
        heard = await self._heard.get()
        if isinstance(heard, _End):
            self._heard.put(heard)      # whoever asks again hears the same
            heard.reason.raiseException()
        return heard

    def buildProtocol(self, url: str) -> ComfyWebSocket:
        """Be Twisted's protocol for this one connection."""
        return self

    def negotiationStarted(self, transport: WebSocketTransport) -> None:
        """Keep the transport."""
        self._transport = transport

    def negotiationFinished(self) -> None:
        """Nothing is said first by a client."""

    def textMessageReceived(self, message: str) -> None:
        """Take a text frame in."""
        self._heard.put(json.loads(message))

    def bytesMessageReceived(self, data: bytes | bytearray) -> None:
        """Take a binary frame in."""
        self._heard.put(bytes(data))

    def pongReceived(self, payload: bytes) -> None:
        """Nothing waits for it."""

    def connectionLost(self, reason: Failure) -> None:
        """Tell whoever waits: for a message, for the end, or still for the handshake.

        Twisted's endpoint never fires where the server hangs up before it has answered the handshake, hence the
        cancelling.
        """
        self._lost = reason
        self._heard.put(_End(reason))
        self._closed.callback(None)
        if self._opening is not None:
            self._opening.cancel()
