"""The application of one instance: the objects that its routes share, and the answers to their errors."""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar, cast

from klein import Klein
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from werkzeug.exceptions import HTTPException, NotFound

from comfyfarm.config import InstanceConfig
from comfyfarm.events import Event
from comfyfarm.server.files.disk import Disk
from comfyfarm.server.files.uploads import MAX_FIELDS, TooManyFields
from comfyfarm.server.files.users import Users
from comfyfarm.server.front import server_error, unserved
from comfyfarm.server.http.answer import Answer, aiohttp_answer, json_answer
from comfyfarm.server.http.comfy_request import ComfyRequest
from comfyfarm.server.http.request import send
from comfyfarm.server.server_log import ServerLog
from comfyfarm.server.time.clock import pass_ms
from comfyfarm.server.time.driver import InstanceDriver
from comfyfarm.server.time.turns import in_turns
from comfyfarm.server.websocket.hub import Hub
from comfyfarm.sim.catalogue.catalogue import Catalogue
from comfyfarm.sim.durations import draw_ms
from comfyfarm.sim.errors import ServerError, internal_error
from comfyfarm.sim.instance import Instance
from comfyfarm.versions import Behaviour

T = TypeVar("T")


class ComfyRoutes(Klein):
    """Klein, which also takes over a request whose route was called before (``server/direct_server.py``)."""

    def execute_endpoint(self, endpoint: str, request: IRequest, *args: Any, **kwargs: Any) -> Any:
        served = cast(ComfyRequest, request)
        if served.outcome is None:
            return super().execute_endpoint(endpoint, request, *args, **kwargs)
        (result, reply), served.outcome = served.outcome, None
        if reply is not None:
            served.answer_with(reply)
        return result

_logger = Logger()     # not in the class: Twisted keeps recent log events, and with them the objects that logged


@dataclass(eq=False)
class Moment:
    """See :meth:`ComfyApi.moment`."""

    driver: InstanceDriver

    def __enter__(self) -> int:
        try:
            now_ms = self.driver.catch_up()
        except BaseException:
            self.driver.set_alarm()
            raise
        if self.driver.is_running:
            return now_ms
        self.driver.set_alarm()
        raise CancelledError

    def __exit__(self, *_: object) -> None:
        self.driver.set_alarm()


@dataclass(eq=False)
class ComfyApi:
    """The application that the routes of one instance are registered on, and the objects that they use.

    :ivar config: the present configuration; a change while the process runs replaces it.
    :ivar static_name: the name that a static instance gives its picture in outputs; ``None`` for a dynamic one.
    :ivar system_stats: the body of ``/system_stats``, without the devices if they are simulated.
    :ivar run_or_defer: calls a function now, or after the freeze if the process is frozen.
    :ivar has_advised: whether the advice on unknown node types has been logged.
    """

    config: InstanceConfig
    driver: InstanceDriver
    disk: Disk
    hub: Hub
    users: Users
    server_log: ServerLog
    static_name: str | None
    publish: Callable[[Event], None]
    system_stats: Mapping[str, Any]
    reactor: Any
    run_or_defer: Callable[[Callable[[], None]], None]
    has_advised: bool = False
    app = ComfyRoutes()

    @property
    def instance(self) -> Instance:
        """The simulation; read it within :meth:`moment` if the answer depends on time."""
        return self.driver.instance

    @property
    def catalogue(self) -> Catalogue:
        return self.instance.machine.catalogue

    @property
    def behaviour(self) -> Behaviour:
        """What the instance's version does."""
        return self.instance.machine.behaviour

    @cached_property
    def plain_system_stats(self) -> Answer:
        """The answer of ``/system_stats`` without simulated devices, encoded once."""
        return json_answer(self.system_stats)

    def require(self, has_route: bool) -> None:
        """Continue if this version has a route.

        :raises NotFound: if not; then the page's folder answers for the path.
        """
        if not has_route:
            raise NotFound

    def unix_seconds(self) -> float:
        """Return the simulated time as Unix time in seconds."""
        return (self.instance.machine.unix_ms + self.driver.time.now_ms()) / 1000

    @cached_property
    def _moment(self) -> Moment:
        return Moment(self.driver)

    def moment(self) -> Moment:
        """Bring the simulation up to now, give the simulated time in milliseconds, and then schedule its next step.

        On entry it raises CancelledError if the process has ended, so that the request must not be handled.
        """
        return self._moment

    def in_turns(self, steps: Generator[None, None, T]) -> Deferred[T]:
        """Run the first step of long work now, and each further one in a turn of its own."""
        return in_turns(self.reactor, steps, self.run_or_defer)

    def upload_delay(self) -> Deferred[None]:
        """Return a Deferred that fires when the simulated duration of an upload is over."""
        machine = self.instance.machine
        timing = machine.settings.timing
        upload_ms = draw_ms(timing.upload, timing.jitter, machine.upload_chance)
        return pass_ms(self.driver.time, upload_ms).addCallback(self._after_freeze)

    def _after_freeze(self, _: None) -> Deferred[None]:
        released: Deferred[None] = Deferred()
        self.run_or_defer(lambda: released.callback(None))
        return released

    @app.handle_errors(TooManyFields)
    def _on_too_many_fields(self, request: IRequest, failure: Failure) -> bytes:
        return send(request, aiohttp_answer(413, f"Maximum number of form fields {MAX_FIELDS} exceeded."))

    @app.handle_errors(ServerError)
    def _on_server_error(self, request: IRequest, failure: Failure) -> bytes:
        """Answer with the 500 that ComfyUI would send; it is part of the simulation, so nothing is logged."""
        return send(request, server_error(request))

    @app.handle_errors(HTTPException)
    def _on_missing_route(self, request: IRequest, failure: Failure) -> bytes:
        assert isinstance(failure.value, HTTPException)
        return send(request, unserved(request.method.decode(), failure.value))

    @app.handle_errors(CancelledError)
    def _on_cancelled(self, request: IRequest, failure: Failure) -> bytes:
        """Answer nothing: the client has disconnected, or the process has ended."""
        return b""

    @app.handle_errors(Exception)
    def _on_bug(self, request: IRequest, failure: Failure) -> bytes:
        """Log an error of the farm itself; the client gets the same 500 as from ComfyUI."""
        _logger.failure("{name}: {request} failed", failure, name=self.config.name, request=request)
        assert failure.value is not None
        shown = f"{request.method.decode()} {request.path.decode('utf-8', 'replace')}"
        self.publish(internal_error(failure.value, self.driver.time.now_ms(), request=shown))
        return send(request, server_error(request))
