"""One instance, alive: its port, its files, its clients."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from klein.resource import KleinResource
from twisted.application.service import Service
from twisted.internet.defer import maybeDeferred
from twisted.internet.interfaces import IListeningPort, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.web.server import Request

from farm.clock import SimulatedTime
from farm.comfy import routes
from farm.comfy.added_headers import allowed_origin
from farm.comfy.api import ComfyApi
from farm.comfy.disk import Disk
from farm.comfy.example import bring_example
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
from farm.ledger.log import Log
from farm.ports import BoundPort, url
from farm.sim.cache import ResultCache
from farm.sim.catalogue import Catalogue
from farm.sim.events import Event, Exchanged, SocketClosed, SocketOpened
from farm.sim.files import Folder
from farm.sim.instance import Instance
from farm.sim.machine import Machine
from farm.sim.memory import Memory
from farm.sim.naming import Namer
from farm.sim.recorded import Recorded
from farm.sim.seeds import Seeds

__all__ = ["Backend", "Surroundings"]

assert routes   # imported so that every route is registered
_FOLDERS: tuple[Folder, ...] = ("input", "output", "temp")


@dataclass(frozen=True)
class Surroundings:
    """What all instances of a farm share.

    :ivar reactor: sockets and keep-alive live in its time.
    :ivar clock: what simulated time is read from, and alarms are set on.
    :ivar unix_ms: what a client's clock says at the simulated moment 0.
    """

    reactor: Any
    clock: IReactorTime
    time: SimulatedTime
    unix_ms: int
    log: Log
    seeds: Seeds
    recorded: Recorded
    host: str
    data_dir: Path


@dataclass(eq=False)
class Backend(Service):
    """An instance that listens.

    :ivar picture_name: the file name of the input picture.
    """

    config: InstanceConfig
    around: Surroundings
    port: BoundPort
    painter: Painter
    picture_name: str
    epoch: int = 1
    logger = Logger()
    _listening: IListeningPort | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Put the parts together; nothing is written and nobody listens yet."""
        self.url = url(self.around.host, self.port.number)
        self.disk = self._make_disk()
        seeds = self.around.seeds.of(self.config.name)
        self.instance = Instance(self._make_machine(seeds), ids=seeds.stream("prompt_id"))
        self.driver = Driver(self.around.clock, self.around.time, self.instance)
        self.hub = Hub(seeds.stream("sid"), server_flags(self.config), self._opened, self._closed)
        self.narrator = Narrator(self.hub, self.painter, self.publish, self.around.unix_ms)
        self.server_log = ServerLog(self.config, self.hub, self.narrator.tell, self.around.unix_ms)
        home = self.around.data_dir / self.config.name
        self.users = Users(home, self.config.multi_user, seeds.stream("users"))
        self.site = self._make_site()

    def _make_disk(self) -> Disk:
        home = self.around.data_dir / self.config.name
        output_dir = Path(self.config.output_dir) if self.config.output_dir else home / "output"
        return Disk(home / "input", output_dir, home / "temp", self.painter)

    def _make_machine(self, seeds: Seeds) -> Machine:
        models = {folder: tuple(names) for folder, names in self.config.models.items()}
        config = self.config
        catalogue = Catalogue(self.around.recorded, self.disk, models, config.open_models, config.validation)
        return Machine(
            name=self.config.name,
            epoch=self.epoch,
            settings=self.config,
            catalogue=catalogue,
            namer=Namer(self.disk, self.config.naming, seeds.stream("temp_letters")),
            cache=ResultCache(self.config.cache),
            tell=self.publish,
            memory=Memory(config.vram),
            seeds=seeds,
            unix_ms=self.around.unix_ms,
            size=self.painter.size,
            static_name=self._static_name,
        )

    def _make_site(self) -> FarmSite:
        static_name = self._static_name if self.config.mode == "static" else None
        api = ComfyApi(
            self.config, self.driver, self.disk, self.hub, self.users, self.server_log, static_name, self.publish
        )
        most_bytes, origin = int(self.config.max_upload_size), allowed_origin(self.config.enable_cors)
        gate = Gate(self.config.name, KleinResource(api.app), self._exchanged, most_bytes, origin)
        return FarmSite(gate, self.around.reactor, most_bytes)

    @property
    def _static_name(self) -> str:
        """How a static instance names its picture: a client that joins it to ``output_dir`` finds the file."""
        return f"../input/{self.picture_name}"

    # Life.

    def startService(self) -> None:
        """Make the folders, and serve."""
        super().startService()
        for folder in _FOLDERS:
            self.disk.make_directory(folder, "")
        self.disk.bring(self.picture_name, self.painter.input_picture)
        bring_example(self.disk, self.painter)
        self.server_log.begin(self.url, self.around.time.now_ms())
        if (text := advice(self.config.comfyui_version)) is not None:
            self.logger.warn("{name}: {text}", name=self.config.name, text=text)
        listen = self.around.log.listen
        self._stop_hearing = [listen(each.hear, self.config.name) for each in (self.server_log, self.narrator)]
        self.driver.start()
        self._listening = self.port.listen(self.site)

    async def stopService(self) -> None:
        """Take no more, forget what is due, hang up, and remove what was written."""
        super().stopService()
        self.driver.stop()
        if self._listening is None:
            self.port.close()
            return
        await maybeDeferred(self._listening.stopListening)     # a memory port answers None
        if self.site.hang_up():
            await deferLater(self.around.reactor, 0)
        for stop in self._stop_hearing:
            stop()
        self.users.remove_files()
        self.disk.empty_temp()
        self.disk.remove_uploads()
        if not self.config.keep_outputs:
            self.disk.remove_written()

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
