"""Streaming of a large file to a client that is slow or disconnects."""

from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, cast

from twisted.web.server import Request

from comfyfarm.server.http.static_file import Stream

CONTENT = bytes(range(256)) * 1000


@dataclass
class SlowClient:
    """A request whose client has enough after each piece."""

    got: list[bytes] = field(default_factory=list)
    producer: Any = None
    is_finished: bool = False

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert streaming
        self.producer = producer

    def write(self, piece: bytes) -> None:
        self.got.append(piece)
        self.producer.pauseProducing()

    def unregisterProducer(self) -> None:
        self.producer = None

    def finish(self) -> None:
        self.is_finished = True


def begin(client: SlowClient, file: BytesIO, count: int) -> None:
    Stream(file, count).render(cast(Request, client))


def test_a_slow_client_gets_it_piece_by_piece() -> None:
    """No piece is read before the client wants it, and none beyond the part that was asked for."""
    client, file = SlowClient(), BytesIO(CONTENT)
    begin(client, file, 200_000)
    assert b"".join(client.got) == CONTENT[: len(client.got[0])]
    assert file.tell() < 100_000
    while client.producer is not None:
        client.producer.resumeProducing()
    assert b"".join(client.got) == CONTENT[:200_000]
    assert (client.is_finished, file.closed) == (True, True)


def test_the_file_is_closed_when_the_client_goes() -> None:
    """And nothing more is sent."""
    client, file = SlowClient(), BytesIO(CONTENT)
    begin(client, file, len(CONTENT))
    client.producer.stopProducing()
    assert (len(client.got), client.is_finished, file.closed) == (1, False, True)


def test_a_file_that_became_shorter_ends_early() -> None:
    """The client sees that something is missing; the server does not wait for it."""
    client, file = SlowClient(), BytesIO(CONTENT)
    begin(client, file, len(CONTENT) + 1)
    while client.producer is not None:
        client.producer.resumeProducing()
    assert (b"".join(client.got), client.is_finished) == (CONTENT, True)
