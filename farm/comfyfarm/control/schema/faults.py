"""Bodies and answers of the control API about faults and gates."""

from typing import Annotated, Any, Literal

import msgspec

from comfyfarm.control.schema.farm import Body
from comfyfarm.units import Duration


class CrashBody(Body, frozen=True, kw_only=True):
    """Settings of a crash; an empty body means the defaults.

    :ivar keep: the parts of the state that are not lost.
    :ivar restart_after: the time until the instance is started again; ``None``: it is not started by itself.
    """

    keep: tuple[Literal["queue", "history", "uploads", "models"], ...] = ()
    restart_after: Duration | None = None


class FaultState(msgspec.Struct, frozen=True, kw_only=True):
    """A fault and its state.

    :ivar state: ``expired``: it has fired as often as it may, or its time is over.
    :ivar fault: the fault as it is written in a configuration.
    :ivar on: the instances that it applies to.
    :ivar matched: the number of times that its phase and filters matched, whether it fired or not.
    :ivar fired: the number of times that it fired, by instance.
    :ivar lasts: whether an effect of it is still in force, whatever its state.
    """

    id: str
    state: Literal["armed", "expired", "healed", "removed"]
    fault: dict[str, Any]
    on: tuple[str, ...]
    matched: int
    fired: dict[str, int]
    lasts: bool


class FaultList(msgspec.Struct, frozen=True, kw_only=True):
    """Faults, in the order in which they were armed.

    :ivar never_fired: the ids of those that have not fired.
    """

    faults: tuple[FaultState, ...]
    never_fired: tuple[str, ...]


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A job or an HTTP exchange that a gate holds.

    :ivar prompt_id: the job's prompt id, if it has one by then.
    :ivar job: the logical job.
    :ivar node: the node at which a job is held; empty if it is none.
    :ivar route: the route of an exchange.
    :ivar since_ms: the simulated time since which it is held.
    """

    instance: str
    prompt_id: str | None
    job: str
    node: str
    route: str
    since_ms: int


class GateState(msgspec.Struct, frozen=True, kw_only=True):
    """A gate, and what it holds.

    :ivar state: a ``removed`` or ``healed`` gate is open.
    :ivar gate: the gate as it is written in a configuration.
    :ivar fired: the number of jobs and exchanges that it has held so far, by instance.
    :ivar held: those that it holds now; the one held longest first.
    """

    id: str
    state: Literal["armed", "expired", "healed", "removed"]
    gate: dict[str, Any]
    fired: dict[str, int]
    held: tuple[Held, ...]


class GateList(msgspec.Struct, frozen=True, kw_only=True):
    """All gates, also those that are open by now."""

    gates: tuple[GateState, ...]


class ReleaseBody(Body, frozen=True, kw_only=True):
    """The number of jobs and exchanges to release.

    :ivar count: the maximum number; ``None``: all that are held now.
    """

    count: Annotated[int, msgspec.Meta(ge=1)] | None = None
