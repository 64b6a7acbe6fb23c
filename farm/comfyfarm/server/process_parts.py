"""The parts of one process of an instance: made from its configuration, and connected with each other.

What comes in and what goes out::

    requests --> site --> fault_injector --> api --> driver --> instance --> log
    websockets <-- hub <-- outbox <-- notifier, server_log <------------------+

While the process is frozen, ``freezer`` keeps back what comes from the site and from the log.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from functools import partial
from typing import Any

from klein.resource import KleinResource

from comfyfarm.config import InstanceConfig
from comfyfarm.events import Event, SocketClosed, SocketOpened
from comfyfarm.events.handler import by_type
from comfyfarm.faults.editing import encode_message
from comfyfarm.faults.registry import InstanceFaults
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
from comfyfarm.sim.instance import Instance
from comfyfarm.sim.machine import Machine
from comfyfarm.sim.memory import Memory

assert routes   # imported so that every route is registered
_ROUTES = RouteTable(ComfyApi.app)


@dataclass(eq=False, repr=False)
class ProcessParts:
    """The parts of one process of an instance.

    :ivar epoch: how many times the instance has been started, this time included.
    :ivar has_ended: returns whether the process was stopped or has crashed.
    :ivar publish: publishes an event of this process.
    :param accepted: number of jobs that the instance has accepted in earlier epochs.
    """

    epoch: int
    config: InitVar[InstanceConfig]
    context: FarmContext
    storage: InstanceStorage
    has_ended: Callable[[], bool]
    accepted: InitVar[int]
    name: str = field(init=False)
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
    handlers: Mapping[type[Event], Sequence[Callable[[Event], None]]] = field(init=False)

    def __post_init__(self, config: InstanceConfig, accepted: int) -> None:
        self.name = config.name
        self.publish = partial(self.context.log.publish, instance=self.name, epoch=self.epoch)
        equipment = self.context.equipment_cache.equip(config)
        self._make_simulation(config, accepted)
        self._make_websockets(config, server_flags(config, equipment.features))
        self._make_http(config, equipment.system_stats)

    def _make_simulation(self, config: InstanceConfig, accepted: int) -> None:
        seeds = self.storage.seeds
        self.faults = InstanceFaults(self.context.registry, config.name, self.publish)
        machine = Machine(
            name=config.name,
            epoch=self.epoch,
            settings=config,
            catalogue=self._make_catalogue(config),
            namer=self.storage.namer,
            cache=ResultCache(config.cache),
            publish=self.publish,
            memory=Memory(config.vram),
            faults=self.faults,
            seeds=seeds if self.epoch == 1 else seeds.of(f"epoch {self.epoch}"),
            unix_ms=self.context.unix_ms,
            size=self.storage.renderer.size,
            static_name=self.storage.static_name,
        )
        self.instance = Instance(
            machine=machine,
            ids=self.storage.ids,
            fire_process=self.context.fire_process,
            accepted=accepted,
            names=self.context.job_names,
        )
        self.driver = InstanceDriver(self.context.time, self.instance)

    def _make_catalogue(self, config: InstanceConfig) -> Catalogue:
        return self.context.equipment_cache.equip(config).catalogue(
            config,
            self.storage.disk,
            brought=(self.storage.picture_name, EXAMPLE),
            result_name=self._served_static_name(config),
        )

    def _make_websockets(self, config: InstanceConfig, flags: dict[str, Any] | None) -> None:
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
        self.server_log = ServerLog(config, self.hub, self.notifier.send_json, self.context.unix_ms)
        methods = by_type(self.server_log, self.notifier)
        self.handlers = {kind: methods[kind] for kind in methods if isinstance(kind, type)}

    def _make_http(self, config: InstanceConfig, system_stats: Mapping[str, Any]) -> None:
        context = self.context
        self.api = ComfyApi(
            config,
            self.driver,
            self.storage.disk,
            self.hub,
            self.storage.users,
            self.server_log,
            self._served_static_name(config),
            self.publish,
            system_stats,
            context.reactor,
            self.freezer.run_or_defer,
        )
        self.fault_injector = HttpFaultInjector(
            self.driver,
            self.faults,
            context.fire_process,
            is_suspended=lambda: self.has_ended() or self.freezer.is_frozen,
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

    def _served_static_name(self, config: InstanceConfig) -> str | None:
        return self.storage.static_name if config.mode == "static" else None

    def change(self, config: InstanceConfig) -> None:
        """Use a new configuration from now on; the running job uses it from its next step."""
        machine = self.instance.machine
        if config.cache != self.api.config.cache:
            machine.cache = ResultCache(config.cache)
        machine.settings, self.api.config = config, config
        self.api.static_name = self._served_static_name(config)
        self.storage.namer.naming = config.naming
        machine.catalogue = self._make_catalogue(config)
        machine.memory.capacity_bytes = config.vram

    def on_event(self, event: Event) -> None:
        """Handle an event of the log that concerns the instance."""
        for handle in self.handlers[type(event)]:
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
        node = None if execution is None else execution.nodes.running
        if execution is not None and node is not None and execution.job.client_id == socket.client_id:
            # Without prompt_id, as ComfyUI says it to a client that comes back (docs/fidelity.md, "Upstream bugs").
            content, taken = encode_message("executing", {"node": node}), self.notifier.taken
            message = OutgoingMessage(now_ms, "executing", content, taken=taken, node=node, is_logged=False)
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
