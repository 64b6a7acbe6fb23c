"""The websocket of a ComfyUI server as an asynchronous iterator of messages."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from twisted.internet.defer import CancelledError, Deferred, DeferredQueue
from twisted.internet.interfaces import IReactorTCP, ITransport
from twisted.python.failure import Failure
from twisted.web.websocket import ConnectionRejected, WebSocketClientEndpoint, WebSocketTransport
from wsproto import WSConnection
from wsproto.events import Request
from wsproto.utilities import LocalProtocolError

from comfyfarm.clients.comfy_sync import HttpStatusError

Message = dict[str, Any] | bytes


@dataclass(frozen=True)
class _ConnectionEnd:
    """The last item of the queue.  It wraps the failure, because a DeferredQueue takes no bare one."""

    reason: Failure


@dataclass(eq=False)
class ComfyWebSocket:
    """An open websocket, made by :meth:`open`; iterate over it to receive the messages.

    The class is also Twisted's protocol of the connection.
    """

    _url: str = ""
    _headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    _messages: DeferredQueue[Message | _ConnectionEnd] = field(default_factory=DeferredQueue, repr=False)
    _closed: Deferred[None] = field(default_factory=Deferred, repr=False)
    _lost: Failure | None = field(default=None, repr=False)
    _opening: Deferred[ComfyWebSocket] | None = field(default=None, repr=False)
    _transport: WebSocketTransport = field(init=False, repr=False)

    @classmethod
    async def open(
        cls, reactor: IReactorTCP, url: str, headers: Mapping[str, str] | None = None
    ) -> ComfyWebSocket:
        """Open a websocket at ``url`` (``ws://...`` or ``wss://...``).

        :param headers: of the request that opens it.
        :raises HttpStatusError: if the server refuses the upgrade.
        :raises ConnectionClosed: if the server closes the connection instead of answering.
        """
        socket = cls(url, headers or {})
        socket._opening = Deferred.fromCoroutine(WebSocketClientEndpoint.new(reactor, url).connect(socket))
        try:
            return await socket._opening
        except ConnectionRejected as error:
            await socket._closed
            raise HttpStatusError(error.response.code, b"") from error
        except CancelledError:
            if socket._lost is not None:
                socket._lost.raiseException()
            raise
        finally:
            socket._opening = None

    async def close(self) -> None:
        """Close the websocket, and wait until the connection has ended."""
        with suppress(LocalProtocolError):      # raised if a close frame was already sent or received
            self._transport.loseConnection()
        if not self._closed.called:
            end: Deferred[None] = Deferred()
            self._closed.chainDeferred(end)
            await end

    def take_heard(self) -> Iterator[Message]:
        """Yield the messages that were received and not yet iterated over, without waiting."""
        for message in tuple(self._messages.pending):
            if isinstance(message, _ConnectionEnd):
                return
            self._messages.pending.remove(message)
            yield message

    def __aiter__(self) -> ComfyWebSocket:
        return self

    async def __anext__(self) -> Message:
        message = await self._messages.get()
        if isinstance(message, _ConnectionEnd):
            self._messages.put(message)     # a later call raises the same
            message.reason.raiseException()
        return message

    def buildProtocol(self, url: str) -> ComfyWebSocket:
        return self

    def negotiationStarted(self, transport: WebSocketTransport) -> None:
        self._transport = transport
        if self._headers:
            # Twisted's endpoint cannot send headers; this is called before it sends its request.
            vars(transport)["_bootstrap"] = self._send_request

    def _send_request(self, connection: WSConnection, transport: ITransport) -> None:
        url = urlsplit(self._url)
        headers = [(name.encode(), value.encode()) for name, value in self._headers.items()]
        transport.write(connection.send(Request(url.netloc, f"{url.path}?{url.query}", extra_headers=headers)))

    def negotiationFinished(self) -> None:
        pass

    def textMessageReceived(self, message: str) -> None:
        self._messages.put(json.loads(message))

    def bytesMessageReceived(self, data: bytes | bytearray) -> None:
        self._messages.put(bytes(data))

    def pongReceived(self, payload: bytes) -> None:
        pass

    def connectionLost(self, reason: Failure) -> None:
        self._lost = reason
        self._messages.put(_ConnectionEnd(reason))
        self._closed.callback(None)
        if self._opening is not None:   # Twisted's endpoint never fires if the connection ends during the handshake
            self._opening.cancel()
