"""The resource in front of an instance's routes: what holds for every request (docs/fidelity.md, "HTTP").

It does what aiohttp does before routing: the ``/api`` twin of each path, the origin check, OPTIONS, and the answer to a
path without a route.  It is also where an exchange with armed faults branches off.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import unquote

from klein.resource import KleinResource
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from comfyfarm.server.http.answer import CLOSES, SERVER, Answer, aiohttp_answer
from comfyfarm.server.http.comfy_request import ComfyRequest
from comfyfarm.server.http.faults import BadFault, HttpFaultInjector
from comfyfarm.server.http.headers import allow_origin, is_foreign
from comfyfarm.server.http.request import header, prompt_source, send
from comfyfarm.server.http.request_content import shown_body, shown_headers
from comfyfarm.server.http.request_facts import without_prefix
from comfyfarm.server.http.response_writer import is_success
from comfyfarm.versions import DEFAULT_BEHAVIOUR, Behaviour

_ONLY_WITH_PREFIX = ("/jobs", "/assets", "/tags", "/tasks")
_ONLY_WITHOUT_PREFIX = ("/internal",)
_ERROR_PAGE = b"""<html><head><title>500 Internal Server Error</title></head><body>
<h1>500 Internal Server Error</h1>
Server got itself in trouble
</body></html>
"""


def server_error(request: IRequest) -> Answer:
    """Return the answer of aiohttp if a handler of ComfyUI raises."""
    if "text/html" in (header(request, "accept") or ""):
        headers = (("Content-Type", "text/html; charset=utf-8"), CLOSES)
        return Answer(500, headers, _ERROR_PAGE, is_raised=True)
    return aiohttp_answer(500, "500 Internal Server Error\n\nServer got itself in trouble", CLOSES)


def unserved(method: str, error: HTTPException) -> Answer:
    """Return the answer to a path without a route: a GET has reached the folder of the web page, others get a 405."""
    if method == "GET":
        return Answer(404, (("Content-Type", "application/octet-stream"),))
    if method == "HEAD":
        return Answer(404)
    valid = error.valid_methods if isinstance(error, MethodNotAllowed) else None
    allowed = ({*(valid or ())} | {"GET", "HEAD"}) - {"OPTIONS"}
    return aiohttp_answer(405, "405: Method Not Allowed", ("Allow", ",".join(sorted(allowed))))


def _without_a_folder(method: bytes) -> Answer:
    """Return the answer to a path that leads to no folder of the page: one that begins with ``//``, or an empty one."""
    if method in (b"GET", b"HEAD", b"CONNECT"):
        return aiohttp_answer(404, "404: Not Found")
    return aiohttp_answer(405, "405: Method Not Allowed", ("Allow", "GET,HEAD"))


