"""The bytes of a websocket, and when they are written."""

from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.testing import StringTransport
from wsproto.frame_protocol import FrameProtocol

from comfyfarm.server.websocket.connection import MAX_BACKLOG_BYTES, SocketWriter, frame


class CountingTransport(StringTransport):
    """A transport that also notes each single write, with the names that Twisted's own has for its buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.dataBuffer, self.offset, self._tempDataLen = b"", 0, 0

    def write(self, data: bytes) -> None:
        self.writes.append(data)
        super().write(data)


def make_writer() -> tuple[SocketWriter, CountingTransport, Any]:
    """A writer, the TCP transport under it, and the websocket of the library."""
    tcp = CountingTransport()
    tcp.registerProducer(object(), True)
    wire: Any = SimpleNamespace(transport=tcp)
    wire.loseConnection = lambda _code, _reason: (wire.transport.write(b"close"), wire.transport.loseConnection())
    return SocketWriter(wire), tcp, wire


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65535, 65536, 70_000])
def test_a_frame_is_that_of_the_library(length: int) -> None:
    for message in ("x" * length, b"\xff" * length):
        assert frame(message) == bytes(FrameProtocol(client=False, extensions=[]).send_data(message, fin=True))


def test_a_frame_has_its_text_in_utf_8() -> None:
    assert frame("ä") == b"\x81\x02\xc3\xa4"


def test_queued_frames_are_one_write() -> None:
    writer, tcp, _ = make_writer()
    assert writer.queue(b"a")
    assert writer.queue(b"b")
    assert tcp.writes == []
    writer.flush()
    writer.flush()
    assert tcp.writes == [b"ab"]


def test_what_is_written_at_once_comes_after_what_is_queued() -> None:
    """Frames of faults, pongs and close frames do not overtake what was said before them."""
    for write in (
        lambda writer, _: writer.write(b"x"),
        lambda _, wire: wire.transport.write(b"x"),
        lambda writer, _: writer.close(1000, ""),
        lambda _, wire: wire.loseConnection(1000, ""),
        lambda writer, _: writer.reset(),
    ):
        writer, tcp, wire = make_writer()
        writer.queue(b"a")
        write(writer, wire)
        writer.flush()
        assert tcp.value() in (b"ax", b"aclose", b"a")


def test_a_connection_that_is_over_takes_no_frame() -> None:
    for end in (lambda writer: writer.close(1000, ""), lambda writer: writer.reset()):
        writer, tcp, _ = make_writer()
        end(writer)
        before = tcp.value()
        assert not writer.queue(b"a")
        assert not writer.write(b"a")
        writer.flush()
        assert tcp.value() == before


def test_frames_for_a_client_that_does_not_read_are_counted_at_once() -> None:
    """They are not queued beside what the transport buffers."""
    writer, tcp, _ = make_writer()
    writer.pauseProducing()
    assert writer.queue(b"a" * 100)
    assert (writer.backlog_bytes, tcp.writes) == (100, [b"a" * 100])


def test_pongs_count_as_frames_do_and_end_the_reading() -> None:
    """A client that pings and does not read costs no more memory than one that only does not read."""
    writer, tcp, wire = make_writer()
    wire.transport.write(b"pong")
    assert (writer.backlog_bytes, tcp.producerState) == (0, "producing")
    writer.pauseProducing()
    wire.transport.write(b"pong")
    assert (writer.backlog_bytes, tcp.producerState) == (4, "paused")
    writer.resumeProducing()
    assert (writer.backlog_bytes, tcp.producerState) == (0, "producing")


def test_pongs_beyond_the_limit_end_the_connection() -> None:
    writer, tcp, wire = make_writer()
    tcp.dataBuffer, tcp._tempDataLen = b"x" * MAX_BACKLOG_BYTES, 1
    writer.pauseProducing()
    wire.transport.write(b"x" * (MAX_BACKLOG_BYTES + 1))
    assert writer.too_slow
    assert tcp.disconnected
