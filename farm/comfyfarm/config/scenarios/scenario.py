"""Scenarios as values: steps that are taken at their simulated times."""

from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias, get_args

import msgspec

from comfyfarm.faults.fault import Fault
from comfyfarm.units import Duration

InstanceAction = Literal[
    "restart",
    "crash",
    "stop",
    "start",
    "pause",
    "resume",
    "reset",
    "drain",
    "undrain",
    "interrupt",
    "clear_history",
    "clear_queue",
]
"""The actions on an instance that take no settings; the last three are requests that any client may send."""
INSTANCE_ACTIONS: tuple[InstanceAction, ...] = get_args(InstanceAction)

Begin = Literal["start", "first job"]
"""The moment from which a scenario's times count: the farm's start, or the first job that a client submits."""

Speed = Annotated[float, msgspec.Meta(gt=0, le=1_000_000)]
"""The simulated seconds in a real one."""

_AtLeastOne = Annotated[int, msgspec.Meta(ge=1)]


class LoadStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Submit jobs: ComfyUI's standard workflow, each with its own seed.

    :ivar jobs: for each instance of ``on``.
    :ivar every: the time between two jobs of one instance; 0: all at once.
    :ivar steps: of the sampler.
    :ivar client: the client id of the jobs; empty: none.
    :ivar job: the names of the logical jobs, before a dash and a number.
    """

    action: ClassVar[str] = "load"

    on: tuple[str, ...]
    jobs: _AtLeastOne
    every: Duration = Duration(0)
    steps: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 20
    client: str = "load"
    job: Annotated[str, msgspec.Meta(min_length=1)] = "load"


class ArmStep(msgspec.Struct, frozen=True):
    """Arm a fault; its times are simulated times of the farm, no longer those of the scenario."""

    action: ClassVar[str] = "fault"

    fault: Fault

    @property
    def on(self) -> tuple[str, ...]:
        return self.fault.rule.globs


class ActionStep(msgspec.Struct, frozen=True):
    """Do something to instances."""

    action: InstanceAction
    on: tuple[str, ...]


class ChangeStep(msgspec.Struct, frozen=True):
    """Change settings of running instances.

    :ivar settings: keys of an ``[[instance]]``, not decoded.
    """

    action: ClassVar[str] = "change"

    on: tuple[str, ...]
    settings: dict[str, Any]


class SpeedStep(msgspec.Struct, frozen=True):
    """Let the time of a real clock pass so many times as fast as real time."""

    action: ClassVar[str] = "speed"
    on: ClassVar[tuple[str, ...]] = ()

    speed: Speed


class HealStep(msgspec.Struct, frozen=True):
    """Take all faults of the farm off, and have every instance up."""

    action: ClassVar[str] = "heal"
    on: ClassVar[tuple[str, ...]] = ()


Action: TypeAlias = LoadStep | ArmStep | ActionStep | ChangeStep | SpeedStep | HealStep


class Step(msgspec.Struct, frozen=True):
    """One action of a scenario.

    :ivar at_ms: from the farm's start, or from the moment at which the scenario begins.
    :ivar place: of the step in the configuration.
    """

    at_ms: int
    action: Action
    place: str


class Scenario(msgspec.Struct, frozen=True):
    """A scenario on some instances of a farm.

    :ivar name: the id of the incident, or its own name.
    :ivar on: the names of its instances.
    :ivar settings: keys of an ``[[instance]]`` that its instances have from the start.
    :ivar steps: by time; steps of the same time in the order of the file.
    """

    name: str
    on: tuple[str, ...]
    settings: dict[str, Any]
    steps: tuple[Step, ...]
    begins: Begin = "start"

    def later(self, ms: int) -> Self:
        """Return the scenario with all its times, also those of its faults, so much later."""
        return msgspec.structs.replace(self, steps=tuple(_later(step, ms) for step in self.steps))


def _later(step: Step, ms: int) -> Step:
    action = step.action
    if isinstance(action, ArmStep):
        rule = action.fault.rule
        times = {key: Duration(time + ms) for key in ("after", "until") if (time := getattr(rule, key)) is not None}
        action = ArmStep(Fault(msgspec.structs.replace(rule, **times), action.fault.effect))
    return Step(step.at_ms + ms, action, step.place)
