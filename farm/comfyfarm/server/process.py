"""A process of an instance: everything that begins and ends with one run of the server that the instance plays.

An instance (:class:`~comfyfarm.server.backend.Backend`) has one process at a time; the number of a process is its
*epoch*.  What a process does is all in its parts: the simulation (``instance``), the HTTP site (``site``), the
websockets (``hub``, ``outbox``, ``notifier``) and the server log.  This module puts them together and moves the process
from state to state:

               open()             end of the boot             pause
    (stopped) --------> booting ------------------> running ----------> paused
                                                     |   ^   <----------
                                              freeze |   | thaw   resume
                                                     v   |
                                                     frozen

    in any state:  end() -> stopped, for good;  the next process is a new object

- *booting*: the port is bound, but connections are refused.  ``timing.boot`` says for how long, and longer if another
  program has taken the port meanwhile.
- *paused*: the worker takes no further step; clients are served.
- *frozen*: the port is open, but clients are not served and nothing is sent.  Received bytes and events wait in the
  ``FreezeQueue`` (``http/freeze_queue.py``).  The simulation goes on, unless the worker is frozen too.  A process
  that is paused and frozen shows as frozen.
- ``refuse`` and ``accept`` close and open the port in any of these states; connections that are open stay.

Three things outlive a process; the ``Backend`` keeps them and hands them to the next one:

    InstanceStorage   folders, users, file name counters and random streams: every process uses the same ones
    ReopenablePort    the port's number: bound all the time, open only while a process listens
    CarriedState      queue, history and loaded models, as far as a crash keeps them: returned by end(); the next
                      process takes the models at its start, jobs and history at the end of its boot
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from klein.resource import KleinResource
from twisted.internet.task import deferLater

from comfyfarm.config import InstanceConfig
from comfyfarm.events import Event, Frozen, PortBlocked, Refusing, ServerReady, SocketClosed, SocketOpened, Thawed
from comfyfarm.events.handler import by_type
from comfyfarm.faults.editing import encode_message
from comfyfarm.faults.registry import InstanceFaults
from comfyfarm.faults.targets import Kept
from comfyfarm.server import routes
from comfyfarm.server.api import ComfyApi
from comfyfarm.server.context import FarmContext
from comfyfarm.server.direct_server import DirectServer
from comfyfarm.server.feature_flags import server_flags
from comfyfarm.server.files.disk import EXAMPLE
from comfyfarm.server.front import FrontResource
from comfyfarm.server.http.comfy_request import ComfyRequest
from comfyfarm.server.http.faults import HttpFaultInjector
from comfyfarm.server.http.freeze_queue import FreezeQueue
from comfyfarm.server.http.headers import allowed_origin
from comfyfarm.server.http.request import exchanged_event
from comfyfarm.server.http.site import FarmSite
from comfyfarm.server.ports import ReopenablePort, url
from comfyfarm.server.route_table import RouteTable
from comfyfarm.server.server_log import ServerLog
from comfyfarm.server.storage import InstanceStorage
from comfyfarm.server.time.clock import Alarm
from comfyfarm.server.time.driver import InstanceDriver
from comfyfarm.server.websocket.faults import WebSocketFaultInjector
from comfyfarm.server.websocket.hub import Hub, Socket
from comfyfarm.server.websocket.message import OutgoingMessage
from comfyfarm.server.websocket.notifier import WebSocketNotifier
from comfyfarm.server.websocket.outbox import Outbox
from comfyfarm.sim.cache import ResultCache
from comfyfarm.sim.catalogue.catalogue import Catalogue
from comfyfarm.sim.durations import draw_ms
from comfyfarm.sim.instance import CarriedState, Instance
from comfyfarm.sim.machine import Machine
from comfyfarm.sim.memory import Memory

assert routes   # imported so that every route is registered
_ROUTES = RouteTable(ComfyApi.app)
State = Literal["booting", "running", "paused", "frozen", "stopped"]


@dataclass(eq=False, repr=False)
class InstanceProcess:
    """One process of an instance; the head of this module explains its states.

    :ivar number: the epoch: how many times the instance has been started, this time included.
    :ivar config: the present configuration; some of it may change while the instance runs.
    :ivar carried_state: what the process before has left, until this one takes it at the end of its boot.
    :ivar has_ended: it was stopped or has crashed.
    :ivar is_refusing: the port is closed to new connections.
    :ivar publish: publishes an event of this process.
    """

    number: int
    config: InstanceConfig
    context: FarmContext
    storage: InstanceStorage
    port: ReopenablePort
    carried_state: CarriedState = CarriedState()   # noqa: RUF009 (frozen)
    has_ended: bool = field(default=False, init=False)
    is_refusing: bool = field(default=False, init=False)
    publish: Callable[[Event], None] = field(init=False)
    freezer: FreezeQueue = field(default_factory=FreezeQueue, init=False)
    faults: InstanceFaults = field(init=False)
    instance: Instance = field(init=False)
    driver: InstanceDriver = field(init=False)
    hub: Hub = field(init=False)
    outbox: Outbox = field(init=False)
    notifier: WebSocketNotifier = field(init=False)
    server_log: ServerLog = field(init=False)
    api: ComfyApi = field(init=False)
    fault_injector: HttpFaultInjector = field(init=False)
    site: FarmSite = field(init=False)
    _handlers: Mapping[type[Event], Sequence[Callable[[Event], None]]] = field(init=False)
    _boot: Alarm = field(init=False)
    _has_begun: bool = field(default=False, init=False)
    _has_hung_up: bool = field(default=False, init=False)
    _unsubscribe: Callable[[], None] = field(default=lambda: None, init=False)

    def __post_init__(self) -> None:
        self.publish = partial(self.context.log.publish, instance=self.config.name, epoch=self.number)
        self.storage.namer.keep_temp_prefixes({})
        equipment = self.context.equipment_cache.equip(self.config)
        self._make_simulation()
        self._make_websockets(server_flags(self.config, equipment.features))
        self._make_http(equipment.system_stats)
        self._boot = Alarm(self.context.time, self._listen)

    def _make_simulation(self) -> None:
        config, seeds = self.config, self.storage.seeds
        self.faults = InstanceFaults(self.context.registry, config.name, self.publish)
        machine = Machine(
            name=config.name,
            epoch=self.number,
            settings=config,
            catalogue=self._make_catalogue(),
            namer=self.storage.namer,
            cache=ResultCache(config.cache),
            publish=self.publish,
            memory=Memory(config.vram),
            faults=self.faults,
            seeds=seeds if self.number == 1 else seeds.of(f"epoch {self.number}"),
            unix_ms=self.context.unix_ms,
            size=self.storage.renderer.size,
            static_name=self.storage.static_name,
        )
        self.instance = Instance(
            machine=machine,
            ids=self.storage.ids,
            fire_process=self.context.fire_process,
            accepted=self.carried_state.accepted,
            names=self.context.job_names,
        )
        self.driver = InstanceDriver(self.context.time, self.instance)

    def _make_catalogue(self) -> Catalogue:
        equipment = self.context.equipment_cache.equip(self.config)
        return equipment.catalogue(
            self.config,
            self.storage.disk,
            brought=(self.storage.picture_name, EXAMPLE),
            result_name=self._served_static_name,
        )

    def _make_websockets(self, flags: dict[str, Any] | None) -> None:
        self.hub = Hub(self.storage.sids, flags, self._on_open, self._on_close, self._send)
        fault_injector = WebSocketFaultInjector(
            self.faults,
            self.hub,
            partial(Alarm, self.context.time),
            self.freezer.run_or_defer,
            self.context.time.now_ms,
            self.publish,
            self.instance.job_before,
        )
        self.outbox = Outbox(fault_injector, self.publish)
        self.driver.on_turn_end = self.outbox.flush
        self.notifier = WebSocketNotifier(
            self.hub, self.outbox, self.storage.renderer, self.context.unix_ms, self.instance.machine.behaviour
        )
        self.server_log = ServerLog(self.config, self.hub, self.notifier.send_json, self.context.unix_ms)
        self._handlers = by_type(self.server_log, self.notifier)

    def _make_http(self, system_stats: Mapping[str, Any]) -> None:
        config, context = self.config, self.context
        self.api = ComfyApi(
            config,
            self.driver,
            self.storage.disk,
            self.hub,
            self.storage.users,
            self.server_log,
            self._served_static_name,
            self.publish,
            system_stats,
            context.reactor,
            self.freezer.run_or_defer,
        )
        self.fault_injector = HttpFaultInjector(
            self.driver,
            self.faults,
            context.fire_process,
            is_suspended=lambda: self.has_ended or self.freezer.is_frozen,
            takes_headers=context.fault_headers,
        )
        max_bytes, origin = int(config.max_upload_size), allowed_origin(config.enable_cors)
        resource = KleinResource(self.api.app)
        front = FrontResource(
            config.name,
            resource,
            self.fault_injector,
            self._on_exchange,
            max_bytes,
            origin,
            self.api.behaviour,
            context.keeps_content,
        )
        self.site = FarmSite(front, context.reactor, max_bytes, context.on_traffic, self.freezer, context.time.now_ms)
        direct_server = DirectServer(self.api, front, _ROUTES, context.reactor.seconds)
        self.site.serve_directly = direct_server.serve

    @property
    def _served_static_name(self) -> str | None:
        return self.storage.static_name if self.config.mode == "static" else None

    # States.

    @property
    def state(self) -> State:
        if self.has_ended or not self._has_begun:
            return "stopped"
        if self._boot.is_set or self.port.is_opening:
            return "booting"
        if self.freezer.is_frozen:
            return "frozen"
        return "paused" if self.instance.is_paused else "running"

    def open(self) -> None:
        """Start the process: it listens at the end of its boot."""
        now_ms = self.context.time.now_ms()
        self._has_begun = True
        self.server_log.begin(url(self.context.host, self.port.number), now_ms)
        self._unsubscribe = self.context.log.listen(self._on_event, self.config.name, self._handlers)
        self.instance.machine.at_ms = now_ms
        self.instance.machine.warm_up(self.carried_state.models)
        self.driver.start()
        timing, chance = self.config.timing, self.instance.machine.seeds.of("timing").stream(f"boot {self.number}")
        if boot_ms := draw_ms(timing.boot, timing.jitter, chance):
            self._boot.set(now_ms + boot_ms)
        else:
            self._listen()

    def _listen(self) -> None:
        """End the boot, as soon as the port can be had."""
        if self.is_refusing:
            self._serve()
        else:
            self._open_port(self._serve)

    def _open_port(self, on_open: Callable[[], None]) -> None:
        self.port.open(self.site, on_open)
        if self.port.error is not None:
            self.publish(PortBlocked(at_ms=self.context.time.now_ms()))

    def _serve(self) -> None:
        picture: dict[str, Any] = {}
        if self.config.mode == "static":
            renderer = self.storage.renderer
            picture = {"picture": renderer.digest, "picture_bytes": len(renderer.input_picture)}
        self.publish(ServerReady(at_ms=self.context.time.now_ms(), **picture))
        self._take_over()

    def _take_over(self) -> None:
        """Take the jobs and the history that the process before has left."""
        carried_state, self.carried_state = self.carried_state, CarriedState()
        if carried_state.jobs or carried_state.history.entries:
            self.instance.inherit(carried_state, self.context.time.now_ms())
            self.driver.set_alarm()

    def change(self, config: InstanceConfig) -> None:
        """Use a new configuration from now on; the running job uses it from its next step."""
        before, self.config, machine = self.config, config, self.instance.machine
        machine.settings, self.api.config = config, config
        self.api.static_name = self._served_static_name
        self.storage.namer.naming = config.naming
        machine.catalogue = self._make_catalogue()
        machine.memory.capacity_bytes = config.vram
        if config.cache != before.cache:
            machine.cache = ResultCache(config.cache)

    def reset(self, *, files: bool, now_ms: int) -> None:
        """Forget all jobs, also those that the process before has left."""
        self.carried_state = CarriedState(accepted=self.carried_state.accepted)
        self.instance.reset(files=files, now_ms=now_ms)

    def end(self, keep: Collection[Kept]) -> tuple[CarriedState, tuple[str, ...]]:
        """End the process: reset all connections and drop everything that is due.

        :returns: what is left for the next process, and the ids of the jobs that are lost, in the queue's order.
        """
        self.has_ended = True
        self.fault_injector.stop()
        self._take_over()       # it may end within its boot
        carried_state = self.instance.carried_state
        lost = () if "queue" in keep else tuple(job.prompt_id for job in carried_state.jobs)
        self.driver.stop()
        self._boot.set(None)
        self._unsubscribe()
        self.instance.forget()
        self.freezer.forget()
        self.outbox.stop()
        self.port.close()
        self._has_hung_up = self.site.hang_up()
        return carried_state.keeping(keep), lost

    async def ended(self) -> None:
        """Wait until clients notice the end: the port is closed and the connections are reset."""
        await self.port.settled()
        if self._has_hung_up:
            await deferLater(self.context.reactor, 0)

    # What faults do to it.

    def freeze(self, *, worker: bool) -> None:
        """Stop serving clients, with the port open.

        :param worker: whether the running job stands still, too.
        """
        now_ms = self.driver.catch_up()
        is_new = not self.freezer.is_frozen or (worker and not self.instance.is_suspended)
        if self.has_ended or not is_new:
            return
        self.freezer.is_frozen = True
        if worker:
            self.instance.suspend(now_ms)
        self.publish(Frozen(at_ms=now_ms, worker=worker))
        self.driver.set_alarm()

    def thaw(self) -> None:
        """Handle and send everything that has waited, in its order."""
        if self.has_ended or not self.freezer.is_frozen:
            return
        now_ms = self.driver.catch_up()
        self.instance.unsuspend(now_ms)
        self.publish(Thawed(at_ms=now_ms))
        self.outbox.thawed_ms = now_ms
        self.freezer.release()
        self.wake()

    def refuse(self) -> None:
        """Close the port to new connections; those that are open stay."""
        if not self.has_ended and not self.is_refusing:
            self.is_refusing = True
            self.port.close()
            self.publish(Refusing(at_ms=self.driver.catch_up(), on=True))
            self.driver.set_alarm()

    def accept(self) -> None:
        """Open the port again; during a boot it is opened at the end of the boot."""
        if not self.has_ended and self.is_refusing:
            self.is_refusing = False
            if self._boot.is_set:
                self._accept()
            else:
                self._open_port(self._accept)

    def _accept(self) -> None:
        self.publish(Refusing(at_ms=self.driver.catch_up(), on=False))
        self.driver.set_alarm()

    def wake(self) -> None:
        """Resume every job and exchange whose fault is no longer active."""
        if self.has_ended:
            return
        self.instance.wake(self.driver.catch_up())
        self.driver.catch_up()
        self.driver.set_alarm()
        self.fault_injector.wake()

    # Events and messages.

    def _on_event(self, event: Event) -> None:
        for handle in self._handlers[type(event)]:
            if self.freezer.is_clear:
                handle(event)
            else:
                self.freezer.run_or_defer(partial(handle, event))

    def _on_open(self, socket: Socket) -> None:
        """Send a new websocket client what ComfyUI sends first: the status, and the node that runs for it."""
        now_ms = self.driver.catch_up()
        self.publish(SocketOpened(at_ms=now_ms, client_id=socket.client_id))
        remaining = self.instance.queue.remaining
        self._send(socket, "status", {"status": {"exec_info": {"queue_remaining": remaining}}, "sid": socket.client_id})
        execution = self.instance.execution
        if execution is not None and execution.node is not None and execution.job.client_id == socket.client_id:
            # Without prompt_id, as ComfyUI says it to a client that comes back (docs/fidelity.md, "Upstream bugs").
            content, taken = encode_message("executing", {"node": execution.node}), self.notifier.taken
            message = OutgoingMessage(now_ms, "executing", content, taken=taken, node=execution.node, is_logged=False)
            self.outbox.send((socket,), message)
        self.driver.set_alarm()

    def _send(self, socket: Socket, kind: str, data: object) -> None:
        """Send one socket a message that has no event in the log."""
        message = OutgoingMessage(self.context.time.now_ms(), kind, encode_message(kind, data), is_logged=False)
        self.outbox.send((socket,), message)
        self.outbox.flush()

    def _on_close(self, socket: Socket) -> None:
        reason = "too slow" if socket.writer.too_slow else "closed"
        self.publish(SocketClosed(at_ms=self.context.time.now_ms(), client_id=socket.client_id, reason=reason))
        self.outbox.closed(socket)

    def _on_exchange(self, request: ComfyRequest, status: int, size_bytes: int) -> None:
        # A client that hung up while the process was frozen got nothing.
        received = (0, 0) if request.connection.is_deserted else (status, size_bytes)
        self.publish(exchanged_event(request, self.context.time.now_ms(), *received))
