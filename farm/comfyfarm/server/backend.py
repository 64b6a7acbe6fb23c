"""One instance as a Twisted service that can be stopped and started again."""

from collections.abc import Collection, Generator
from dataclasses import dataclass, field
from typing import Literal, Self

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
from comfyfarm.server.time.turns import at_once, in_turns
from comfyfarm.sim.instance import CarriedState, Instance
from comfyfarm.versions import advice

_logger = Logger()     # not in the class: Twisted keeps recent log events, and with them the objects that logged


@dataclass(eq=False, repr=False)
class Backend(Service):
    """An instance: its storage, its port, and the process that uses them (:mod:`comfyfarm.server.process`).

    :ivar process: the process that runs or ran last.
    :ivar _removal: removes the files that have ended with the last process, before the next one starts.
    """

    context: FarmContext
    storage: InstanceStorage
    port: ReopenablePort
    process: InstanceProcess
    _carried_state: CarriedState = field(default_factory=CarriedState, init=False)
    _has_served: bool = field(default=False, init=False)
    _removal: Generator[None, None, None] = field(default_factory=lambda: (_ for _ in ()), init=False)

    @classmethod
    def of(cls, config: InstanceConfig, context: FarmContext, port: BoundPort, renderer: ImageRenderer) -> Self:
        """Make an instance with its first process; nothing is written and nothing listens yet."""
        storage = InstanceStorage.of(config, context, renderer)
        reopenable_port = ReopenablePort(context.host, port, context.bind, context.reactor)
        return cls(context, storage, reopenable_port, InstanceProcess(1, config, context, storage, reopenable_port))

    # State.

    @property
    def url(self) -> str:
        return url(self.context.url_host, self.port.number)

    @property
    def state(self) -> State:
        return self.process.state

    @property
    def is_refusing(self) -> bool:
        """True if the port is closed to new connections while the process lives."""
        return self.process.is_refusing and not self.process.has_ended

    @property
    def epoch(self) -> int:
        """The number of times that the instance has been started."""
        return self.process.number

    @property
    def config(self) -> InstanceConfig:
        """The present configuration, with the changes made while the instance ran."""
        return self.process.config

    @property
    def instance(self) -> Instance:
        return self.process.parts.instance

    @property
    def driver(self) -> InstanceDriver:
        return self.process.parts.driver

    @property
    def site(self) -> FarmSite:
        return self.process.parts.site

    @property
    def faults(self) -> InstanceFaults:
        return self.process.parts.faults

    @property
    def disk(self) -> Disk:
        return self.storage.disk

    # Start and stop.

    def startService(self) -> None:
        """Make the folders and start the first process."""
        super().startService()
        self._has_served = True
        self.storage.prepare()
        if (text := advice(self.config.comfyui_version)) is not None:
            _logger.warn("{name}: {text}", name=self.config.name, text=text)
        self.process.open()

    def start(self) -> None:
        """Start a new process at the same port, unless one runs."""
        if not self.running or self.state != "stopped":
            return
        at_once(self._removal)
        self.context.registry.restarted(self.config.name, self.context.time.now_ms())
        self.process = InstanceProcess(
            self.epoch + 1, self.config, self.context, self.storage, self.port, self._carried_state
        )
        self._carried_state = CarriedState()
        self.process.open()
        self.publish(ServerStarted(at_ms=self.context.time.now_ms()))

    async def stop(self) -> None:
        """End the process and wait until clients notice; only the files that jobs have written stay."""
        self._end("stopped", ())
        await self.process.ended()
        await in_turns(self.context.reactor, self._removal)

    def crash(self, keep: Collection[Kept] = ()) -> None:
        """End the process at once: connections are reset, the port is closed, and what is not kept is lost."""
        self._end("crashed", keep)

    def _end(self, reason: Literal["stopped", "crashed"], keep: Collection[Kept]) -> None:
        process = self.process
        now_ms = process.parts.driver.catch_up()
        if self.state == "stopped":     # perhaps by a fault that was due until now
            return
        self._carried_state, lost = process.end(keep)
        self._removal = self.storage.tidy(keep_uploads="uploads" in keep)
        in_turns(self.context.reactor, self._removal)
        kept = tuple(part for part in KEPT if part in keep)
        self.publish(ServerStopped(at_ms=now_ms, lost=lost, reason=reason, kept=kept))

    async def stopService(self) -> None:
        """End the process, give up the port and remove the files."""
        super().stopService()
        if not self.process.has_ended:
            self.process.end(())
        await self.process.ended()
        await self.port.give_up()
        at_once(self._removal)
        if self._has_served:
            self.storage.clear(keep_outputs=self.config.keep_outputs)

    # What faults do to the process: :class:`~comfyfarm.server.fault_controller.FaultTarget`.

    def freeze(self, *, worker: bool) -> None:
        if self.state != "stopped":
            self.process.freeze(worker=worker)

    def thaw(self) -> None:
        self.process.thaw()

    def refuse(self) -> None:
        if self.state != "stopped":
            self.process.refuse()

    def accept(self) -> None:
        self.process.accept()

    def restore(self) -> None:
        self.start()
        self.thaw()
        self.accept()
        if self.running:
            self.resume()

    def wake(self) -> None:
        self.process.wake()

    # What the control API does.

    def change(self, config: InstanceConfig, keys: Collection[str]) -> None:
        """Use a new configuration from now on; the running job uses it from its next step.

        :param keys: the keys that differ; all of them may change while the instance runs.
        """
        now_ms = self.driver.catch_up()
        self.process.change(config)
        if config.keep_outputs and self.context.temporary is not None:
            self.context.temporary.keep()
        self.publish(SettingsChanged(at_ms=now_ms, settings={key: as_written(getattr(config, key)) for key in keys}))
        self.driver.set_alarm()

    def pause(self) -> None:
        """Stop the worker before its next step."""
        self.instance.pause(self.driver.catch_up())
        self.driver.set_alarm()

    def resume(self) -> None:
        self.instance.resume(self.driver.catch_up())
        self.driver.set_alarm()

    def reset(self, *, files: bool) -> Generator[None, None, None]:
        """Forget queue, running job, history and uploads; with ``files`` output files and counters too.

        :returns: the steps that remove the files.
        """
        now_ms = self.driver.catch_up()
        self._carried_state = CarriedState(accepted=self._carried_state.accepted)
        self.process.reset(files=files, now_ms=now_ms)
        self.driver.set_alarm()
        return self._remove_files(outputs=files)

    def _remove_files(self, *, outputs: bool) -> Generator[None, None, None]:
        yield from self.disk.remove_uploads()
        if outputs:
            yield from self.disk.remove_outputs()
            self.storage.namer.forget()     # a job may have counted on after a file that had not been removed yet

    def publish(self, event: Event) -> None:
        self.process.parts.publish(event)
