"""The control server: a port with the routes of the control API."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from klein import Klein
from klein.resource import KleinResource
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, maybeDeferred
from twisted.internet.interfaces import IListeningPort
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from werkzeug.exceptions import HTTPException

from comfyfarm.control.routes import analysis, clock, faults, instances, log, openapi, wait
from comfyfarm.control.routing import ROUTES, ApiError, Route, answer
from comfyfarm.control.schema.farm import Problem
from comfyfarm.server.farm import Farm
from comfyfarm.server.http.site import FarmSite
from comfyfarm.server.ports import BoundPort, url
from comfyfarm.server.snapshots import NoResult

_logger = Logger()     # not in the class: Twisted keeps recent log events, and with them the objects that logged

# Imported so that every route is registered.
assert all((analysis, clock, faults, instances, log, openapi, wait))

_MAX_BYTES = 64 * 1024 * 1024     # a picture may be sent, in Base64


@dataclass(eq=False)
class ControlApi:
    """The routes of the control API, and its answers to requests that fail."""

    farm: Farm
    app = Klein()

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


@dataclass(eq=False)
class ControlServer(Service):
    """Serves the control API."""

    farm: Farm
    port: BoundPort
    url: str = field(init=False)
    site: FarmSite = field(init=False, repr=False)
    _listening: IListeningPort | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.url = self.farm.control_url = url(self.farm.config.farm.host, self.port.number)
        self.site = FarmSite(KleinResource(ControlApi(self.farm).app), self.farm.reactor, _MAX_BYTES)

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
