"""What did a server say on one websocket, from the first word on?"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTCP
from twisted.python.failure import Failure

from comfyfarm.clients.websocket import ComfyWebSocket, Message


@dataclass(eq=False)
class SocketRecorder(ComfyWebSocket):
    """An open websocket that keeps everything it heard.

    :ivar name: what the transcript calls it.
    :ivar client_id: the id that it was opened under.
    """

    name: str = ""
    client_id: str = ""
    heard: list[Message] = field(default_factory=list)
    is_open: bool = True
    _waiting: list[Deferred[None]] = field(default_factory=list, repr=False)

    @classmethod
    async def connect(cls, reactor: IReactorTCP, url: str, name: str, client_id: str) -> SocketRecorder:
        """Open a websocket.

        :raises Refused: where the server answers the upgrade with something else.
        """
        listener = cast(SocketRecorder, await cls.open(reactor, url))
        listener.name, listener.client_id = name, client_id
        return listener

    def say(self, message: Any) -> None:
        """Send a message as JSON."""
        self._transport.sendTextMessage(json.dumps(message))

    async def first(self, wanted: Callable[[Message], bool], start: int = 0) -> Message:
        """Wait for the first message that is wanted, from place ``start`` on; it may have come already."""
        at = start
        while True:
            while at < len(self.heard):
                if wanted(self.heard[at]):
                    return self.heard[at]
                at += 1
            news: Deferred[None] = Deferred()
            self._waiting.append(news)
            await news

    def textMessageReceived(self, message: str) -> None:
        """Keep a text frame."""
        self._keep(json.loads(message))

    def bytesMessageReceived(self, data: bytes | bytearray) -> None:
        """Keep a binary frame."""
        self._keep(bytes(data))

    def connectionLost(self, reason: Failure) -> None:
        """Remember that it is over."""
        self.is_open = False
        super().connectionLost(reason)

    def _keep(self, message: Message) -> None:
        self.heard.append(message)
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if not each.called:     # it is, where whoever waited gave up
                each.callback(None)


def says(kind: str, **data: Any) -> Callable[[Message], bool]:
    """Whether a message is of a kind, and has these values among its data."""

    def is_it(message: Message) -> bool:
        if isinstance(message, bytes) or message.get("type") != kind:
            return False
        about = message.get("data") or {}
        return all(key in about and about[key] == value for key, value in data.items())

    return is_it
