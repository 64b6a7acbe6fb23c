"""One epoch of an instance: all that begins and ends with the process that it plays."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from klein.resource import KleinResource
from twisted.internet.task import deferLater

from comfyfarm.config import InstanceConfig
from comfyfarm.events import Event, Frozen, Refusing, ServerReady, SocketClosed, SocketOpened, Thawed
from comfyfarm.faults.editing import encode_message
from comfyfarm.faults.registry import InstanceFaults
from comfyfarm.faults.targets import Kept
from comfyfarm.server import routes
from comfyfarm.server.api import ComfyApi
from comfyfarm.server.context import FarmContext
from comfyfarm.server.freezer import FreezeQueue
from comfyfarm.server.front import FrontResource
from comfyfarm.server.http.faults import HttpFaultInjector
from comfyfarm.server.http.headers import allowed_origin
from comfyfarm.server.http.request import exchanged_event
from comfyfarm.server.http.site import ComfyRequest, FarmSite
from comfyfarm.server.ports import ReopenablePort, url
from comfyfarm.server.server_log import ServerLog
from comfyfarm.server.storage import InstanceStorage
from comfyfarm.server.time.alarm import Alarm
from comfyfarm.server.time.driver import InstanceDriver
from comfyfarm.server.version import server_flags
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
State = Literal["booting", "running", "paused", "frozen", "stopped"]


@dataclass(eq=False)
class InstanceProcess:
    """A process: simulation, sockets, routes and server log.  It knows nothing of the one before.

    :ivar number: how often the instance has been started, this time included.
    :ivar config: as it is now: some of it may change while the instance runs.
    :ivar carried_state: what the epoch before has left; this one has it from the end of its boot on.
    :ivar has_ended: it was stopped, or has crashed: nothing of it happens any more.
    :ivar is_refusing: its port is closed to new connections.
    :ivar freezer: whether it is frozen.
    """

    number: int
    config: InstanceConfig
    context: FarmContext
    storage: InstanceStorage
    port: ReopenablePort
    carried_state: CarriedState = CarriedState()   # noqa: RUF009 (frozen)
    has_ended: bool = field(default=False, init=False)
    is_refusing: bool = field(default=False, init=False)
    freezer: FreezeQueue = field(default_factory=FreezeQueue, init=False)
    _has_begun: bool = field(default=False, init=False)
    _has_hung_up: bool = field(default=False, init=False)
    _stop_hearing: Callable[[], None] = field(default=lambda: None, init=False)

    def __post_init__(self) -> None:
        """Put the parts together; nobody listens yet."""
        self.storage.namer.keep_temp_prefixes({})
        self.faults = InstanceFaults(self.context.registry, self.config.name, self.publish)
        self.instance = Instance(
            machine=self._make_machine(),
            ids=self.storage.ids,
            fire_process=self.context.fire_process,
            accepted=self.carried_state.accepted,
        )
        self.driver = InstanceDriver(self.context.clock, self.context.time, self.instance)
        self.hub = self._make_hub()
        self.outbox = Outbox(self.hub, self._make_websocket_fault_injector(), self.publish)
        self.notifier = WebSocketNotifier(self.outbox, self.storage.renderer, self.context.unix_ms)
        self.server_log = ServerLog(self.config, self.hub, self.notifier.tell, self.context.unix_ms)
        # looking them up for each event takes its time
        self._saying = self.server_log.on_event, self.notifier.on_event
        self.api = self._make_api()
        self.fault_injector = self._make_http_fault_injector()
        self.site = self._make_site()
        self._boot = Alarm(self.context.clock, self.context.time, self._listen)

    def _make_machine(self) -> Machine:
        config, seeds = self.config, self.storage.seeds
        return Machine(
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

    def _make_catalogue(self) -> Catalogue:
        equipment = self.context.equipment_cache.equip(self.config)
        return equipment.catalogue(self.config, self.storage.disk, brought=self.storage.brought)

    def _make_hub(self) -> Hub:
        equipment = self.context.equipment_cache.equip(self.config)
        flags = server_flags(self.config, equipment.features)
        return Hub(self.storage.sids, flags, self._opened, self._closed, self._tell)

    def _make_websocket_fault_injector(self) -> WebSocketFaultInjector:
        return WebSocketFaultInjector(
            self.faults,
            self.hub,
            partial(Alarm, self.context.clock, self.context.time),
            self.freezer.run_or_defer,
            self.context.time.now_ms,
            self.publish,
            self.instance.job_before,
        )

    def _make_api(self) -> ComfyApi:
        return ComfyApi(
            self.config,
            self.driver,
            self.storage.disk,
            self.hub,
            self.storage.users,
            self.server_log,
            self._served_static_name,
            self.publish,
            self.context.equipment_cache.equip(self.config).system_stats,
            self.freezer.run_or_defer,
        )

    def _make_http_fault_injector(self) -> HttpFaultInjector:
        return HttpFaultInjector(
            self.driver,
            self.faults,
            self.context.fire_process,
            is_suspended=lambda: self.has_ended or self.freezer.is_frozen,
            takes_headers=self.context.fault_headers,
        )

    def _make_site(self) -> FarmSite:
        most_bytes, origin = int(self.config.max_upload_size), allowed_origin(self.config.enable_cors)
        routes = KleinResource(self.api.app)
        gate = FrontResource(self.config.name, routes, self.fault_injector, self._exchanged, most_bytes, origin)
        context = self.context
        return FarmSite(gate, context.reactor, most_bytes, context.on_traffic, self.freezer, context.time.now_ms)

    @property
    def _served_static_name(self) -> str | None:
        return self.storage.static_name if self.config.mode == "static" else None

    # Life.

    @property
    def state(self) -> State:
        """Whether it lives, whether it answers, and whether its worker works."""
        if self.has_ended or not self._has_begun:
            return "stopped"
        if self._boot.is_set or self.port.is_opening:
            return "booting"
        if self.freezer.is_frozen:
            return "frozen"
        return "paused" if self.instance.is_paused else "running"

    def open(self) -> None:
        """Print the greeting, begin to work, and listen at the end of the boot."""
        now_ms = self.context.time.now_ms()
        self._has_begun = True
        self.server_log.begin(url(self.context.host, self.port.number), now_ms)
        self._stop_hearing = self.context.log.listen(self._on_event, self.config.name)
        self.instance.machine.at_ms = now_ms
        self.instance.machine.warm_up(self.carried_state.models)
        self.driver.start()
        boot_ms = self._draw_boot_ms()
        if boot_ms:
            self._boot.set(now_ms + boot_ms)
        else:
            self._listen()

    def _draw_boot_ms(self) -> int:
        timing, chance = self.config.timing, self.instance.machine.seeds.of("timing").stream(f"boot {self.number}")
        return draw_ms(timing.boot, timing.jitter, chance)

    def _listen(self) -> None:
        """The end of the boot: until now the port was bound, and connections were refused."""
        if not self.is_refusing:
            self.port.open(self.site)
        self.publish(ServerReady(at_ms=self.context.time.now_ms()))
        self._take_over()

    def _take_over(self) -> None:
        """Have what the epoch before has left."""
        carried_state, self.carried_state = self.carried_state, CarriedState()
        if carried_state.jobs or carried_state.history.entries:
            self.instance.inherit(carried_state, self.context.time.now_ms())
            self.driver.set_alarm()

    def change(self, config: InstanceConfig) -> None:
        """Be configured anew from now on; the running job hears of it at its next step."""
        before, self.config, machine = self.config, config, self.instance.machine
        machine.settings, self.api.config = config, config
        self.api.static_name = self._served_static_name
        self.storage.namer.naming = config.naming
        machine.catalogue = self._make_catalogue()
        machine.memory.capacity_bytes = config.vram
        if config.cache != before.cache:
            machine.cache = ResultCache(config.cache)

    def reset(self, *, files: bool, now_ms: int) -> None:
        """Forget all jobs, also those that the epoch before has left."""
        self.carried_state = CarriedState(accepted=self.carried_state.accepted)
        self.instance.reset(files=files, now_ms=now_ms)

    def end(self, keep: Collection[Kept]) -> tuple[CarriedState, tuple[str, ...]]:
        """Die: nobody is answered and nothing that is due happens any more; all connections are reset.

        :returns: what is left for the next epoch, and the ids of the jobs that are lost, in the queue's order.
        """
        self.has_ended = True
        self.fault_injector.stop()
        self._take_over()
        whole = self.instance.carried_state
        carried_state = whole.keeping(keep)
        lost = () if "queue" in keep else tuple(job.prompt_id for job in whole.jobs)
        self.driver.stop()
        self._boot.set(None)
        self._stop_hearing()
        self.instance.forget()
        self.freezer.forget()
        self.outbox.stop()
        self.port.close()
        self._has_hung_up = self.site.hang_up()
        return carried_state, lost

    async def ended(self) -> None:
        """Wait until clients can know that it is dead: the port is closed and the connections are reset."""
        await self.port.settled()
        if self._has_hung_up:
            await deferLater(self.context.reactor, 0)

    # What faults do to it.

    def freeze(self, *, worker: bool) -> None:
        """Answer nobody and say nothing, the port open.

        :param worker: whether the job stands still, too.
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
        """Hear, answer and say what has come up meanwhile, in its order."""
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
        """Listen again, unless it boots still."""
        if not self.has_ended and self.is_refusing:
            self.is_refusing = False
            if not self._boot.is_set:
                self.port.open(self.site)
            self.publish(Refusing(at_ms=self.driver.catch_up(), on=False))
            self.driver.set_alarm()

    def wake(self) -> None:
        """Look again, now, at everything that pauses until something has changed."""
        if self.has_ended:
            return
        self.instance.wake(self.driver.catch_up())
        self.driver.catch_up()
        self.driver.set_alarm()
        self.fault_injector.wake()

    # What happens.

    def _on_event(self, event: Event) -> None:
        """Print and say what an event means; a frozen process does so when it thaws."""
        self.freezer.run_or_defer(partial(self._say, event))

    def _say(self, event: Event) -> None:
        for on_event in self._saying:
            on_event(event)

    def publish(self, event: Event) -> None:
        """Say what happened here."""
        self.context.log.publish(event, self.config.name, self.number)

    def _opened(self, socket: Socket) -> None:
        now_ms = self.driver.catch_up()
        self.publish(SocketOpened(at_ms=now_ms, client_id=socket.client_id))
        remaining = self.instance.queue.remaining
        self._tell(socket, "status", {"status": {"exec_info": {"queue_remaining": remaining}}, "sid": socket.client_id})
        execution = self.instance.execution
        if execution is not None and execution.node is not None and execution.job.client_id == socket.client_id:
            # Without prompt_id, as ComfyUI says it to a client that comes back (docs/fidelity.md, "Upstream bugs").
            content, taken = encode_message("executing", {"node": execution.node}), self.notifier.taken
            message = OutgoingMessage(now_ms, "executing", content, taken=taken, node=execution.node, is_told=False)
            self.outbox.send(socket, message)
        self.driver.set_alarm()

    def _tell(self, socket: Socket, kind: str, data: object) -> None:
        """Tell one socket what the log does not have."""
        message = OutgoingMessage(self.context.time.now_ms(), kind, encode_message(kind, data), is_told=False)
        self.outbox.send(socket, message)

    def _closed(self, socket: Socket) -> None:
        reason = "too slow" if socket.line.too_slow else "closed"
        event = SocketClosed(at_ms=self.context.time.now_ms(), client_id=socket.client_id, reason=reason)
        self.publish(event)
        self.outbox.closed(socket)

    def _exchanged(self, request: ComfyRequest, status: int, size_bytes: int) -> None:
        sent = (0, 0) if request.connection.is_deserted else (status, size_bytes)
        self.publish(exchanged_event(request, self.context.time.now_ms(), *sent))
