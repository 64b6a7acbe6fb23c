"""What the routes of one instance have at hand, and what they do when something goes wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from klein import Klein
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from werkzeug.exceptions import HTTPException

from comfyfarm.config import InstanceConfig
from comfyfarm.events import Event
from comfyfarm.server.files.disk import Disk
from comfyfarm.server.files.users import Users
from comfyfarm.server.front import server_error, unserved
from comfyfarm.server.http.request import answer, header, send
from comfyfarm.server.server_log import ServerLog
from comfyfarm.server.time.alarm import pass_ms
from comfyfarm.server.time.driver import InstanceDriver
from comfyfarm.server.version import Version, version_of
from comfyfarm.server.websocket.hub import Hub
from comfyfarm.sim.catalogue.catalogue import Catalogue
from comfyfarm.sim.durations import draw_ms
from comfyfarm.sim.errors import PromptRejected, ServerError
from comfyfarm.sim.instance import Instance
from comfyfarm.sim.jobs_api import OutputRules


@dataclass(eq=False)
class ComfyApi:
    """The routes of one instance.

    :ivar config: as it was started: mode, version, flags.
    :ivar static_name: how the outputs of a static instance name its picture; ``None`` for a dynamic one.
    :ivar publish: says what happened.
    :ivar system_stats: the machine, apart from what its memory comes to.
    :ivar run_or_defer: lets something happen now, or later where the process is frozen.
    :ivar has_advised: whether somebody was told what to do about unknown node types.
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
    run_or_defer: Callable[[Callable[[], None]], None]
    has_advised: bool = False
    app = Klein()
    log = Logger()

    @property
    def name(self) -> str:
        """The instance's name."""
        return self.config.name

    @property
    def instance(self) -> Instance:
        """The simulation; to be asked within :meth:`moment` where the answer depends on time."""
        return self.driver.instance

    @property
    def catalogue(self) -> Catalogue:
        """What the instance has."""
        return self.instance.machine.catalogue

    @property
    def version(self) -> Version:
        """What it can do."""
        return version_of(self.config.comfyui_version)

    @property
    def output_rules(self) -> OutputRules:
        """How it looks at a job's outputs."""
        return OutputRules(self.version.counts_texts, self.version.previews_documents)

    def unix_seconds(self) -> float:
        """What a client's clock says now."""
        return (self.instance.machine.unix_ms + self.driver.time.now_ms()) / 1000

    @contextmanager
    def moment(self) -> Iterator[int]:
        """The simulated moment of a request, in milliseconds: what was due has happened, what follows is awaited.

        :raises CancelledError: where the process has ended: nobody does this work any more.
        """
        try:
            now_ms = self.driver.catch_up()
            if not self.driver.is_running:
                raise CancelledError
            yield now_ms
        finally:
            self.driver.set_alarm()

    def upload_passes(self) -> Deferred[None]:
        """Wait as long as an upload takes on this machine."""
        machine = self.instance.machine
        timing = machine.settings.timing
        upload_ms = draw_ms(timing.upload, timing.jitter, machine.upload_chance)
        return pass_ms(self.driver.clock, self.driver.time, upload_ms).addCallback(self._unless_frozen)

    def _unless_frozen(self, _: None) -> Deferred[None]:
        going_on: Deferred[None] = Deferred()
        self.run_or_defer(lambda: going_on.callback(None))
        return going_on

    @app.handle_errors(PromptRejected)
    def _refused(self, request: IRequest, failure: Failure) -> bytes:
        """Say no as ComfyUI says it."""
        refusal = failure.value
        assert isinstance(refusal, PromptRejected)
        return answer(request, refusal.body, 400)

    @app.handle_errors(ServerError)
    def _raised(self, request: IRequest, failure: Failure) -> bytes:
        """ComfyUI's own 500, which is no error of ours."""
        return send(request, server_error(header(request, "accept") or ""))

    @app.handle_errors(HTTPException)
    def _unserved(self, request: IRequest, failure: Failure) -> bytes:
        """No route matched."""
        why = failure.value
        assert isinstance(why, HTTPException)
        return send(request, unserved(request.method.decode(), why))

    @app.handle_errors(CancelledError)
    def _gone(self, request: IRequest, failure: Failure) -> bytes:
        """The client went away; nobody reads this."""
        return b""

    @app.handle_errors(Exception)
    def _broken(self, request: IRequest, failure: Failure) -> bytes:
        """Our own fault: the client gets ComfyUI's 500, and the log says what it was."""
        self.log.failure("{name}: {request} failed", failure, name=self.name, request=request)
        return send(request, server_error(header(request, "accept") or ""))