@dataclass(eq=False)
class FrontResource(Resource):
    """Handles every request to one instance before its route does.

    :ivar on_end: called when a request is over, with the status that was sent (0 for none) and the number of body
        bytes sent.
    :ivar allowed_origin: the origin whose web pages may read the answers, ``*`` for all; ``None``: requests from
        pages of any other origin are refused.
    :ivar keeps_content: whether headers and body of each request are kept in the event log.
    """

    name: str
    routes: KleinResource
    fault_injector: HttpFaultInjector
    on_end: Callable[[ComfyRequest, int, int], None]
    max_body_bytes: int
    allowed_origin: str | None = None
    behaviour: Behaviour = DEFAULT_BEHAVIOUR
    keeps_content: bool = False
    isLeaf: bool = field(default=True, init=False)

    def __post_init__(self) -> None:
        super().__init__()

    def render(self, request: ComfyRequest) -> Any:
        """Handle a request: refuse it, pass it to its route, or run it as a faulty exchange."""
        request.behaviour = self.behaviour
        self.begin(request)
        self.set_defaults(request)
        refusal = self._refuse(request)
        if refusal is not None and request.method == b"POST":   # no route will read the job from it
            source = prompt_source(request, self.fault_injector.driver.instance.names)
            request.record.job = source.job or source.header or ""
        try:
            faulty_exchange = self.fault_injector.exchange_for(request, is_refused=refusal is not None)
        except BadFault as error:
            faulty_exchange, refusal = None, aiohttp_answer(400, str(error))
        if faulty_exchange is None:
            self._serve(request, refusal)
        else:
            faulty_exchange.begin(
                work=partial(self._write_answer, request, refusal),
                hand_over=partial(self._serve, request, refusal),
                on_end=partial(self.on_end, request),
            )
        return NOT_DONE_YET

    def begin(self, request: ComfyRequest) -> None:
        """Note of a request that is handled now when it was received and, if it shall be kept, what it says."""
        received_ms: int | None = request.connection.received_ms
        record = request.record
        record.began_ms = self.fault_injector.driver.time.now_ms() if received_ms is None else received_ms
        record.traceparent = request.traceparent
        if self.keeps_content:
            record.request_headers = shown_headers(request.fields)
            assert request.content is not None, "it has been received"
            record.request_body = shown_body(request.content.read())
            request.content.seek(0)

    def set_defaults(self, request: Request) -> None:
        """Set the headers that every answer has."""
        request.setHeader(b"server", SERVER)
        request.setHeader(b"x-comfyfarm-instance", self.name.encode())
        if self.allowed_origin is not None:
            allow_origin(request, self.allowed_origin)

    def _serve(self, request: ComfyRequest, refusal: Answer | None) -> None:
        """Handle a request without faults, and report its end."""
        request.notifyFinish().addBoth(partial(self._on_served, request))
        self._write_answer(request, refusal)

    def _on_served(self, request: ComfyRequest, failure: Failure | None) -> None:
        status = _sent_status(request)
        if failure is not None and is_success(status):
            request.record.damage = "cut"
        self.on_end(request, status, request.sentLength)

    def _write_answer(self, request: Request, refusal: Answer | None) -> None:
        """Write the refusal, or the answer of the route (which may come later)."""
        if refusal is not None:
            body: Any = send(request, refusal)
        else:
            request.prepath, request.postpath = [], _route_segments(request)
            body = self.routes.render(request)
        if body is not NOT_DONE_YET:
            request.setHeader(b"content-length", b"%d" % len(body))
            request.write(body)
            request.finish()

    def _refuse(self, request: ComfyRequest) -> Answer | None:
        """Return the answer to a request that never reaches a route, or ``None``."""
        expect = request.requestHeaders.getRawHeaders(b"expect", [b""])[0]
        if expect and expect.lower() != b"100-continue" and request.clientproto == b"HTTP/1.1":
            return aiohttp_answer(417, f"Unknown Expect: {expect.decode('utf-8', 'replace')}")
        if request.too_large:
            return aiohttp_answer(413, f"Maximum request body size {self.max_body_bytes} exceeded.")
        if self.allowed_origin is None:
            try:
                site = header(request, "sec-fetch-site") if self.behaviour.refuses_cross_site else None
                if is_foreign(header(request, "host"), header(request, "origin"), site):
                    return Answer(403)
            except ValueError:
                return server_error(request)
        if request.method == b"OPTIONS":
            return Answer(200)
        if request.path.startswith(b"//") or not request.path.startswith(b"/"):
            return _without_a_folder(request.method)
        return None


def _sent_status(request: Request) -> int:
    return request.code if request.startedWriting or request.finished else 0


def route_path(full_path: str) -> str | None:
    """Return the path of a request as the routes have it, without ``/api``; ``None`` if there is no such route."""
    path, prefixed = without_prefix(full_path), full_path.startswith("/api/")
    # Klein would read two slashes as one.
    is_none = "//" in path or path.startswith(_ONLY_WITHOUT_PREFIX if prefixed else _ONLY_WITH_PREFIX)
    return None if is_none else path


def _route_segments(request: Request) -> list[bytes]:
    """Return the path for the routes, with a ``/`` inside a segment still quoted."""
    full_path = request.path.decode("utf-8", "replace")
    path = route_path(full_path)
    if path is None:    # it gets a prefix under which there is no route
        path = f"/unserved{full_path}"
    parts = path.removeprefix("/").split("/")
    # Klein accepts UTF-8 only; other bytes become the replacement character, as in the arguments of a route.
    return [unquote(part).encode().replace(b"%", b"%25").replace(b"/", b"%2F") for part in parts]
