"""What the control API takes and gives where something is broken on purpose."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from comfyfarm.control.schema.farm import Body
from comfyfarm.units import Duration


class CrashBody(Body, frozen=True, kw_only=True):
    """How an instance crashes; an empty body means the defaults.

    :ivar keep: what is not lost.
    :ivar restart_after: how long until it is started again; ``None``: not by itself.
    """

    keep: tuple[Literal["queue", "history", "uploads", "models"], ...] = ()
    restart_after: Duration | None = None


class FaultState(msgspec.Struct, frozen=True, kw_only=True):
    """A fault, and what has become of it.

    :ivar state: ``expired``: it has struck as often as it may, or its time is over.
    :ivar fault: as it is written in a configuration.
    :ivar on: the instances that it is about.
    :ivar matched: how often its moment came, whether it struck or not.
    :ivar fired: how often it struck, by instance.
    :ivar lasts: what it struck is still in its hands, whatever its state.
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

    :ivar never_fired: the ids of those that have not struck.
    """

    faults: tuple[FaultState, ...]
    never_fired: tuple[str, ...]


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """What waits at a gate: a job, or an HTTP exchange.

    :ivar prompt_id: of the job, where it has one by then.
    :ivar job: the logical job.
    :ivar node: where a job waits at one.
    :ivar route: of an exchange.
    :ivar since_ms: the simulated moment at which it came.
    """

    instance: str
    prompt_id: str | None
    job: str
    node: str
    route: str
    since_ms: int


class GateState(msgspec.Struct, frozen=True, kw_only=True):
    """A gate, and what waits at it.

    :ivar state: ``removed`` and ``healed`` ones are open.
    :ivar gate: as it is written.
    :ivar fired: how much it has held so far, by instance.
    :ivar held: who has waited longest stands first.
    """

    id: str
    state: Literal["armed", "expired", "healed", "removed"]
    gate: dict[str, Any]
    fired: dict[str, int]
    held: tuple[Held, ...]


class GateList(msgspec.Struct, frozen=True, kw_only=True):
    """All gates there are and were."""

    gates: tuple[GateState, ...]


class ReleaseBody(Body, frozen=True, kw_only=True):
    """How much is let go.

    :ivar count: so many; ``None``: all that wait now.
    """

    count: Annotated[int, msgspec.Meta(ge=1)] | None = None
