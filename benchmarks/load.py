"""A load generator that costs little: requests are bytes made beforehand, on connections that stay open."""

from __future__ import annotations

import json
import re
import selectors
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Self

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_HEAD = "Host: 127.0.0.1\r\nUser-Agent: bench\r\nAccept: */*\r\n"
_READ = 1 << 16     # of more the system has to map pages for each answer


def get(path: str, *headers: str) -> bytes:
    """Return the bytes of a GET request."""
    fields = "".join(f"{header}\r\n" for header in headers)
    return f"GET {path} HTTP/1.1\r\n{_HEAD}{fields}\r\n".encode()


def post(path: str, body: object) -> bytes:
    """Return the bytes of a POST request with a JSON body."""
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\n{_HEAD}Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    return head.encode() + content


@dataclass(eq=False)
class Connection:
    """One connection that is kept alive.

    :ivar head: of the last answer.
    """

    port: int
    socket: socket.socket = field(init=False)
    head: bytes = b""
    _read: bytes = b""

    def __post_init__(self) -> None:
        self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def ask(self, request: bytes) -> bytes:
        """Send a request, wait for the answer, and return its body.

        :raises AssertionError: if the status is neither 200 nor 304.
        """
        self.socket.sendall(request)
        while (answer := self.answer()) is None:
            pass
        return answer

    def answer(self) -> bytes | None:
        """Read once; return the body of an answer if it has come in full."""
        self._read += self._receive()
        head, found, _ = self._read.partition(b"\r\n\r\n")
        if not found:
            return None
        start = len(head) + 4
        end = start + _body_bytes(head)
        if len(self._read) < end:
            return None
        self.head = head
        body, self._read = self._read[start:end], self._read[end:]
        return body

    def _receive(self) -> bytes:
        data = self.socket.recv(_READ)
        assert data, "the server has closed the connection"
        return data


@lru_cache
def _body_bytes(head: bytes) -> int:
    assert head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 304")), head
    length = _LENGTH.search(head)
    if head.startswith(b"HTTP/1.1 304"):
        return 0
    assert length is not None, head
    return int(length[1])


class Load:
    """A number of connections, each of which sends its next request when it has its answer."""

    def __init__(self, port: int, connections: int) -> None:
        self._connections = [Connection(port) for _ in range(connections)]
        self._selector = selectors.DefaultSelector()
        for connection in self._connections:
            self._selector.register(connection.socket, selectors.EVENT_READ, connection)

    def send(self, request: bytes, count: int) -> None:
        """Send a request so often, and wait for the answers."""
        answered, sent = 0, min(count, len(self._connections))
        for connection in self._connections[:sent]:
            connection.socket.sendall(request)
        while answered < count:
            for key, _ in self._selector.select():
                if key.data.answer() is None:
                    continue
                answered += 1
                if sent < count:
                    key.data.socket.sendall(request)
                    sent += 1

    def close(self) -> None:
        self._selector.close()
        for connection in self._connections:
            connection.socket.close()


class WebSocket(Connection):
    """A websocket."""

    def __init__(self, port: int, path: str) -> None:
        super().__init__(port)
        upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        self.socket.sendall(f"GET {path} HTTP/1.1\r\n{_HEAD}{upgrade}{key}".encode())
        while b"\r\n\r\n" not in self._read:
            self._read += self._receive()
        head, _, self._read = self._read.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101"), head

    @classmethod
    def of(cls, port: int, client_id: str) -> Self:
        """Open that of a client of ComfyUI's."""
        return cls(port, f"/ws?clientId={client_id}")

    def frames(self) -> list[bytes]:
        """Return the frames that have come in full; read if there is none."""
        while not (frames := list(self._taken())):
            self._read += self._receive()
        return frames

    def _taken(self) -> Iterator[bytes]:
        at = 0
        while len(self._read) >= at + 2:
            length, start = self._read[at + 1], at + 2
            for mark, size, form in ((126, 2, ">H"), (127, 8, ">Q")):
                if length == mark and len(self._read) >= start + size:
                    (length,), start = struct.unpack(form, self._read[start:start + size]), start + size
                    break
            if len(self._read) < start + length:
                break
            yield self._read[start:start + length]
            at = start + length
        self._read = self._read[at:]

    def take(self, count: int) -> None:
        """Wait for so many frames."""
        while count > 0:
            count -= len(self.frames())

    def frames_until(self, last: bytes) -> list[bytes]:
        """Return the frames up to and with the first that has ``last`` in it."""
        frames: list[bytes] = []
        while not any(last in frame for frame in frames):
            frames += self.frames()
        return frames
