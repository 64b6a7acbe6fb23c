"""The control server: a port with the routes of the control API."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from mimetypes import guess_type
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

from klein import Klein
from klein.resource import KleinResource
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, maybeDeferred
from twisted.internet.interfaces import IListeningPort
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from comfyfarm.control.access import Access, GuardedResource
from comfyfarm.control.routes import analysis, clock, faults, instances, log, metrics, openapi, page, wait
from comfyfarm.control.routing import ROUTES, ApiError, Route, answer
from comfyfarm.control.schema.farm import Problem
from comfyfarm.server.farm import Farm
from comfyfarm.server.http.site import FarmSite
from comfyfarm.server.ports import BoundPort, url
from comfyfarm.server.snapshots import NoResult

_logger = Logger()     # not in the class: Twisted keeps recent log events, and with them the objects that logged

# Imported so that every route is registered.
assert all((analysis, clock, faults, instances, log, metrics, openapi, page, wait))

_PAGE = Path(__file__).parent / "page"
_MAX_BYTES = max(route.endpoint.max_bytes for route in ROUTES)


@cache
def _page_files() -> dict[str, Path]:
    """Return the files of the page by their paths."""
    return {str(path.relative_to(_PAGE)): path for path in _PAGE.rglob("*") if path.is_file()}


@dataclass(eq=False)
class ControlApi:
    """The routes of the control API, and its answers to requests that fail."""

    farm: Farm
    app = Klein()

    @app.route("/")
    def page(self, request: IRequest) -> bytes:
        request.setHeader(b"content-type", b"text/html; charset=utf-8")
        return (_PAGE / "index.html").read_bytes()

    @app.route("/page/<path:file>")
    def page_file(self, request: IRequest, file: str) -> bytes:
        if file not in _page_files():
            raise NotFound
        request.setHeader(b"content-type", (guess_type(file)[0] or "text/plain").encode())
        return _page_files()[file].read_bytes()

    @app.handle_errors(ApiError)
    def _on_api_error(self, request: IRequest, failure: Failure) -> bytes:
        error = failure.value
        assert isinstance(error, ApiError)
        return answer(request, Problem(error.error), error.status)

    @app.handle_errors(HTTPException)
    def _on_http_error(self, request: IRequest, failure: Failure) -> bytes:
        """Answer a request with an unknown path or a wrong method."""
        error = failure.value
        assert isinstance(error, HTTPException)
        if isinstance(error, MethodNotAllowed):
            request.setHeader(b"allow", ", ".join(sorted(error.valid_methods or ())).encode())
        text = f"{request.method.decode()} {request.path.decode('utf-8', 'replace')}: {error.name}"
        return answer(request, Problem(text), error.code or 500)

    @app.handle_errors(NoResult)
    def _on_no_result(self, request: IRequest, failure: Failure) -> bytes:
        return answer(request, Problem(str(failure.value)), 503)

    @app.handle_errors(CancelledError)
    def _on_cancelled(self, request: IRequest, failure: Failure) -> bytes:
        return b""      # the client went away

    @app.handle_errors(Exception)
    def _on_bug(self, request: IRequest, failure: Failure) -> bytes:
        _logger.failure("control: {request} failed", failure, request=request)
        return answer(request, Problem("the farm failed; its log says how"), 500)


def _handler(route: Route) -> Callable[..., Any]:
    def handle(api: ControlApi, request: IRequest, **names: str) -> Any:
        return route.serve(api.farm, request, names)

    return handle


for _route in ROUTES:
    _method, _path = _route.endpoint.method, _route.endpoint.path.replace("{", "<").replace("}", ">")
    ControlApi.app.route(_path, methods=[_method], endpoint=f"{_method} {_path}")(_handler(_route))


class _ControlResource(KleinResource):
    """The routes, and the answer to a path that is no text, for which Klein would log an error."""

    def render(self, request: IRequest) -> Any:
        try:
            unquote_to_bytes(request.path).decode()
        except UnicodeDecodeError:
            return answer(request, Problem("the path is not UTF-8"), 400)
        return super().render(request)


@dataclass(eq=False)
class ControlServer(Service):
    """Serves the control API.

    :ivar access: who may use it.
    """

    farm: Farm
    port: BoundPort
    url: str = field(init=False)
    access: Access = field(init=False, repr=False)
    site: FarmSite = field(init=False, repr=False)
    _listening: IListeningPort | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.url = self.farm.control_url = url(self.farm.config.farm.url_host, self.port.number)
        self.access = Access.of(self.farm.config.farm)
        routes = GuardedResource(self.access, _ControlResource(ControlApi(self.farm).app))
        self.site = FarmSite(routes, self.farm.reactor, _MAX_BYTES, self.farm.lag.on_traffic)

    def startService(self) -> None:
        super().startService()
        self._listening = self.port.listen(self.site)

    async def stopService(self) -> None:
        """Close the port and all connections."""
        super().stopService()
        if self._listening is None:
            self.port.close()
            return
        await maybeDeferred(self._listening.stopListening)
        if self.site.hang_up():
            await deferLater(self.farm.reactor, 0)
