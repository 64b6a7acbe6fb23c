"""How a listener in memory reads what it is sent."""

import pytest
from twisted.python.failure import Failure
from wsproto.frame_protocol import FrameProtocol

from comfyfarm.server.websocket.connection import frame
from comfyfarm.testing.listener import Listener, MessageReader


class Recorder:
    """In place of Twisted's protocol: records what is left for it."""

    def __init__(self) -> None:
        self.data = b""
        self.lost: list[Failure] = []

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def connectionLost(self, reason: Failure) -> None:
        self.lost.append(reason)


def test_what_was_heard_reads_like_a_list() -> None:
    heard = Listener().heard
    for message in ('{"type": "a"}', b"\0\1", '{"type": "b"}'):
        heard.append(message)
    assert heard == [{"type": "a"}, b"\0\1", {"type": "b"}]
    assert (heard[-1], heard[1:], len(heard)) == ({"type": "b"}, [b"\0\1", {"type": "b"}], 3)
    assert b"\0\1" in heard
    assert repr(heard) == "[{'type': 'a'}, b'\\x00\\x01', {'type': 'b'}]"
    heard.clear()
    assert heard == []


def read(data: bytes) -> tuple[list[object], bytes]:
    """What a listener hears, and what is left for Twisted's protocol."""
    listener, recorder = Listener(), Recorder()
    MessageReader(listener, recorder).dataReceived(data)  # type: ignore[arg-type]  # it is no IProtocol
    return listener.heard[:], recorder.data


@pytest.mark.parametrize("length", [2, 125, 126, 65535, 65536, 70_000])
def test_whole_messages_are_heard_in_their_order(length: int) -> None:
    text, binary = f'"{"x" * (length - 2)}"', b"\xff" * length
    assert read(frame(text) + frame(binary) + frame(text)) == ([text[1:-1], binary, text[1:-1]], b"")


def test_everything_else_is_left_to_the_library() -> None:
    """Close frames, pings, pieces of messages, and what follows them."""
    library = FrameProtocol(client=False, extensions=[])
    for other in (b"\x81\x05abc", library.ping(b"x"), library.close(1000, "over") + frame("{}"), b"\x01\x02{}"):
        assert read(frame('"a"') + other) == (["a"], other)
