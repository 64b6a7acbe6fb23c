"""Serves ordinary requests to an instance directly: past Twisted's parser, Klein's matcher and objects for headers.

What is served so:

1. a request that came whole and alone, with an ordinary head (``http/whole_request.py``);
2. to an instance without armed faults, from a client that is no web page;
3. for a path that :class:`~comfyfarm.server.route_table.RouteTable` knows.

Its route is called at once.  If it returns an answer, head and body are written together: the same bytes that Twisted
and Klein would have written (``tests/memory/test_direct_serving.py`` compares them for every route and method).  If it
raises, or returns anything else (the Deferred of a coroutine, a resource), the request and this outcome are handed over
to Twisted and Klein, which deal with it as with any other.  What is not served so takes the long way from the start.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import NO_BODY_CODES, RESPONSES
from twisted.web.http_headers import Headers

from comfyfarm.server.front import FrontResource
from comfyfarm.server.http.answer import CLOSES, Answer
from comfyfarm.server.http.comfy_request import ComfyRequest
from comfyfarm.server.http.whole_request import WholeRequest
from comfyfarm.server.route_table import FoundRoute, RouteTable

_logger = Logger()     # not in the class: Twisted keeps recent log events, and with them the objects that logged
_MOST_HEADS = 64


@dataclass(eq=False)
class DirectServer:
    """Serves those requests to one process of an instance that need nothing unusual.

    :ivar api: what the routes are called with.
    :ivar seconds: real time; the date in an answer changes with it.
    """

    api: object
    front: FrontResource
    table: RouteTable
    seconds: Callable[[], float]
    _heads: dict[tuple[int, tuple[tuple[str, str], ...]], bytes] = field(default_factory=dict, init=False)
    _second: int = field(default=-1, init=False)
    _defaults: dict[bytes, bytes] = field(default_factory=dict, init=False)

    def serve(self, channel: Any, whole: WholeRequest) -> bool:
        """Serve a request; return whether that was done, or the request has still to take the long way."""
        route = self._route(whole)
        if route is None:
            return False
        front = self.front
        request = ComfyRequest.whole(channel, whole, front.set_defaults)
        request.behaviour = front.behaviour
        front.begin(request)
        request.on_lost = self._on_lost
        channel.requests.append(request)    # where a loss of the connection is looked for
        try:
            result: Any = route.handler(self.api, request, **route.arguments)
        except Exception:  # noqa: BLE001 (Klein's handlers of errors get it)
            result = Failure()
        if request.is_lost:
            _drop(result)
        elif request.finished:      # the route has written the answer itself
            front.on_end(request, request.code, request.sentLength)
        elif not self._write(request, result):
            request.outcome, request.reply, request.on_lost = (result, request.reply), None, None
            channel.hand_over(whole.line)
        return True

    def _on_lost(self, request: ComfyRequest) -> None:
        self.front.on_end(request, 0, 0)

    def _route(self, whole: WholeRequest) -> FoundRoute | None:
        front, fields = self.front, whole.fields
        if not front.fault_injector.is_idle or fields.body_bytes > front.max_body_bytes:
            return None
        if fields.is_of_page and front.allowed_origin is None:
            return None
        texts = whole.line.texts
        return self.table.find(texts["method"], texts["path"])

    def _write(self, request: ComfyRequest, result: Any) -> bool:
        """Write the answer of a route, and return True; return False if it is none, or an unusual one."""
        reply = request.reply
        if reply is None or result is not reply.body or reply.is_raised:
            return False
        head = self._head(request, reply)
        if head is None:
            return False
        channel, body = request.connection, reply.body
        channel.requests.clear()
        channel.write_now(b"%b%d\r\n\r\n" % (head, len(body)), body)
        self.front.on_end(request, reply.status, len(body))
        return True

    def _head(self, request: ComfyRequest, reply: Answer) -> bytes | None:
        """Return the head of an answer up to its length, which comes last; ``None`` for an unusual one."""
        second = int(self.seconds())
        if second != self._second:
            self._second, self._defaults = second, self._default_fields(request)
            self._heads.clear()
        key = reply.status, reply.headers
        head = self._heads.get(key)
        if head is None and _is_usual(reply):
            head = self._make_head(reply)
            if len(self._heads) < _MOST_HEADS:
                self._heads[key] = head
        return head

    def _default_fields(self, request: ComfyRequest) -> dict[bytes, bytes]:
        """Return the header fields that every answer of this second has, in their order."""
        like_it = ComfyRequest(request.connection)
        like_it.set_defaults = self.front.set_defaults
        return {name: values[0] for name, values in like_it.responseHeaders.getAllRawHeaders()}

    def _make_head(self, reply: Answer) -> bytes:
        # No caching headers: there are some only for paths with a dot, which are not served directly.
        own = {_as_sent(name): value.encode() for name, value in reply.headers}
        fields = b"".join([b"%b: %b\r\n" % field for field in (self._defaults | own).items()])
        return b"HTTP/1.1 %d %b\r\n%bContent-Length: " % (reply.status, RESPONSES[reply.status], fields)


@lru_cache
def _as_sent(name: str) -> bytes:
    """Return the name of a header field as Twisted writes it."""
    return next(name for name, _ in Headers({name: [""]}).getAllRawHeaders())


def _is_usual(reply: Answer) -> bool:
    is_plain = all(value.isascii() and value.isprintable() for _, value in reply.headers)
    return reply.status in RESPONSES and reply.status not in NO_BODY_CODES and is_plain and CLOSES not in reply.headers


def _drop(result: Any) -> None:
    """Do nothing with the outcome of a route whose client has disconnected, or whose process has ended, meanwhile."""
    if isinstance(result, Deferred):
        result.addErrback(lambda failure: failure.trap(CancelledError))
        result.cancel()
    elif isinstance(result, Failure) and not result.check(CancelledError):
        _logger.failure("a request failed whose client had disconnected", result)
