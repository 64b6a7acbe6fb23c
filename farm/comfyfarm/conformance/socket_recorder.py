"""A websocket that keeps every message it receives."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from comfyfarm.clients.websocket import ComfyWebSocket, Message


@dataclass(eq=False)
class SocketRecorder(ComfyWebSocket):
    """An open websocket that keeps every message it receives.

    :ivar name: its name in the transcript.
    """

    name: str = ""
    client_id: str = ""
    received: list[Message] = field(default_factory=list)
    is_open: bool = True
    _waiters: list[Deferred[None]] = field(default_factory=list, repr=False)

    def send_json(self, message: Any) -> None:
        self._transport.sendTextMessage(json.dumps(message))

    async def first(self, matches: Callable[[Message], bool], start: int = 0) -> Message:
        """Return the first message from index ``start`` on that matches; wait if it has not arrived yet."""
        index = start
        while True:
            while index < len(self.received):
                if matches(self.received[index]):
                    return self.received[index]
                index += 1
            arrival: Deferred[None] = Deferred()
            self._waiters.append(arrival)
            await arrival

    def textMessageReceived(self, message: str) -> None:
        self._keep(json.loads(message))

    def bytesMessageReceived(self, data: bytes | bytearray) -> None:
        self._keep(bytes(data))

    def connectionLost(self, reason: Failure) -> None:
        self.is_open = False
        super().connectionLost(reason)

    def _keep(self, message: Message) -> None:
        self.received.append(message)
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.called:       # a timeout has cancelled it already
                waiter.callback(None)


def is_message(kind: str, **data: Any) -> Callable[[Message], bool]:
    """Return a test for JSON messages of type ``kind`` that have these values in their data."""

    def matches(message: Message) -> bool:
        if isinstance(message, bytes) or message.get("type") != kind:
            return False
        values = message.get("data") or {}
        return all(key in values and values[key] == value for key, value in data.items())

    return matches
