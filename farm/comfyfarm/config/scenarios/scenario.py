"""A scenario is a value: what happens on purpose, at which simulated moment."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import msgspec

from comfyfarm.faults.fault import Fault
from comfyfarm.units import Duration

InstanceAction = Literal[
    "restart", "crash", "stop", "start", "pause", "resume", "interrupt", "clear_history", "clear_queue"
]
"""What can be done to an instance by its name alone; the last three are what any client may ask of it."""
DEEDS: tuple[InstanceAction, ...] = (
    *("restart", "crash", "stop", "start", "pause", "resume"),
    *("interrupt", "clear_history", "clear_queue"),
)

_AtLeastOne = Annotated[int, msgspec.Meta(ge=1)]


class LoadStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Jobs that the farm itself submits: ComfyUI's standard workflow, each with a seed of its own.

    :ivar on: each of these instances is given so many.
    :ivar every: how long from one job to the next of the same instance; 0: all at once.
    :ivar steps: of the sampler.
    :ivar client: the client id that they bear; empty: none.
    :ivar job: what their logical jobs are called, before a dash and a number.
    """

    action: ClassVar[str] = "load"

    on: tuple[str, ...]
    jobs: _AtLeastOne
    every: Duration = Duration(0)
    steps: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 20
    client: str = "load"
    job: Annotated[str, msgspec.Meta(min_length=1)] = "load"


class ArmStep(msgspec.Struct, frozen=True):
    """A fault is armed; its moments are the farm's, no longer the scenario's."""

    action: ClassVar[str] = "fault"

    fault: Fault

    @property
    def on(self) -> tuple[str, ...]:
        """The instances that it is about."""
        given = self.fault.rule.on
        return (given,) if isinstance(given, str) else given


class ActionStep(msgspec.Struct, frozen=True):
    """Something is done to instances."""

    action: InstanceAction
    on: tuple[str, ...]


class ChangeStep(msgspec.Struct, frozen=True):
    """Settings are changed while the instances run.

    :ivar settings: as they are written in an ``[[instance]]``.
    """

    action: ClassVar[str] = "change"

    on: tuple[str, ...]
    settings: dict[str, Any]


class HealStep(msgspec.Struct, frozen=True):
    """All faults of the farm are taken off, whosever they are, and every instance is up."""

    action: ClassVar[str] = "heal"
    on: ClassVar[tuple[str, ...]] = ()


Action: TypeAlias = LoadStep | ArmStep | ActionStep | ChangeStep | HealStep


class Step(msgspec.Struct, frozen=True):
    """One thing that happens, at one moment.

    :ivar at_ms: counted from the farm's start.
    :ivar place: where the configuration says it.
    """

    at_ms: int
    action: Action
    place: str


class Scenario(msgspec.Struct, frozen=True):
    """What happens on purpose.

    :ivar name: of an incident, its id.
    :ivar on: the names of the instances that it is on.
    :ivar settings: the keys of an ``[[instance]]`` that hold for them from the start.
    :ivar steps: in the order of their moments; of those at the same moment, the first one first.
    """

    name: str
    on: tuple[str, ...]
    settings: dict[str, Any]
    steps: tuple[Step, ...]
