"""The request of every port of the farm."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any, ClassVar, Self

from twisted.python.failure import Failure
from twisted.web import http
from twisted.web.http_headers import Headers
from twisted.web.server import Request

from comfyfarm.server.http.answer import CLOSES, SERVER, Answer
from comfyfarm.server.http.body_decoder import BodyDecoder
from comfyfarm.server.http.exchange_record import ExchangeRecord
from comfyfarm.server.http.headers import cache_headers, forget_origin
from comfyfarm.server.http.request_content import traceparent
from comfyfarm.server.http.request_head import origin_form
from comfyfarm.server.http.whole_request import HeadFields, RequestLine, WholeRequest, query_parameters
from comfyfarm.versions import DEFAULT_BEHAVIOUR

_HTTP_1_1 = b"HTTP/1.1"


class ComfyRequest(Request):
    """A request that decodes its body, drops one that is too large, and keeps a record for the event log.

    Those parts that Twisted makes for each request, and few are asked for, are made when they are asked for.

    :ivar behaviour: that of the instance's version.
    :ivar too_large: whether the body, decoded, had more bytes than the site accepts.
    :ivar connection: the channel of the request, also after the request has ended.
    :ivar on_lost: called with the request if the connection is lost before the answer is complete.
    :ivar is_lost: whether it was.
    :ivar set_defaults: sets the headers of every answer; only of a request that is served directly.
    :ivar reply: the answer of such a request, while no header has been made from it.
    :ivar whole_body: the body of a request that came whole; ``None`` if ``content`` alone has it.
    :ivar outcome: what the route of such a request has returned or raised, and the answer that it made, if Klein has to
        deal with it; ``None`` if the route has still to be called.
    """

    channel: Any
    connection: Any
    record: ExchangeRecord

    defaultContentType = None   # ComfyUI sends none with an answer that is a status only
    behaviour = DEFAULT_BEHAVIOUR
    too_large = False
    _decoder: BodyDecoder | None = None
    on_lost: Callable[[ComfyRequest], None] | None = None
    is_lost = False
    queued = False
    _parsePOSTFormSubmission = False
    set_defaults: Callable[[ComfyRequest], None] | None = None
    reply: Answer | None = None
    outcome: tuple[Any, Answer | None] | None = None
    whole_body: bytes | None = None
    _has_headers = False
    _line: RequestLine | None = None
    _fields: HeadFields | None = None

    def __init__(self, channel: Any, *_args: Any) -> None:     # what Request does besides is done by __getattr__
        self.channel = self.connection = channel

    def __getattr__(self, name: str) -> Any:
        make = self._parts.get(name)
        if make is None:
            raise AttributeError(name)
        value = self.__dict__[name] = make(self)
        return value

    @classmethod
    def whole(cls, channel: Any, whole: WholeRequest, set_defaults: Callable[[ComfyRequest], None]) -> Self:
        """Return a request as if Twisted had received it, but not processed yet.

        :param set_defaults: sets the headers of every answer, if they are asked for.
        """
        request, line = cls(channel), whole.line
        request.record = ExchangeRecord()
        request._line, request._fields = line, whole.fields
        request.method, request.uri, request.path, request.clientproto = line.method, line.target, line.path, _HTTP_1_1
        request.whole_body, request.content = whole.body, BytesIO(whole.body)
        request.set_defaults = set_defaults
        return request

    @property
    def texts(self) -> Mapping[str, Any]:
        """Method, path and query as text, by these names."""
        if self._line is not None:
            return self._line.texts
        return {
            "method": self.method.decode("ascii", "replace"),
            "path": self.path.decode("utf-8", "replace"),
            "query": self._query.decode("utf-8", "replace"),
        }

    @property
    def parameters(self) -> Mapping[str, str]:
        """Those of the query; of a repeated name the first value."""
        return query_parameters(self._query) if self._line is None else self._line.parameters

    @property
    def _query(self) -> bytes:
        return self.uri.partition(b"?")[2]

    def field_text(self, name: str) -> str | None:
        """Return a header; if it was sent several times, the first one."""
        if self._fields is not None:
            return self._fields.texts.get(name.lower())
        values = self.requestHeaders.getRawHeaders(name.encode())
        return values[0].decode("utf-8", "replace") if values else None

    @property
    def fields(self) -> Headers:
        """The request's headers, to be read only: several requests may share them."""
        return self.requestHeaders if self._fields is None else self._fields.headers

    @property
    def traceparent(self) -> str:
        return traceparent(self.requestHeaders) if self._fields is None else self._fields.traceparent

    def _make_request_headers(self) -> Headers:
        return Headers() if self._fields is None else self._fields.headers.copy()

    def _make_response_headers(self) -> Headers:
        headers = self.responseHeaders = Headers()
        self._has_headers = True
        reply, self.reply = self.reply, None
        if self.set_defaults is not None:
            self.setHeader(b"server", SERVER)
            self.setHeader(b"date", http.datetimeToString())
            self.set_defaults(self)
        if reply is not None:
            self._set_answer(reply)
        return headers

    def _make_cookies(self) -> dict[bytes, bytes]:
        cookies = self.received_cookies = {}
        self.parseCookies()
        return cookies

    _parts: ClassVar[dict[str, Callable[[Any], Any]]] = {
        "_adapterCache": lambda _: {},
        "args": lambda self: http.parse_qs(self._query, 1),
        "client": lambda self: self.connection.getPeer(),
        "cookies": lambda _: [],
        "host": lambda self: self.connection.getHost(),
        "notifications": lambda _: [],
        "received_cookies": _make_cookies,
        "record": lambda _: ExchangeRecord(),
        "requestHeaders": _make_request_headers,
        "responseHeaders": _make_response_headers,
        "transport": lambda self: self.connection.transport,
    }

    def answer_with(self, reply: Answer) -> bytes:
        """Set status and headers of the answer, at once or when a header is asked for; return its body."""
        if self.reply is None and not self._has_headers:
            self.reply = reply
        else:
            self._set_answer(reply)
        return reply.body

    def _set_answer(self, reply: Answer) -> None:
        headers = self.responseHeaders
        self.setResponseCode(reply.status)
        if reply.is_raised:
            forget_origin(self)
        for name, value in (*cache_headers(self.path, reply, self.behaviour), *reply.headers):
            headers.setRawHeaders(name.encode(), [value.encode("utf-8", "surrogateescape")])
        if CLOSES in reply.headers:
            self.connection.persistent = False
        if reply.status != 304:     # a 304 has no body, and no length
            headers.setRawHeaders(b"content-length", [b"%d" % len(reply.body)])

    def gotLength(self, length: int | None) -> None:
        """Take the length of the body; ``None`` if it comes in chunks."""
        encoding = self.requestHeaders.getRawHeaders(b"content-encoding", [b""])[-1].decode("latin-1").lower()
        if encoding in ("gzip", "deflate"):
            self._decoder = BodyDecoder(encoding)
        self.too_large = length is not None and length > self.channel.site.max_body_bytes
        super().gotLength(0 if self.too_large else length)

    def handleContentChunk(self, data: bytes) -> None:
        assert self.content is not None, "gotLength made it"
        for piece in (data,) if self._decoder is None else self._decoder.decode(data):
            if not self.too_large and self.content.tell() + len(piece) > self.channel.site.max_body_bytes:
                self.too_large = True
                self.content.truncate(0)
            if self.too_large:
                return
            super().handleContentChunk(piece)

    @property
    def is_undecodable(self) -> bool:
        """True if the body is not in the encoding that the request declares."""
        return self._decoder is not None and self._decoder.is_broken

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        super().requestReceived(command, origin_form(path), version)

    def connectionLost(self, reason: Failure) -> None:
        self.is_lost = True
        super().connectionLost(reason)
        if self.on_lost is not None:
            self.on_lost(self)
