"""Runs scenarios: takes each step at its simulated time."""

import heapq
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import msgspec
from twisted.application.service import Service
from twisted.internet.defer import Deferred

from comfyfarm.config import ConfigError
from comfyfarm.config.equipment import EquipmentCache, check_change
from comfyfarm.config.live_changes import changed, differing
from comfyfarm.config.scenarios.scenario import (
    Action,
    ActionStep,
    ArmStep,
    ChangeStep,
    InstanceAction,
    LoadStep,
    Scenario,
    SpeedStep,
    Step,
)
from comfyfarm.events import Event, StepTaken, Unsubmitted
from comfyfarm.events.filters import is_job
from comfyfarm.events.log import Log
from comfyfarm.faults.registry import UnknownFault
from comfyfarm.server.backend import Backend
from comfyfarm.server.fault_controller import FaultController
from comfyfarm.server.time.clock import Alarm, SimulatedTime
from comfyfarm.server.time.clock_control import ClockControl, WrongClock
from comfyfarm.server.time.turns import in_turns
from comfyfarm.sim.errors import PromptRejected
from comfyfarm.sim.instance import Instance
from comfyfarm.sim.prompt.submission import PromptSource
from comfyfarm.workflows import text_to_image


class Drain(Protocol):
    """The type of ``drain``."""

    def __call__(self, instance: str, /, *, on: bool) -> None: ...


@dataclass(eq=False)
class ScenarioRunner(Service):
    """Takes the steps of all scenarios in the order of their times; of those at the same time, the first one first.

    :ivar backends: the instances, by name.
    :ivar drain: records that an instance shall get no new work, or some again.
    """

    time: SimulatedTime
    log: Log
    fault_controller: FaultController
    backends: Mapping[str, Backend]
    equipment_cache: EquipmentCache
    scenarios: Iterable[Scenario]
    clock_control: ClockControl
    drain: Drain
    _due: list[tuple[int, int, Callable[[], None]]] = field(default_factory=list, init=False)
    _count: int = field(default=0, init=False)
    _jobs: Counter[str] = field(default_factory=Counter, init=False)
    _waiting: list[Scenario] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self._alarm = Alarm(self.time, self._resume)
        self._unlisten: Callable[[], None] | None = None
        for scenario in self.scenarios:
            self._schedule(scenario)

    def startService(self) -> None:
        """Take the steps that are due at once; the instances have been started."""
        super().startService()
        self._resume()

    def stopService(self) -> None:
        super().stopService()
        self._alarm.set(None)

    def start(self, scenario: Scenario) -> None:
        """Take the steps of one more scenario at their times, and those at once that are due.

        :raises ConfigError: if its settings cannot change while its instances run; nothing has changed then.
        """
        changes = [
            (backend, changed(backend.config, scenario.settings))
            for name, backend in self.backends.items()
            if scenario.settings and name in scenario.on
        ]
        others = [backend.config for backend in self.backends.values()]
        for _, config in changes:
            check_change(config, others, self.equipment_cache)
        for backend, config in changes:
            backend.change(config, list(scenario.settings))
        self._schedule(scenario)
        self._resume()

    # Times.

    def _schedule(self, scenario: Scenario) -> None:
        if scenario.begins == "first job":
            self._waiting.append(scenario)
            self._unlisten = self._unlisten or self.log.listen(self._on_event)
            return
        for step in scenario.steps:
            self._later(step.at_ms, partial(self._take, scenario, step))

    def _on_event(self, event: Event) -> None:
        """Begin the scenarios that wait for a job, if this is the submission of one."""
        if not is_job(event):
            return
        if self._unlisten is not None:
            self._unlisten()
            self._unlisten = None
        for scenario in self._waiting:
            self._schedule(msgspec.structs.replace(scenario.later(event.at_ms), begins="start"))
        self._waiting.clear()
        if self.running:
            self._alarm.set(self._due[0][0] if self._due else None)

    def _later(self, at_ms: int, act: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._due, (at_ms, self._count, act))

    def _resume(self) -> None:
        """Take the steps that are due, and set the alarm for the next one."""
        try:
            while self._due and self._due[0][0] <= self.time.now_ms():
                heapq.heappop(self._due)[-1]()
        finally:    # an error of ours is logged, and the scenario goes on
            if self.running:
                self._alarm.set(self._due[0][0] if self._due else None)

    def _take(self, scenario: Scenario, step: Step) -> None:
        """Take a step and publish it, with the reasons if it could not be taken everywhere."""
        action = step.action
        refused = "; ".join(self._act(action, step.at_ms))
        on = self.fault_controller.registry.find(action.fault.id).counts if isinstance(action, ArmStep) else action.on
        told = StepTaken(
            at_ms=self.time.now_ms(),
            scenario=scenario.name,
            action=action.action,
            on=tuple(on),
            refused=refused,
            settings=differing(action, LoadStep(on=action.on, jobs=0)) if isinstance(action, LoadStep) else {},
        )
        self.log.publish(told)

    # Actions.

    def _act(self, action: Action, at_ms: int) -> Iterator[str]:
        """Carry out an action; yield why a part of it could not be carried out."""
        match action:
            case LoadStep():
                self._load(action, at_ms)
            case ArmStep():
                try:
                    self.fault_controller.arm(action.fault)
                except UnknownFault as error:     # its id was taken while the farm ran
                    yield str(error)
            case ActionStep():
                yield from self._do(action)
            case ChangeStep():
                yield from self._change(action)
            case SpeedStep(speed=speed):
                try:
                    self.clock_control.change(speed=speed)
                except WrongClock as error:
                    yield str(error)
            case _:
                self.fault_controller.heal()

    def _do(self, action: ActionStep) -> Iterator[str]:
        for name in action.on:
            backend = self.backends[name]
            if action.action not in _OF_STOPPED and backend.state == "stopped":
                yield f"{name} is stopped"
            elif action.action in ("drain", "undrain"):
                self.drain(name, on=action.action == "drain")
            elif action.action == "reset":
                in_turns(self.clock_control.reactor, backend.reset(files=False))
            elif action.action not in _REQUESTS:
                _ACTIONS[action.action](backend)
            elif _is_serving(backend):
                _REQUESTS[action.action](backend.instance, backend.driver.catch_up())
                backend.driver.set_alarm()
            else:
                yield f"{name} answers nobody"

    def _change(self, action: ChangeStep) -> Iterator[str]:
        for name in action.on:
            backend = self.backends[name]
            try:
                config = changed(backend.config, action.settings)
                configs = [other.config for other in self.backends.values()]
                check_change(config, configs, self.equipment_cache)
            except ConfigError as error:      # the instance was changed while the farm ran
                yield f"{name}: {error}"
            else:
                backend.change(config, list(action.settings))

    # Load.

    def _load(self, load: LoadStep, at_ms: int) -> None:
        """Submit the jobs of a load: the first of each instance now, before the next step of the same time."""
        for nth in range(load.jobs):
            for name in load.on:
                if nth * load.every:
                    self._later(at_ms + nth * load.every, partial(self._submit, load, self.backends[name]))
                else:
                    self._submit(load, self.backends[name])

    def _submit(self, load: LoadStep, backend: Backend) -> None:
        """Submit the next job of a load, as a client would that tries once."""
        self._jobs[load.job] += 1
        number = self._jobs[load.job]
        job = f"{load.job}-{number}"
        if not _is_serving(backend):
            backend.publish(Unsubmitted(at_ms=self.time.now_ms(), job=job))
            return
        body: dict[str, object] = {"prompt": _prompt(backend, number, load.steps)}
        if load.client:
            body["client_id"] = load.client
        now_ms = backend.driver.catch_up()
        try:
            backend.instance.submit(body, PromptSource(job=job, is_load=True), now_ms)
        except PromptRejected:
            pass    # the instance has published that
        finally:
            backend.driver.set_alarm()


