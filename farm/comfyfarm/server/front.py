"""What holds for every request, before any route is looked for (docs/fidelity.md, "HTTP").

Here stand aiohttp's ways: the ``/api`` twin of each path, the origin check, OPTIONS, and what a path gets that
nobody serves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import unquote

from klein.resource import KleinResource
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from comfyfarm.server.http.answer import Answer, empty, text_answer
from comfyfarm.server.http.fault_header import BadFault
from comfyfarm.server.http.faults import HttpFaultInjector
from comfyfarm.server.http.headers import allow_origin, is_foreign
from comfyfarm.server.http.request import header, send
from comfyfarm.server.http.site import ComfyRequest

_ONLY_WITH_PREFIX = ("/jobs", "/assets", "/tags")
_ONLY_WITHOUT_PREFIX = ("/internal",)
_SERVER = b"Python/3.11 aiohttp/3.14.5"
_ERROR_PAGE = b"""<html><head><title>500 Internal Server Error</title></head><body>
<h1>500 Internal Server Error</h1>
Server got itself in trouble
</body></html>
"""


def _text(status: int, text: str, *headers: tuple[str, str]) -> Answer:
    return text_answer(text, status, *headers, is_raised=True)


def server_error(accept: str) -> Answer:
    """ComfyUI's handler raised."""
    if "text/html" in accept:
        return Answer(500, (("Content-Type", "text/html; charset=utf-8"),), _ERROR_PAGE, is_raised=True)
    return _text(500, "500 Internal Server Error\n\nServer got itself in trouble")


def unserved(method: str, why: HTTPException) -> Answer:
    """No route serves this: reading falls through to the folder of the web page, and any other method is refused."""
    if method == "GET":
        return Answer(404, (("Content-Type", "application/octet-stream"),))
    if method == "HEAD":
        return empty(404)
    valid = why.valid_methods if isinstance(why, MethodNotAllowed) else None
    allowed = ({*(valid or ())} | {"GET", "HEAD"}) - {"OPTIONS"}
    return _text(405, "405: Method Not Allowed", ("Allow", ",".join(sorted(allowed))))


@dataclass(eq=False)
class FrontResource(Resource):
    """Stands before one instance's routes.

    :ivar fault_injector: what goes wrong here on purpose.
    :ivar on_end: called with each request when it is over: with the status that went out, 0 where none did, and how
        many bytes of the body did.
    :ivar most_bytes: of any body.
    :ivar allowed_origin: whose web pages may read the answers, ``*`` for anybody's; ``None``: those of any other
        origin are turned away.
    """

    name: str
    routes: KleinResource
    fault_injector: HttpFaultInjector
    on_end: Callable[[ComfyRequest, int, int], None]
    most_bytes: int
    allowed_origin: str | None = None
    isLeaf: bool = field(default=True, init=False)

    def __post_init__(self) -> None:
        """Be a resource."""
        super().__init__()

    def render(self, request: ComfyRequest) -> Any:
        """Answer, or let a route answer, or let go wrong what shall."""
        came_ms = request.line.came_ms
        request.about.began_ms = self.fault_injector.now_ms() if came_ms is None else came_ms
        request.setHeader(b"server", _SERVER)
        request.setHeader(b"x-comfyfarm-instance", self.name.encode())
        if self.allowed_origin is not None:
            allow_origin(request, self.allowed_origin)
        refusal = self._refuse(request)
        if refusal is not None and request.method == b"POST":   # its body is not looked at
            request.about.job = header(request, "x-comfyfarm-job") or ""
        try:
            exchange_of = self.fault_injector.exchange_of(request, is_refused=refusal is not None)
        except BadFault as why:
            exchange_of, refusal = None, _text(400, str(why))
        if exchange_of is None:
            self._serve(request, refusal)
        else:
            exchange_of.begin(
                work=partial(self._work, request, refusal),
                hand_over=partial(self._serve, request, refusal),
                on_end=partial(self.on_end, request),
            )
        return NOT_DONE_YET

    def _serve(self, request: ComfyRequest, refusal: Answer | None) -> None:
        request.notifyFinish().addBoth(lambda _: self.on_end(request, _status(request), request.sentLength))
        self._work(request, refusal)

    def _work(self, request: Request, refusal: Answer | None) -> None:
        """Write the answer, at once or later."""
        if refusal is not None:
            body: Any = send(request, refusal)
        else:
            request.prepath, request.postpath = [], _segments(request)
            body = self.routes.render(request)
        if body is not NOT_DONE_YET:
            request.setHeader(b"content-length", b"%d" % len(body))
            request.write(body)
            request.finish()

    def _refuse(self, request: ComfyRequest) -> Answer | None:
        """The answer to what never reaches a route, or ``None``."""
        if request.too_large:
            return _text(413, f"Maximum request body size {self.most_bytes} exceeded.")
        if self.allowed_origin is None:
            try:
                if _is_foreign(request):
                    return empty(403)
            except ValueError:
                return server_error(header(request, "accept") or "")
        if request.method == b"OPTIONS":
            return empty(200)
        if request.path.startswith(b"//"):
            return _text(404, "404: Not Found")
        return None


def _status(request: Request) -> int:
    return request.code if request.startedWriting or request.finished else 0


def _is_foreign(request: Request) -> bool:
    return is_foreign(header(request, "host"), header(request, "origin"), header(request, "sec-fetch-site"))


def _segments(request: Request) -> list[bytes]:
    """The path for the routes: without the prefix, and with a ``/`` inside a segment still quoted."""
    path = request.path.decode("utf-8", "replace")
    prefixed = path.startswith("/api/")
    if prefixed:
        path = path.removeprefix("/api")
        if path.startswith("/api/jobs"):    # declared with its prefix, and so twice
            path = path.removeprefix("/api")
    # Klein would read two slashes as one.
    if "//" in path or path.startswith(_ONLY_WITHOUT_PREFIX if prefixed else _ONLY_WITH_PREFIX):
        path = "/api" + path if prefixed else "/unprefixed" + path
    parts = path.removeprefix("/").split("/")
    # Klein takes UTF-8 only; what is none becomes the sign for it, as in the names that a route is given.
    return [unquote(part).encode().replace(b"%", b"%25").replace(b"/", b"%2F") for part in parts]
