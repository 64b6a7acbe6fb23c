"""The control server: a port, and the routes on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import msgspec
from klein import Klein
from klein.resource import KleinResource
from twisted.application.service import Service
from twisted.internet.defer import maybeDeferred
from twisted.internet.interfaces import IListeningPort
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from werkzeug.exceptions import HTTPException

from farm.comfy.site import FarmSite
from farm.control.bodies import FarmState, InstanceState, Problem, ResetBody
from farm.ports import BoundPort, url

if TYPE_CHECKING:
    from farm.backend import Backend
    from farm.service import Farm

__all__ = ["ControlApi", "ControlServer"]

T = TypeVar("T")


class Rejected(Exception):
    """The control API says no."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(status, error)
        self.status = status
        self.error = error


def _answer(request: IRequest, body: object, status: int = 200) -> bytes:
    content = msgspec.json.encode(body)
    request.setResponseCode(status)
    request.setHeader(b"content-type", b"application/json")
    request.setHeader(b"content-length", str(len(content)).encode())
    return content


def _read(request: IRequest, kind: type[T]) -> T:
    content = request.content.read() or b"{}"
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.MsgspecError as why:
        raise Rejected(422, str(why)) from why


@dataclass(eq=False)
class ControlApi:
    """What can be asked of a farm as a whole."""

    farm: Farm
    app = Klein()

    @app.route("/healthz", methods=["GET"])
    def healthz(self, request: IRequest) -> bytes:
        """Say that the farm serves."""
        return _answer(request, {"status": "ok"})

    @app.route("/api/farm", methods=["GET"])
    def get_farm(self, request: IRequest) -> bytes:
        """Say where everything is and how it goes."""
        settings = self.farm.config.farm
        state = FarmState(
            control=self.farm.control.url,
            seed=settings.seed or 0,
            speed=settings.speed,
            at_ms=self.farm.time.now_ms(),
            instances={name: _state(backend) for name, backend in self.farm.backends.items()},
        )
        return _answer(request, state)

    @app.route("/api/instances/<name>/reset", methods=["POST"])
    def reset_instance(self, request: IRequest, name: str) -> bytes:
        """Make one instance forget."""
        wanted = _read(request, ResetBody)
        self._backend(name).reset(files=wanted.files)
        return _answer(request, {"status": "ok"})

    @app.route("/api/reset", methods=["POST"])
    def reset(self, request: IRequest) -> bytes:
        """Make all instances forget."""
        wanted = _read(request, ResetBody)
        for backend in self.farm.backends.values():
            backend.reset(files=wanted.files)
        return _answer(request, {"status": "ok"})

    def _backend(self, name: str) -> Backend:
        if name not in self.farm.backends:
            known = ", ".join(self.farm.backends)
            raise Rejected(404, f"no instance is called {name!r}; there are: {known}")
        return self.farm.backends[name]

    @app.handle_errors(Rejected)
    def _rejected(self, request: IRequest, failure: Failure) -> bytes:
        why = failure.value
        assert isinstance(why, Rejected)
        return _answer(request, Problem(why.error), why.status)

    @app.handle_errors(HTTPException)
    def _unserved(self, request: IRequest, failure: Failure) -> bytes:
        why = failure.value
        assert isinstance(why, HTTPException)
        error = f"{request.method.decode()} {request.path.decode()}: {why.name}"
        return _answer(request, Problem(error), why.code or 500)


def _state(backend: Backend) -> InstanceState:
    backend.driver.catch_up()
    backend.driver.set_alarm()
    return InstanceState(
        url=backend.url,
        mode=backend.config.mode,
        input_dir=str(backend.disk.input_dir),
        output_dir=str(backend.disk.output_dir),
        epoch=backend.epoch,
        queue_remaining=backend.instance.queue.remaining,
        history=len(backend.instance.history.entries),
    )


@dataclass(eq=False)
class ControlServer(Service):
    """Serves the control API."""

    farm: Farm
    port: BoundPort
    _listening: IListeningPort | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Make the site; nobody listens yet."""
        self.url = url(self.farm.config.farm.host, self.port.number)
        self.site = FarmSite(KleinResource(ControlApi(self.farm).app), self.farm.reactor)

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
