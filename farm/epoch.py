"""One epoch of an instance: all that begins and ends with the process that it plays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from klein.resource import KleinResource
from twisted.internet.defer import maybeDeferred
from twisted.internet.interfaces import IListeningPort
from twisted.internet.task import deferLater
from twisted.web.server import Request

from farm.alarm import Alarm
from farm.comfy import routes
from farm.comfy.added_headers import allowed_origin
from farm.comfy.api import ComfyApi
from farm.comfy.features import server_flags
from farm.comfy.gate import Gate
from farm.comfy.messages import Narrator
from farm.comfy.server_log import ServerLog
from farm.comfy.site import FarmSite
from farm.comfy.sockets import Hub, Socket
from farm.config import InstanceConfig
from farm.driver import Driver
from farm.home import Home, Surroundings
from farm.ports import BoundPort, url
from farm.sim.cache import ResultCache
from farm.sim.catalogue import Catalogue
from farm.sim.events import Event, Exchanged, SocketClosed, SocketOpened
from farm.sim.instance import Instance
from farm.sim.machine import Machine
from farm.sim.memory import Memory
from farm.sim.pace import draw_ms

__all__ = ["Epoch", "State"]

assert routes   # imported so that every route is registered
State = Literal["booting", "running", "paused", "stopped"]


@dataclass(eq=False)
class Epoch:
    """A process: simulation, sockets, routes and server log.  It knows nothing of the one before.

    :ivar number: how often the instance has been started, this time included.
    :ivar config: as it is now: some of it may change while the instance runs.
    """

    number: int
    config: InstanceConfig
    around: Surroundings
    home: Home
    port: BoundPort
    _listening: IListeningPort | None = field(default=None, init=False)
    _stop_hearing: list[Callable[[], None]] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        """Put the parts together; nobody listens yet."""
        self.home.namer.keep_temp_prefixes({})
        self.instance = Instance(self._make_machine(), self.home.ids)
        self.driver = Driver(self.around.clock, self.around.time, self.instance)
        self.hub = self._make_hub()
        self.narrator = Narrator(self.hub, self.home.painter, self.publish, self.around.unix_ms)
        self.server_log = ServerLog(self.config, self.hub, self.narrator.tell, self.around.unix_ms)
        self.api = self._make_api()
        self.site = self._make_site()
        self._boot = Alarm(self.around.clock, self.around.time, self._listen)

    def _make_machine(self) -> Machine:
        config, seeds = self.config, self.home.seeds
        return Machine(
            name=config.name,
            epoch=self.number,
            settings=config,
            catalogue=self._make_catalogue(),
            namer=self.home.namer,
            cache=ResultCache(config.cache),
            tell=self.publish,
            memory=Memory(config.vram),
            seeds=seeds if self.number == 1 else seeds.of(f"epoch {self.number}"),
            unix_ms=self.around.unix_ms,
            size=self.home.painter.size,
            static_name=self.home.static_name,
        )

    def _make_catalogue(self) -> Catalogue:
        equipment = self.around.stock.equip(self.config)
        return equipment.catalogue(self.config, self.home.disk, brought=self.home.brought)

    def _make_hub(self) -> Hub:
        equipment = self.around.stock.equip(self.config)
        return Hub(self.home.sids, server_flags(self.config, equipment.features), self._opened, self._closed)

    def _make_api(self) -> ComfyApi:
        return ComfyApi(
            self.config,
            self.driver,
            self.home.disk,
            self.hub,
            self.home.users,
            self.server_log,
            self._served_static_name,
            self.publish,
            self.around.stock.equip(self.config).system_stats,
        )

    def _make_site(self) -> FarmSite:
        most_bytes, origin = int(self.config.max_upload_size), allowed_origin(self.config.enable_cors)
        gate = Gate(self.config.name, KleinResource(self.api.app), self._exchanged, most_bytes, origin)
        return FarmSite(gate, self.around.reactor, most_bytes, self.around.heard)

    @property
    def _served_static_name(self) -> str | None:
        return self.home.static_name if self.config.mode == "static" else None

    # Life.

    @property
    def state(self) -> State:
        """Whether it listens, and whether its worker works."""
        if self._boot.is_set:
            return "booting"
        if self._listening is None:
            return "stopped"
        return "paused" if self.instance.is_paused else "running"

    def open(self) -> None:
        """Print the greeting, begin to work, and listen at the end of the boot."""
        now_ms = self.around.time.now_ms()
        self.server_log.begin(url(self.around.host, self.port.number), now_ms)
        listen = self.around.log.listen
        self._stop_hearing = [listen(each.hear, self.config.name) for each in (self.server_log, self.narrator)]
        self.instance.machine.at_ms = now_ms
        self.instance.machine.warm_up()
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
        self._listening = self.port.listen(self.site)

    def change(self, config: InstanceConfig) -> None:
        """Be configured anew from now on; the running job hears of it at its next step."""
        before, self.config, machine = self.config, config, self.instance.machine
        machine.settings, self.api.config = config, config
        self.api.static_name = self._served_static_name
        self.home.namer.naming = config.naming
        machine.catalogue = self._make_catalogue()
        machine.memory.capacity_bytes = config.vram
        if config.cache != before.cache:
            machine.cache = ResultCache(config.cache)

    def forget(self) -> tuple[str, ...]:
        """Lose every job that waits or runs, and give their ids in the queue's order."""
        self.driver.catch_up()
        queue = self.instance.queue
        lost = [queue.running, *sorted(queue.pending)] if queue.running else sorted(queue.pending)
        self.instance.forget()
        return tuple(job.prompt_id for job in lost)

    async def close(self) -> None:
        """Forget what is due, close the port, and hang up; what is said while doing so is still heard."""
        self.driver.stop()
        self._boot.set(None)
        stops, self._stop_hearing = self._stop_hearing, []
        listening, self._listening = self._listening, None
        if listening is not None:
            await maybeDeferred(listening.stopListening)     # a memory port answers None
        if self.site.hang_up():
            await deferLater(self.around.reactor, 0)
        for stop in stops:
            stop()

    # What happens.

    def publish(self, event: Event) -> None:
        """Say what happened here."""
        self.around.log.publish(event, self.config.name, self.number)

    def _opened(self, socket: Socket) -> None:
        now_ms = self.driver.catch_up()
        self.publish(SocketOpened(at_ms=now_ms, client_id=socket.client_id))
        remaining = self.instance.queue.remaining
        socket.say("status", {"status": {"exec_info": {"queue_remaining": remaining}}, "sid": socket.client_id})
        execution = self.instance.execution
        if execution is not None and execution.node is not None and execution.job.client_id == socket.client_id:
            # Without prompt_id, as ComfyUI says it to a client that comes back (docs/fidelity.md, "Upstream bugs").
            socket.say("executing", {"node": execution.node})
        self.driver.set_alarm()

    def _closed(self, socket: Socket) -> None:
        reason = "too slow" if socket.line.too_slow else "closed"
        event = SocketClosed(at_ms=self.around.time.now_ms(), client_id=socket.client_id, reason=reason)
        self.publish(event)

    def _exchanged(self, request: Request) -> None:
        self.publish(_exchange(request, self.around.time.now_ms()))


def _exchange(request: Request, at_ms: int) -> Exchanged:
    return Exchanged(
        at_ms=at_ms,
        method=request.method.decode("ascii", "replace"),
        path=request.path.decode("utf-8", "replace"),
        query=request.uri.partition(b"?")[2].decode("utf-8", "replace"),
        status=request.code if request.startedWriting or request.finished else 0,
        size_bytes=request.sentLength,
    )
