"""The control server: a port, and the table of routes on it."""

from __future__ import annotations

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

from comfyfarm.control.routes import analysis, clock, farm, faults, gates, instances, log, openapi, report, wait
from comfyfarm.control.routing import ROUTES, ApiError, Route, answer
from comfyfarm.control.schema.farm import Problem
from comfyfarm.server.farm import Farm
from comfyfarm.server.http.site import FarmSite
from comfyfarm.server.ports import BoundPort, url

# Imported so that every route is registered.
assert all((analysis, clock, farm, faults, gates, instances, log, openapi, report, wait))

_MOST_BYTES = 64 * 1024 * 1024     # a picture may be shown, in Base64


@dataclass(eq=False)
class ControlApi:
    """What can be asked of a farm as a whole."""

    farm: Farm
    app = Klein()
    logger = Logger()

    @app.handle_errors(ApiError)
    def _rejected(self, request: IRequest, failure: Failure) -> bytes:
        why = failure.value
        assert isinstance(why, ApiError)
        return answer(request, Problem(why.error), why.status)

    @app.handle_errors(HTTPException)
    def _unserved(self, request: IRequest, failure: Failure) -> bytes:
        why = failure.value
        assert isinstance(why, HTTPException)
        error = f"{request.method.decode()} {request.path.decode('utf-8', 'replace')}: {why.name}"
        return answer(request, Problem(error), why.code or 500)

    @app.handle_errors(CancelledError)
    def _gone(self, request: IRequest, failure: Failure) -> bytes:
        """The client went away; nobody reads this."""
        return b""

    @app.handle_errors(Exception)
    def _broken(self, request: IRequest, failure: Failure) -> bytes:
        """Our own fault."""
        self.logger.failure("control: {request} failed", failure, request=request)
        return answer(request, Problem("the farm failed; its log says how"), 500)


def _served(route: Route) -> Callable[..., Any]:
    def serve(api: ControlApi, request: IRequest, **names: str) -> Any:
        return route.serve(api.farm, request, names)

    return serve


for _each in ROUTES:
    _method, _path = _each.endpoint.method, _each.endpoint.path.replace("{", "<").replace("}", ">")
    ControlApi.app.route(_path, methods=[_method], endpoint=f"{_method} {_path}")(_served(_each))


@dataclass(eq=False)
class ControlServer(Service):
    """Serves the control API."""

    farm: Farm
    port: BoundPort
    _listening: IListeningPort | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Make the site; nobody listens yet."""
        self.url = self.farm.control_url = url(self.farm.config.farm.host, self.port.number)
        self.site = FarmSite(KleinResource(ControlApi(self.farm).app), self.farm.reactor, _MOST_BYTES)

    def startService(self) -> None:
        """Serve."""
        super().startService()
        self._listening = self.port.listen(self.site)

    async def stopService(self) -> None:
        """Take no more, and hang up."""
        super().stopService()
        if self._listening is None:
            self.port.close()
            return
        await maybeDeferred(self._listening.stopListening)
        if self.site.hang_up():
            await deferLater(self.farm.reactor, 0)