def _prompt(backend: Backend, seed: int, steps: int) -> dict[str, object]:
    """Return the standard workflow, with a checkpoint that the instance has."""
    prompt = text_to_image(seed=seed, steps=steps)
    loader = prompt["4"]["inputs"]
    names = backend.instance.machine.catalogue.model_names("checkpoints") or []
    if names and loader["ckpt_name"] not in names:
        loader["ckpt_name"] = names[0]
    return prompt


def _is_serving(backend: Backend) -> bool:
    """True if a request that comes now is answered."""
    return backend.state in ("running", "paused") and not backend.is_refusing


def _stop(backend: Backend) -> None:
    Deferred.fromCoroutine(backend.stop())      # it has stopped when this returns; only its port takes another turn


def _restart(backend: Backend) -> None:
    _stop(backend)
    backend.start()


_OF_STOPPED: Collection[InstanceAction] = ("start", "restart", "reset", "drain", "undrain")
# What a client may request of an instance, by the simulated time.
_REQUESTS: dict[InstanceAction, Callable[[Instance, int], object]] = {
    "interrupt": lambda instance, now_ms: instance.interrupt(None, now_ms, is_load=True),
    "clear_history": Instance.clear_history,
    "clear_queue": Instance.clear_queue,
}
_ACTIONS: dict[InstanceAction, Callable[[Backend], None]] = {
    "restart": _restart,
    "crash": lambda backend: backend.crash(()),
    "stop": _stop,
    "start": Backend.start,
    "pause": Backend.pause,
    "resume": Backend.resume,
}
