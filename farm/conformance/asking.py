"""How is a request sent exactly as it is written?

A conformance suite sends bodies that are no JSON, paths that are quoted in odd ways and methods that no route
has, so nothing here normalises, follows a redirect, unpacks, or raises for a status.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from io import SEEK_CUR, BytesIO
from tempfile import TemporaryFile
from typing import IO, Any

from treq import content
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, ConnectionClosed
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.web.client import Agent, FileBodyProducer, HTTPConnectionPool, RequestTransmissionFailed, ResponseFailed
from twisted.web.http_headers import Headers

__all__ = ["UNANSWERED", "Asker", "Body", "Form", "Reply", "blank", "form"]

UNANSWERED = (
    ConnectError,
    ConnectTimeout,
    ConnectionClosed,
    RequestTransmissionFailed,
    ResponseFailed,
    TimeoutError,
)
_WITHIN_S = 60.0
_BOUNDARY = "comfyfarm-conformance-boundary"

Body = bytes | IO[bytes]


@dataclass(frozen=True)
class Reply:
    """What a server answered.

    :ivar headers: by name in lower case; of several of a name the first.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def content_type(self) -> str:
        """Empty where there is none."""
        return self.headers.get("content-type", "")

    @property
    def json(self) -> Any:
        """What the body says.

        :raises ValueError: where it is no JSON.
        """
        return json.loads(self.content)


class Asker:
    """One server, and the connections to it.

    :ivar base_url: without a slash at the end.
    """

    def __init__(self, reactor: Any, base_url: str) -> None:
        """Connect to nothing yet."""
        self.reactor = reactor
        self.base_url = base_url.rstrip("/")
        self._pool = HTTPConnectionPool(reactor)
        self._pool.maxPersistentPerHost = 24
        self._agent = Agent(reactor, connectTimeout=10, pool=self._pool)

    async def ask(self, line: str, body: Body | None = None, headers: Mapping[str, str] | None = None) -> Reply:
        """Send ``METHOD /path`` and wait for the whole answer.

        :raises Exception: one of :data:`UNANSWERED` where there is none within a minute.
        """
        asking = Deferred.fromCoroutine(self._ask(line, body, headers or {}))
        return await asking.addTimeout(_WITHIN_S, self.reactor)

    async def _ask(self, line: str, body: Body | None, headers: Mapping[str, str]) -> Reply:
        method, _, path = line.partition(" ")
        file = BytesIO(body) if isinstance(body, bytes) else body
        response = await self._agent.request(
            method.encode(),
            (self.base_url + path).encode(),
            Headers({name: [value] for name, value in headers.items()}),
            None if file is None else FileBodyProducer(file),
        )
        received = {
            name.decode().lower(): values[0].decode("utf-8", "replace")
            for name, values in response.headers.getAllRawHeaders()
        }
        return Reply(response.code, received, await content(response))

    async def close(self) -> None:
        """Leave no connection behind."""
        await self._pool.closeCachedConnections()


@dataclass(frozen=True)
class Form:
    """A body with several parts, and the content type that names their boundary."""

    content_type: str
    body: IO[bytes]


def form(filename: str, content: bytes, fields: Mapping[str, str], blank_bytes: int = 0) -> Form:
    """A file named ``image`` and some fields, as a browser sends them: names are UTF-8 as they are.

    :param blank_bytes: so many zeros follow the file's content.
    """
    head = f'Content-Disposition: form-data; name="image"; filename="{filename}"\r\nContent-Type: image/png\r\n\r\n'
    rest = [
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    tail = "\r\n" + "".join(rest) + f"--{_BOUNDARY}--\r\n"
    body = blank(blank_bytes, f"--{_BOUNDARY}\r\n{head}".encode() + content, tail.encode())
    return Form(f"multipart/form-data; boundary={_BOUNDARY}", body)


def blank(size_bytes: int, head: bytes = b"", tail: bytes = b"") -> IO[bytes]:
    """A body of so many zeros, which take no memory, between a head and a tail."""
    file = TemporaryFile()  # noqa: SIM115  (whoever sends it closes it)
    file.write(head)
    file.seek(size_bytes, SEEK_CUR)
    file.write(tail)
    file.truncate(len(head) + size_bytes + len(tail))
    file.seek(0)
    return file
