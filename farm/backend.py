"""One instance, alive: a service that begins, ends and begins again."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from twisted.application.service import Service
from twisted.internet.defer import DeferredLock
from twisted.logger import Logger

from farm.changes import as_written
from farm.comfy.disk import Disk
from farm.comfy.pictures import Painter
from farm.comfy.site import FarmSite
from farm.comfy.sockets import Hub
from farm.comfy.version import advice
from farm.config import InstanceConfig
from farm.driver import Driver
from farm.epoch import Epoch, State
from farm.home import Home, Surroundings
from farm.ports import BoundPort, url
from farm.sim.events import Event, ServerStarted, ServerStopped, SettingsChanged
from farm.sim.instance import Instance

__all__ = ["Backend"]


@dataclass(eq=False)
class Backend(Service):
    """An instance that listens, and that can be stopped and started again.

    Its port and its home outlast a stop; all else belongs to one epoch.

    :ivar process: the epoch that runs, or ran last.
    :ivar changing: held by whoever stops or starts it.
    """

    around: Surroundings
    home: Home
    port: BoundPort
    process: Epoch
    logger = Logger()
    changing: DeferredLock = field(default_factory=DeferredLock, init=False)
    _has_served: bool = field(default=False, init=False)

    @classmethod
    def of(
        cls,
        config: InstanceConfig,
        around: Surroundings,
        port: BoundPort,
        painter: Painter,
        picture_name: str,
    ) -> Backend:
        """An instance in its first epoch; nothing is written and nobody listens yet.

        :param picture_name: the file name of the input picture.
        """
        home = Home.of(config, around, painter, picture_name)
        return cls(around, home, port, Epoch(1, config, around, home, port))

    # What it is now.

    @property
    def url(self) -> str:
        """Where clients find it."""
        return url(self.around.host, self.port.number)

    @property
    def state(self) -> State:
        """Whether it listens, and whether its worker works."""
        return self.process.state

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
    def driver(self) -> Driver:
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
    def disk(self) -> Disk:
        """Its files."""
        return self.home.disk

    # Life.

    def startService(self) -> None:
        """Make the folders, and serve."""
        super().startService()
        self._has_served = True
        self.home.furnish()
        if (text := advice(self.config.comfyui_version)) is not None:
            self.logger.warn("{name}: {text}", name=self.config.name, text=text)
        self.process.open()

    def start(self) -> None:
        """Listen again after :meth:`stop`, at the same port, as a new process would."""
        self.process = Epoch(self.epoch + 1, self.config, self.around, self.home, self.port)
        self.process.open()
        self.publish(ServerStarted(at_ms=self.around.time.now_ms()))

    async def stop(self) -> None:
        """Close the port, hang up, and forget everything but the files that jobs have written."""
        lost = self.process.forget()
        await self.process.close()
        self.port.close()       # it is still ours where the instance never came to listen
        self.port = self.around.bind(self.around.host, self.port.number)
        self.home.tidy()
        self.publish(ServerStopped(at_ms=self.around.time.now_ms(), lost=lost))

    async def stopService(self) -> None:
        """Take no more, forget what is due, hang up, and remove what was written."""
        super().stopService()
        await self.process.close()
        self.port.close()
        if self._has_served:
            self.home.clear(keep_outputs=self.config.keep_outputs)

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
        self.instance.reset(files=files, now_ms=now_ms)
        self.driver.set_alarm()

    def publish(self, event: Event) -> None:
        """Say what happened here."""
        self.process.publish(event)
