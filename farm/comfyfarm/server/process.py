"""A process of an instance: everything that begins and ends with one run of the server that the instance plays.

An instance (:class:`~comfyfarm.server.backend.Backend`) has one process at a time; the number of a process is its
*epoch*.  What a process does is all in its :class:`~comfyfarm.server.process_parts.ProcessParts`: the simulation, the
HTTP site, the websockets and the server log.  This module moves the process from state to state:

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

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, Literal

from twisted.internet.task import deferLater

from comfyfarm.config import InstanceConfig
from comfyfarm.events import Frozen, PortBlocked, Refusing, ServerReady, Thawed
from comfyfarm.faults.targets import Kept
from comfyfarm.server.context import FarmContext
from comfyfarm.server.ports import ReopenablePort, url
from comfyfarm.server.process_parts import ProcessParts
from comfyfarm.server.storage import InstanceStorage
from comfyfarm.server.time.clock import Alarm
from comfyfarm.sim.durations import draw_ms
from comfyfarm.sim.instance import CarriedState

State = Literal["booting", "running", "paused", "frozen", "stopped"]


@dataclass(eq=False, repr=False)
class InstanceProcess:
    """One process of an instance; the head of this module explains its states.

    :ivar number: the epoch: how many times the instance has been started, this time included.
    :ivar config: the present configuration; some of it may change while the instance runs.
    :ivar carried_state: what the process before has left, until this one takes it at the end of its boot.
    :ivar has_ended: it was stopped or has crashed.
    :ivar is_refusing: the port is closed to new connections.
    """

    number: int
    config: InstanceConfig
    context: FarmContext
    storage: InstanceStorage
    port: ReopenablePort
    carried_state: CarriedState = CarriedState()   # noqa: RUF009 (frozen)
    has_ended: bool = field(default=False, init=False)
    is_refusing: bool = field(default=False, init=False)
    parts: ProcessParts = field(init=False)
    _boot: Alarm = field(init=False)
    _has_begun: bool = field(default=False, init=False)
    _has_hung_up: bool = field(default=False, init=False)
    _unsubscribe: Callable[[], None] = field(default=lambda: None, init=False)

    def __post_init__(self) -> None:
        self.storage.namer.keep_temp_prefixes({})
        self.parts = ProcessParts(
            self.number,
            self.config,
            self.context,
            self.storage,
            has_ended=lambda: self.has_ended,
            accepted=self.carried_state.accepted,
        )
        self._boot = Alarm(self.context.time, self._listen)

    # States.

    @property
    def state(self) -> State:
        if self.has_ended or not self._has_begun:
            return "stopped"
        if self._boot.is_set or self.port.is_opening:
            return "booting"
        if self.parts.freezer.is_frozen:
            return "frozen"
        return "paused" if self.parts.instance.is_paused else "running"

    def open(self) -> None:
        """Start the process: it listens at the end of its boot."""
        parts = self.parts
        now_ms = self.context.time.now_ms()
        self._has_begun = True
        parts.server_log.begin(url(self.context.host, self.port.number), now_ms)
        self._unsubscribe = self.context.log.listen(parts.on_event, self.config.name, parts.handlers)
        parts.instance.machine.at_ms = now_ms
        parts.instance.machine.warm_up(self.carried_state.models)
        parts.driver.start()
        timing, chance = self.config.timing, parts.instance.machine.seeds.of("timing").stream(f"boot {self.number}")
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
        self.port.open(self.parts.site, on_open)
        if self.port.error is not None:
            self.parts.publish(PortBlocked(at_ms=self.context.time.now_ms()))

    def _serve(self) -> None:
        picture: dict[str, Any] = {}
        if self.config.mode == "static":
            renderer = self.storage.renderer
            picture = {"picture": renderer.digest, "picture_bytes": len(renderer.input_picture)}
        self.parts.publish(ServerReady(at_ms=self.context.time.now_ms(), **picture))
        self._take_over()

    def _take_over(self) -> None:
        """Take the jobs and the history that the process before has left."""
        carried_state, self.carried_state = self.carried_state, CarriedState()
        if carried_state.jobs or carried_state.history.entries:
            self.parts.instance.inherit(carried_state, self.context.time.now_ms())
            self.parts.driver.set_alarm()

    def change(self, config: InstanceConfig) -> None:
        """Use a new configuration from now on; the running job uses it from its next step."""
        self.config = config
        self.parts.change(config)

    def reset(self, *, files: bool, now_ms: int) -> None:
        """Forget all jobs, also those that the process before has left."""
        self.carried_state = CarriedState(accepted=self.carried_state.accepted)
        self.parts.instance.reset(files=files, now_ms=now_ms)

    def end(self, keep: Collection[Kept]) -> tuple[CarriedState, tuple[str, ...]]:
        """End the process: reset all connections and drop everything that is due.

        :returns: what is left for the next process, and the ids of the jobs that are lost, in the queue's order.
        """
        parts = self.parts
        self.has_ended = True
        parts.fault_injector.stop()
        self._take_over()       # it may end within its boot
        carried_state = parts.instance.carried_state
        lost = () if "queue" in keep else tuple(job.prompt_id for job in carried_state.jobs)
        parts.driver.stop()
        self._boot.set(None)
        self._unsubscribe()
        parts.instance.forget()
        parts.freezer.forget()
        parts.outbox.stop()
        self.port.close()
        self._has_hung_up = parts.site.hang_up()
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
        parts = self.parts
        now_ms = parts.driver.catch_up()
        is_new = not parts.freezer.is_frozen or (worker and not parts.instance.is_suspended)
        if self.has_ended or not is_new:
            return
        parts.freezer.is_frozen = True
        if worker:
            parts.instance.suspend(now_ms)
        parts.publish(Frozen(at_ms=now_ms, worker=worker))
        parts.driver.set_alarm()

    def thaw(self) -> None:
        """Handle and send everything that has waited, in its order."""
        parts = self.parts
        if self.has_ended or not parts.freezer.is_frozen:
            return
        now_ms = parts.driver.catch_up()
        parts.instance.unsuspend(now_ms)
        parts.publish(Thawed(at_ms=now_ms))
        parts.outbox.thawed_ms = now_ms
        parts.freezer.release()
        self.wake()

    def refuse(self) -> None:
        """Close the port to new connections; those that are open stay."""
        if not self.has_ended and not self.is_refusing:
            self.is_refusing = True
            self.port.close()
            self.parts.publish(Refusing(at_ms=self.parts.driver.catch_up(), on=True))
            self.parts.driver.set_alarm()

    def accept(self) -> None:
        """Open the port again; during a boot it is opened at the end of the boot."""
        if not self.has_ended and self.is_refusing:
            self.is_refusing = False
            if self._boot.is_set:
                self._accept()
            else:
                self._open_port(self._accept)

    def _accept(self) -> None:
        self.parts.publish(Refusing(at_ms=self.parts.driver.catch_up(), on=False))
        self.parts.driver.set_alarm()

    def wake(self) -> None:
        """Resume every job and exchange whose fault is no longer active."""
        parts = self.parts
        if self.has_ended:
            return
        parts.instance.wake(parts.driver.catch_up())
        parts.driver.catch_up()
        parts.driver.set_alarm()
        parts.fault_injector.wake()
