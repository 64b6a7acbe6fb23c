"""An HTTP client that sends each request exactly as it is written.

The suite sends bodies that are not JSON, oddly quoted paths and methods that no route has, so this client does not
normalise, follow redirects, decompress, or raise for a status.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from treq import content
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.error import ConnectError, ConnectionClosed
from twisted.web.client import Agent, FileBodyProducer, HTTPConnectionPool, RequestTransmissionFailed, ResponseFailed
from twisted.web.http_headers import Headers

NO_REPLY_ERRORS = (ConnectError, ConnectionClosed, RequestTransmissionFailed, ResponseFailed, TimeoutError)
_TIMEOUT_S = 60.0
_BOUNDARY = b"comfyfarm-conformance-boundary"


@dataclass(frozen=True)
class RawReply:
    """A server's reply.

    :ivar headers: by name in lower case; only the first value of a repeated header.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        """The parsed body.

        :raises ValueError: if it is not JSON.
        """
        return json.loads(self.content)


class RawHttpClient:
    """One server, and the pool of connections to it.

    :ivar base_url: without a slash at the end.
    :ivar headers: sent with each request, unless it has them itself.
    """

    def __init__(self, reactor: Any, base_url: str, headers: Mapping[str, str] | None = None) -> None:
        self.reactor = reactor
        self.headers = dict(headers or {})
        self.base_url = base_url.rstrip("/")
        self._pool = HTTPConnectionPool(reactor)
        self._pool.maxPersistentPerHost = 24
        self._agent = Agent(reactor, connectTimeout=10, pool=self._pool)

    async def request(self, line: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> RawReply:
        """Send ``METHOD /path`` and receive the whole reply.

        :raises Exception: one of :data:`NO_REPLY_ERRORS` if there is no reply within a minute.
        """
        reply = Deferred.fromCoroutine(self._request(line, body, {**self.headers, **(headers or {})}))
        try:
            return await reply.addTimeout(_TIMEOUT_S, self.reactor)
        except DeferredTimeout:
            raise TimeoutError(f"no answer to {line} within {_TIMEOUT_S:g} s") from None

    async def _request(self, line: str, body: bytes | None, headers: Mapping[str, str]) -> RawReply:
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
        await self._pool.closeCachedConnections()


def multipart_form(filename: str, content: bytes, fields: Mapping[str, str]) -> tuple[dict[str, str], bytes]:
    """Return the headers and the body of a form with a file named ``image``.

    File and field names are plain UTF-8, as a browser sends them.
    """
    head = f'Content-Disposition: form-data; name="image"; filename="{filename}"\r\nContent-Type: image/png\r\n\r\n'
    texts = (f'Content-Disposition: form-data; name="{key}"\r\n\r\n{value}' for key, value in fields.items())
    parts = [head.encode() + content, *(text.encode() for text in texts)]
    body = b"".join(b"--" + _BOUNDARY + b"\r\n" + part + b"\r\n" for part in parts)
    headers = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY.decode()}"}
    return headers, body + b"--" + _BOUNDARY + b"--\r\n"
