"""A websocket client in memory that records what it receives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from json import dumps, loads
from typing import Any, overload

from twisted.internet.interfaces import IProtocol
from twisted.python.failure import Failure
from twisted.web.websocket import WebSocketTransport
from wsproto.events import CloseConnection, Event

_TEXT, _BINARY = b"\x81", b"\x82"     # the first byte of a message that is one frame
_LONG = (b"\x7e", 2), (b"\x7f", 8)     # what stands for its length, and the bytes of the length that follow


class Heard(Sequence[Any]):
    """The messages that a websocket client has received: text messages as objects, binary ones as bytes.

    They are kept as they came, and parsed when they are asked for: objects take three times the memory.
    """

    def __init__(self) -> None:
        self._messages: list[str | bytes] = []

    def append(self, message: str | bytes) -> None:
        self._messages.append(message)

    def clear(self) -> None:
        self._messages.clear()

    def __len__(self) -> int:
        return len(self._messages)

    @overload
    def __getitem__(self, index: int) -> Any: ...

    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...

    def __getitem__(self, index: int | slice) -> Any:
        found = self._messages[index]
        return [_parsed(message) for message in found] if isinstance(found, list) else _parsed(found)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self[:] == other[:]

    def __repr__(self) -> str:
        return repr(self[:])

    __hash__ = None     # type: ignore[assignment]      # as a list has none


def _parsed(message: str | bytes) -> Any:
    return loads(message) if isinstance(message, str) else message


@dataclass(eq=False)
class Listener:
    """A websocket client that records what it receives; it is also the protocol of its connection.

    :ivar lost: the reason why the connection ended (``ConnectionDone``, or ``ConnectionLost`` for a reset); ``None``
        while it is open.
    :ivar goodbye: the code and the reason of the server's close frame; ``None`` if it sent none.
    """

    heard: Heard = field(default_factory=Heard)
    lost: Failure | None = None
    goodbye: tuple[int, str] | None = None
    transport: WebSocketTransport = field(init=False, repr=False)

    def types(self) -> list[str]:
        """Return the types of the messages in order; ``binary`` for binary ones."""
        return ["binary" if isinstance(message, bytes) else message["type"] for message in self.heard]

    def say(self, message: object) -> None:
        """Send an object as JSON; the server receives it when the farm is advanced, also by 0."""
        self.transport.sendTextMessage(dumps(message))

    def buildProtocol(self, url: str) -> Listener:
        return self

    def negotiationStarted(self, transport: WebSocketTransport) -> None:
        self.transport = transport
        # Twisted does not pass on the code and reason of a close frame, so they are read from its frame parser.
        parser: Any = transport
        received = parser._wsconn.events    # noqa: SLF001
        parser._wsconn.events = lambda: map(self._record_close, received())    # noqa: SLF001

    def _record_close(self, event: Event) -> Event:
        if isinstance(event, CloseConnection):
            self.goodbye = event.code, event.reason or ""
        return event

    def negotiationFinished(self) -> None:
        pass

    def textMessageReceived(self, message: str) -> None:
        self.heard.append(message)

    def bytesMessageReceived(self, data: bytes | bytearray) -> None:
        self.heard.append(bytes(data))

    def pongReceived(self, payload: bytes) -> None:
        pass

    def connectionLost(self, reason: Failure) -> None:
        self.lost = reason


@dataclass(eq=False)
class MessageReader:
    """The protocol of a listener's connection: reads whole messages itself, and has Twisted's read everything else.

    Twisted's takes ten times as long.
    """

    listener: Listener
    protocol: IProtocol

    def dataReceived(self, data: bytes) -> None:
        rest = data
        while (found := _first_message(rest)) is not None:
            message, rest = found
            if isinstance(message, str):
                self.listener.textMessageReceived(message)
            else:
                self.listener.bytesMessageReceived(message)
        if rest:
            self.protocol.dataReceived(rest)

    def connectionLost(self, reason: Failure) -> None:
        self.protocol.connectionLost(reason)


def _first_message(data: bytes) -> tuple[str | bytes, bytes] | None:
    """Return the message that the data begin with, and the data behind it; None if they begin with anything else."""
    kind, length, start = data[:1], data[1:2], 2
    if kind not in (_TEXT, _BINARY):
        return None
    for mark, size in _LONG:
        if length == mark:
            length, start = data[2 : 2 + size], 2 + size
    end = start + int.from_bytes(length, "big")
    if len(data) < end:
        return None
    payload = data[start:end]
    return payload.decode() if kind == _TEXT else payload, data[end:]
