"""One instance, alive: a service that begins, ends and begins again."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal

from twisted.application.service import Service
from twisted.logger import Logger

from comfyfarm.config import InstanceConfig
from comfyfarm.config.live_changes import as_written
from comfyfarm.events import Event, ServerStarted, ServerStopped, SettingsChanged
from comfyfarm.faults.registry import InstanceFaults
from comfyfarm.faults.targets import KEPT, Kept
from comfyfarm.server.context import FarmContext
from comfyfarm.server.files.disk import Disk
from comfyfarm.server.http.site import FarmSite
from comfyfarm.server.media.pictures import ImageRenderer
from comfyfarm.server.ports import BoundPort, ReopenablePort, url
from comfyfarm.server.process import InstanceProcess, State
from comfyfarm.server.storage import InstanceStorage
from comfyfarm.server.time.driver import InstanceDriver
from comfyfarm.server.version import advice
from comfyfarm.server.websocket.hub import Hub
from comfyfarm.sim.instance import CarriedState, Instance


@dataclass(eq=False)
class Backend(Service):
    """An instance that listens, and that can be stopped and started again.

    Its port and its home outlast a stop; all else belongs to one epoch.

    :ivar process: the epoch that runs, or ran last.
    """

    context: FarmContext
    storage: InstanceStorage
    port: ReopenablePort
    process: InstanceProcess
    logger = Logger()
    _legacy: CarriedState = field(default_factory=CarriedState, init=False)
    _has_served: bool = field(default=False, init=False)

    @classmethod
    def of(
        cls,
        config: InstanceConfig,
        context: FarmContext,
        port: BoundPort,
        renderer: ImageRenderer,
        picture_name: str,
    ) -> Backend:
        """An instance in its first epoch; nothing is written and nobody listens yet.

        :param picture_name: the file name of the input picture.
        """
        home = InstanceStorage.of(config, context, renderer, picture_name)
        door = ReopenablePort(context.host, port, context.bind)
        return cls(context, home, door, InstanceProcess(1, config, context, home, door))

    # What it is now.

    @property
    def url(self) -> str:
        """Where clients find it."""
        return url(self.context.host, self.port.number)

    @property
    def state(self) -> State:
        """Whether it lives, whether it answers, and whether its worker works."""
        return self.process.state

    @property
    def is_refusing(self) -> bool:
        """Whether its port is closed to new connections while the process lives."""
        return self.process.is_refusing and not self.process.has_ended

    @property
    def epoch(self) -> int:
        """How often it was started."""
        return self.process.number

    @property
    def config(self) -> InstanceConfig:
        """As it is now: some of it may change while the instance runs."""
        return self.process.config

    @property
    def instance(self) -> Instance:
        """The simulation of this epoch."""
        return self.process.instance

    @property
    def driver(self) -> InstanceDriver:
        """What wakes the simulation."""
        return self.process.driver

    @property
    def hub(self) -> Hub:
        """The sockets of this epoch."""
        return self.process.hub

    @property
    def site(self) -> FarmSite:
        """What this epoch serves."""
        return self.process.site

    @property
    def faults(self) -> InstanceFaults:
        """What goes wrong with this epoch."""
        return self.process.faults

    @property
    def disk(self) -> Disk:
        """Its files."""
        return self.storage.disk

    # Life.

    def startService(self) -> None:
        """Make the folders, and serve."""
        super().startService()
        self._has_served = True
        self.storage.furnish()
        if (text := advice(self.config.comfyui_version)) is not None:
            self.logger.warn("{name}: {text}", name=self.config.name, text=text)
        self.process.open()

    def start(self) -> None:
        """Begin a new epoch at the same port, as a new process would, unless one runs."""
        if not self.running or self.state != "stopped":
            return
        self.context.registry.restarted(self.config.name, self.context.time.now_ms())
        self.process = InstanceProcess(self.epoch + 1, self.config, self.context, self.storage, self.port, self._legacy)
        self._legacy = CarriedState()
        self.process.open()
        self.publish(ServerStarted(at_ms=self.context.time.now_ms()))

    async def stop(self) -> None:
        """Close the port, hang up, and forget everything but the files that jobs have written."""
        self._end("stopped", ())
        await self.process.ended()

    def crash(self, keep: Collection[Kept] = ()) -> None:
        """Die here and now: connections reset, port closed; what is not kept is lost."""
        self._end("crashed", keep)

    def _end(self, reason: Literal["stopped", "crashed"], keep: Collection[Kept]) -> None:
        process = self.process
        now_ms = process.driver.catch_up()
        if self.state == "stopped":     # perhaps since just now, by what was due
            return
        self._legacy, lost = process.end(keep)
        self.storage.tidy(keep_uploads="uploads" in keep)
        kept = tuple(each for each in KEPT if each in keep)
        self.publish(ServerStopped(at_ms=now_ms, lost=lost, reason=reason, kept=kept))

    async def stopService(self) -> None:
        """Take no more, forget what is due, hang up, and remove what was written."""
        super().stopService()
        if not self.process.has_ended:
            self.process.end(())
        await self.process.ended()
        await self.port.give_up()
        if self._has_served:
            self.storage.clear(keep_outputs=self.config.keep_outputs)

    # What faults do to its process: :class:`~comfyfarm.server.fault_controller.FaultTarget`.

    def freeze(self, *, worker: bool) -> None:
        """Answer nobody and tell nobody, the port open; with ``worker`` the job stands still too."""
        if self.state != "stopped":
            self.process.freeze(worker=worker)

    def thaw(self) -> None:
        """Answer and tell what has come up meanwhile."""
        self.process.thaw()

    def refuse(self) -> None:
        """Close the port to new connections; those that are open stay."""
        if self.state != "stopped":
            self.process.refuse()

    def accept(self) -> None:
        """Listen again."""
        self.process.accept()

    def restore(self) -> None:
        """Be up again, whatever was done to it: started, thawed, accepting, its worker at work."""
        self.start()
        self.thaw()
        self.accept()
        if self.running:
            self.resume()

    def wake(self) -> None:
        """Look again at everything that pauses until something has changed."""
        self.process.wake()

    # What the control API asks.

    def change(self, config: InstanceConfig, keys: Collection[str]) -> None:
        """Be configured anew from now on; the running job hears of it at its next step.

        :param keys: those that differ, which may all change while it runs.
        """
        now_ms = self.driver.catch_up()
        self.process.change(config)
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
        self._legacy = CarriedState(accepted=self._legacy.accepted)
        self.process.reset(files=files, now_ms=now_ms)
        self.driver.set_alarm()

    def publish(self, event: Event) -> None:
        """Say what happened here."""
        self.process.publish(event)
