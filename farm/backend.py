"""One instance, alive: its port, its files, its clients."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from klein.resource import KleinResource
from twisted.application.service import Service
from twisted.internet.defer import DeferredLock, maybeDeferred
from twisted.internet.interfaces import IListeningPort, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.web.server import Request

from farm.alarm import Alarm
from farm.changes import as_written
from farm.clock import SimulatedTime
from farm.comfy import routes
from farm.comfy.added_headers import allowed_origin
from farm.comfy.api import ComfyApi
from farm.comfy.disk import Disk
from farm.comfy.example import EXAMPLE, bring_example
from farm.comfy.features import server_flags
from farm.comfy.gate import Gate
from farm.comfy.messages import Narrator
from farm.comfy.pictures import Painter
from farm.comfy.server_log import ServerLog
from farm.comfy.site import FarmSite
from farm.comfy.sockets import Hub, Socket
from farm.comfy.users import Users
from farm.comfy.version import advice
from farm.config import InstanceConfig
from farm.driver import Driver
from farm.equipment import Stock
from farm.ledger.log import Log
from farm.ports import Bind, BoundPort, url
from farm.sim.cache import ResultCache
from farm.sim.catalogue import Catalogue
from farm.sim.events import (
    Event,
    Exchanged,
    ServerStarted,
    ServerStopped,
    SettingsChanged,
    SocketClosed,
    SocketOpened,
)
from farm.sim.files import Folder
from farm.sim.instance import Instance
from farm.sim.machine import Machine
from farm.sim.memory import Memory
from farm.sim.naming import Namer
from farm.sim.pace import draw_ms
from farm.sim.seeds import Seeds

__all__ = ["Backend", "State", "Surroundings"]

assert routes   # imported so that every route is registered
_FOLDERS: tuple[Folder, ...] = ("input", "output", "temp")
State = Literal["booting", "running", "paused", "stopped"]


@dataclass(frozen=True)
class Surroundings:
    """What all instances of a farm share.

    :ivar reactor: sockets and keep-alive live in its time.
    :ivar clock: what simulated time is read from, and alarms are set on.
    :ivar unix_ms: what a client's clock says at the simulated moment 0.
    :ivar bind: how ports are taken.
    :ivar heard: called whenever a client says something.
    """

    reactor: Any
    clock: IReactorTime
    time: SimulatedTime
    unix_ms: int
    log: Log
    seeds: Seeds
    stock: Stock
    host: str
    data_dir: Path
    bind: Bind
    heard: Callable[[], None]


@dataclass(eq=False)
class Backend(Service):
    """An instance that listens, and that can be stopped and started again.

    Port, folders, users and the streams of chance outlast a stop; all else belongs to one epoch.

    :ivar config: as it is now: some of it may change while the instance runs.
    :ivar picture_name: the file name of the input picture.
    :ivar epoch: how often it was started.
    :ivar changing: held by whoever stops or starts it.
    """

    config: InstanceConfig
    around: Surroundings
    port: BoundPort
    painter: Painter
    picture_name: str
    epoch: int = 1
    logger = Logger()
    changing: DeferredLock = field(default_factory=DeferredLock, init=False)
    _listening: IListeningPort | None = field(default=None, init=False)
    _has_served: bool = field(default=False, init=False)
    _stop_hearing: list[Callable[[], None]] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        """Put the parts together; nothing is written and nobody listens yet."""
        self.url = url(self.around.host, self.port.number)
        self._seeds = self.around.seeds.of(self.config.name)
        self._ids, self._sids = self._seeds.stream("prompt_id"), self._seeds.stream("sid")
        self.disk = self._make_disk()
        self.namer = Namer(self.disk, self.config.naming, self._seeds.stream("temp_letters"))
        home = self.around.data_dir / self.config.name
        self.users = Users(home, self.config.multi_user, self._seeds.stream("users"))
        self._boot = Alarm(self.around.clock, self.around.time, self._listen)
        self._begin_epoch()

    def _begin_epoch(self) -> None:
        """A process begins: it knows nothing of the one before."""
        self.namer.keep_temp_prefixes({})
        self.instance = Instance(self._make_machine(), self._ids)
        self.driver = Driver(self.around.clock, self.around.time, self.instance)
        equipment = self.around.stock.equip(self.config)
        self.hub = Hub(self._sids, server_flags(self.config, equipment.features), self._opened, self._closed)
        self.narrator = Narrator(self.hub, self.painter, self.publish, self.around.unix_ms)
        self.server_log = ServerLog(self.config, self.hub, self.narrator.tell, self.around.unix_ms)
        self.api = self._make_api()
        self.site = self._make_site()

    def _make_disk(self) -> Disk:
        home = self.around.data_dir / self.config.name
        output_dir = Path(self.config.output_dir) if self.config.output_dir else home / "output"
        return Disk(home / "input", output_dir, home / "temp", self.painter)

    def _make_machine(self) -> Machine:
        config = self.config
        return Machine(
            name=config.name,
            epoch=self.epoch,
            settings=config,
            catalogue=self._make_catalogue(),
            namer=self.namer,
            cache=ResultCache(config.cache),
            tell=self.publish,
            memory=Memory(config.vram),
            seeds=self._seeds if self.epoch == 1 else self._seeds.of(f"epoch {self.epoch}"),
            unix_ms=self.around.unix_ms,
            size=self.painter.size,
            static_name=self._static_name,
        )

    def _make_catalogue(self) -> Catalogue:
        equipment = self.around.stock.equip(self.config)
        return equipment.catalogue(self.config, self.disk, brought=(self.picture_name, EXAMPLE))

    def _make_api(self) -> ComfyApi:
        return ComfyApi(
            self.config,
            self.driver,
            self.disk,
            self.hub,
            self.users,
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
    def _static_name(self) -> str:
        """How a static instance names its picture: a client that joins it to ``output_dir`` finds the file."""
        return f"../input/{self.picture_name}"

    @property
    def _served_static_name(self) -> str | None:
        return self._static_name if self.config.mode == "static" else None

    # Life.

    @property
    def state(self) -> State:
        """Whether it listens, and whether its worker works."""
        if self._boot.is_set:
            return "booting"
        if self._listening is None:
            return "stopped"
        return "paused" if self.instance.is_paused else "running"

    def startService(self) -> None:
        """Make the folders, and serve."""
        super().startService()
        self._has_served = True
        for folder in _FOLDERS:
            self.disk.make_directory(folder, "")
        self.disk.bring(self.picture_name, self.painter.input_picture)
        bring_example(self.disk, self.painter)
        if (text := advice(self.config.comfyui_version)) is not None:
            self.logger.warn("{name}: {text}", name=self.config.name, text=text)
        self._open()

    def start(self) -> None:
        """Listen again after :meth:`stop`, at the same port, as a new process would."""
        self.epoch += 1
        self._begin_epoch()
        self._open()
        self.publish(ServerStarted(at_ms=self.around.time.now_ms()))

    async def stop(self) -> None:
        """Close the port, hang up, and forget everything but the files that jobs have written."""
        self.driver.catch_up()
        queue = self.instance.queue
        lost = [queue.running, *sorted(queue.pending)] if queue.running else sorted(queue.pending)
        self.instance.forget()
        await self._close()
        self.port.close()       # it is still ours where the instance never came to listen
        self.port = self.around.bind(self.around.host, self.port.number)
        self.disk.empty_temp()
        self.disk.remove_uploads()
        self.publish(ServerStopped(at_ms=self.around.time.now_ms(), lost=tuple(job.prompt_id for job in lost)))

    async def stopService(self) -> None:
        """Take no more, forget what is due, hang up, and remove what was written."""
        super().stopService()
        await self._close()
        self.port.close()
        if not self._has_served:
            return
        self.users.remove_files()
        self.disk.empty_temp()
        self.disk.remove_uploads()
        if not self.config.keep_outputs:
            self.disk.remove_written()

    def _open(self) -> None:
        now_ms = self.around.time.now_ms()
        self.server_log.begin(self.url, now_ms)
        listen = self.around.log.listen
        self._stop_hearing = [listen(each.hear, self.config.name) for each in (self.server_log, self.narrator)]
        self.instance.machine.at_ms = now_ms
        self.instance.machine.warm_up()
        self.driver.start()
        timing, chance = self.config.timing, self.instance.machine.seeds.of("timing").stream(f"boot {self.epoch}")
        boot_ms = draw_ms(timing.boot, timing.jitter, chance)
        if boot_ms:
            self._boot.set(now_ms + boot_ms)
        else:
            self._listen()

    def _listen(self) -> None:
        """The end of the boot: until now the port was bound, and connections were refused."""
        self._listening = self.port.listen(self.site)

    async def _close(self) -> None:
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

    # What the control API asks.

    def change(self, config: InstanceConfig, keys: Collection[str]) -> None:
        """Be configured anew from now on; the running job hears of it at its next step.

        :param keys: those that differ, which may all change while it runs.
        """
        now_ms = self.driver.catch_up()
        before, self.config, machine = self.config, config, self.instance.machine
        machine.settings, self.api.config = config, config
        self.api.static_name = self._served_static_name
        self.namer.naming = config.naming
        machine.catalogue = self._make_catalogue()
        machine.memory.capacity_bytes = config.vram
        if config.cache != before.cache:
            machine.cache = ResultCache(config.cache)
        self.publish(SettingsChanged(at_ms=now_ms, settings={key: as_written(getattr(config, key)) for key in keys}))
        self.driver.set_alarm()

    def pause(self) -> None:
        """Let the worker take no further step."""
        self.instance.pause(self.driver.catch_up())
        self.driver.set_alarm()

    def resume(self) -> None:
        """Let the worker go on."""
        self.instance.resume(self.driver.catch_up())
        self.driver.set_alarm()

    def reset(self, *, files: bool) -> None:
        """Forget queue, running job, history and uploads; with ``files`` the output files and counters too."""
        now_ms = self.driver.catch_up()
        self.disk.remove_uploads()
        if files:
            self.disk.remove_outputs()
        self.instance.reset(files=files, now_ms=now_ms)
        self.driver.set_alarm()

    # What happens.

    def publish(self, event: Event) -> None:
        """Say what happened here."""
        self.around.log.publish(event, self.config.name, self.epoch)

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
        query = request.uri.partition(b"?")[2].decode("utf-8", "replace")
        self.publish(
            Exchanged(
                at_ms=self.around.time.now_ms(),
                method=request.method.decode("ascii", "replace"),
                path=request.path.decode("utf-8", "replace"),
                query=query,
                status=request.code if request.startedWriting or request.finished else 0,
                size_bytes=request.sentLength,
            )
        )
