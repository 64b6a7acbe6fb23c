"""How is a request sent exactly as it is written?

A conformance suite sends bodies that are no JSON, paths that are quoted in odd ways and methods that no route
has, so nothing here normalises, follows a redirect, unpacks, or raises for a status.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from treq import content
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.error import ConnectError, ConnectionClosed
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.web.client import Agent, FileBodyProducer, HTTPConnectionPool, RequestTransmissionFailed, ResponseFailed
from twisted.web.http_headers import Headers

UNANSWERED = (
    ConnectError,
    ConnectTimeout,
    ConnectionClosed,
    RequestTransmissionFailed,
    ResponseFailed,
    TimeoutError,
)
_WITHIN_S = 60.0
_BOUNDARY = b"comfyfarm-conformance-boundary"


@dataclass(frozen=True)
class RawReply:
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

    async def ask(self, line: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> RawReply:
        """Send ``METHOD /path`` and wait for the whole answer.

        :raises Exception: one of :data:`UNANSWERED` where there is none within a minute.
        """
        asking = Deferred.fromCoroutine(self._ask(line, body, headers or {}))
        try:
            return await asking.addTimeout(_WITHIN_S, self.reactor)
        except DeferredTimeout:
            raise TimeoutError(f"no answer to {line} within {_WITHIN_S:g} s") from None

    async def _ask(self, line: str, body: bytes | None, headers: Mapping[str, str]) -> RawReply:
        method, _, path = line.partition(" ")
        response = await self._agent.request(
            method.encode(),
            (self.base_url + path).encode(),
            Headers({name: [value] for name, value in headers.items()}),
            None if body is None else FileBodyProducer(BytesIO(body)),
        )
        received = {
            name.decode().lower(): values[0].decode("utf-8", "replace")
            for name, values in response.headers.getAllRawHeaders()
        }
        return RawReply(response.code, received, await content(response))

    async def close(self) -> None:
        """Leave no connection behind."""
        await self._pool.closeCachedConnections()


def form(filename: str, content: bytes, fields: Mapping[str, str]) -> tuple[dict[str, str], bytes]:
    """The headers and the body of a form with a file named ``image``, as a browser sends it: names are plain UTF-8."""
    about = f'Content-Disposition: form-data; name="image"; filename="{filename}"\r\nContent-Type: image/png\r\n\r\n'
    others = (f'Content-Disposition: form-data; name="{key}"\r\n\r\n{value}' for key, value in fields.items())
    parts = [about.encode() + content, *(other.encode() for other in others)]
    body = b"".join(b"--" + _BOUNDARY + b"\r\n" + part + b"\r\n" for part in parts)
    headers = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY.decode()}"}
    return headers, body + b"--" + _BOUNDARY + b"--\r\n"
