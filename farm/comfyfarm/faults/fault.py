"""Faults: a rule and an effect each.

A fault is a frozen value.  Its :class:`Rule` says on which instances, at which phase, how often and until when it
fires; its :class:`Effect` says what happens then.  This is its way from a configuration to its effect::

    [[fault]] table, API body, header            config/fault_tables.py: read_fault
            |
            v
    Fault = Rule(on, at=At, times ...) + Effect  a value; refuses what can never fire
            |
            |  FaultRegistry.arm                 publishes fault_armed
            v
    ArmedFault                                   one FaultProgress for each instance of `on`:
            |                                    its time window, its matches and firings
            |
            |  code reaches a phase of an instance and calls
            |  InstanceFaults.fire(phase, facts, now_ms)
            |                                    At.matches(facts), then times, skip, every, chance
            v
    Firing, a Hold                               publishes fault_fired
            |
            +--> effect.on_job(job, firing)             start, node, step, save, success, history
            +--> effect.on_exchange(exchange, firing)   request, submit, view, upload, reply, status
            +--> effect.on_frame(frame, firing)         frame, and the messages of status
            +--> effect.on_process(process, firing)     process, and every phase of a job or an exchange

The registry is pure: it opens no socket and reads no clock.  The code at a phase calls the method of the effect and
lets the time pass that the effect yields (:data:`~comfyfarm.faults.pauses.Steps`).  What an effect may touch is
declared in :mod:`comfyfarm.faults.targets`.

Three rules decide how a fault ends:

* An effect that *lasts* (a job that hangs, a process that is down) goes on after its firing.  It checks
  ``firing.active``, and ends once that is false.
* A fault that has fired as often as it may is *spent*: it fires no more, but its firings stay active.  If its time is
  over (``until``, ``ttl``), or it is removed or healed, its firings become inactive.
* A firing ends earlier if what it is about ends: the job, the exchange or the socket.  A new process of the instance
  ends all firings of the process before it, except those of effects on the process itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Annotated, Any, ClassVar, TypeVar

import msgspec

from comfyfarm.faults.globs import check_globs, check_id, matched
from comfyfarm.faults.pauses import Hold, Steps
from comfyfarm.faults.phases import At, Phase, PhaseFacts
from comfyfarm.faults.targets import Exchange, Frame, ProcessControl, RunningJob
from comfyfarm.units import Duration

EFFECTS: dict[str, type[Effect]] = {}
"""Every effect by its name in ``do``."""


class Effect(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """The effect of a fault.  Its fields are the keys that stand beside ``do``.

    An effect overrides the methods that its phases call.  One that overrides :meth:`on_process` may name any phase of
    a job or an exchange: the other methods are not called then.

    :cvar do: its name.
    :cvar phases: where it can happen.
    :cvar lasts: it goes on after its firing, until the firing is inactive.
    :cvar needs_reply: it changes the reply of an HTTP exchange, so at a phase before the work it waits for the reply.
    """

    do: ClassVar[str] = ""
    phases: ClassVar[tuple[Phase, ...]] = ()
    needs_reply: ClassVar[bool] = False
    lasts: ClassVar[bool] = False

    @property
    def is_for_process(self) -> bool:
        """True if it acts on the process, whatever its phase."""
        return type(self).on_process is not Effect.on_process

    @property
    def is_for_frames(self) -> bool:
        """True if it can act on a websocket message; at phase ``status`` some effects act on HTTP exchanges only."""
        return type(self).on_frame is not Effect.on_frame

    def on_job(self, job: RunningJob, firing: Firing) -> Steps:
        """Act on a job, which pauses for what this yields.

        :raises Exception: one made by ``job.node_error`` or ``job.out_of_memory``, to let the node fail.
        """
        raise NotImplementedError(self.do)

    def on_exchange(self, exchange: Exchange, firing: Firing) -> Steps:
        """Act on an HTTP exchange, which pauses for what this yields."""
        raise NotImplementedError(self.do)

    def on_frame(self, frame: Frame, firing: Firing) -> None:
        """Act on a websocket message to one client."""
        raise NotImplementedError(self.do)

    def on_process(self, process: ProcessControl, firing: Firing) -> Steps:
        """Act on the process.

        The steps go on if the process ends.  A pause ends at once if the firing becomes inactive.
        """
        raise NotImplementedError(self.do)


E = TypeVar("E", bound=type[Effect])


def effect(do: str, *phases: Phase, needs_reply: bool = False, lasts: bool = False) -> Callable[[E], E]:
    """Register an effect under its name, with the phases at which it can happen."""

    def register(kind: E) -> E:
        kind.do, kind.phases, kind.needs_reply, kind.lasts = do, phases, needs_reply, lasts
        EFFECTS[do] = kind
        return kind

    return register


_KEYS_OF_MATCHES = ("times", "skip", "every", "sticky")


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """The rule by which a fault fires.  Matches are counted for each instance separately.

    :ivar on: an instance's name, or a glob, or several; ``None``: every instance.
    :ivar id: the fault's name; ``None``: the registry makes one.
    :ivar times: how often it fires, on each instance of ``on``, or on all together without ``on``; ``None``: at every
        match.
    :ivar skip: the number of matches at which it does not fire yet.
    :ivar every: of the matches after these, it fires at the first and then at each n-th.
    :ivar chance: the share of the rest at which it fires, drawn from a random stream of its own; 0: never.
    :ivar after: the simulated time from which it fires.
    :ivar until: the simulated time at which it ends.
    :ivar ttl: how long after it was armed it ends.
    :ivar stagger: how much later it begins and ends on each further instance of ``on`` (a rolling fault).
    :ivar sticky: after its first firing it fires at every match, until that process of the instance ends.
    :ivar cites: the issues that it reproduces.
    """

    on: str | tuple[str, ...] | None = None
    at: At
    id: str | None = None
    times: Annotated[int, msgspec.Meta(ge=1)] | None = None
    skip: Annotated[int, msgspec.Meta(ge=0)] = 0
    every: Annotated[int, msgspec.Meta(ge=1)] = 1
    chance: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    after: Duration | None = None
    until: Duration | None = None
    ttl: Duration | None = None
    stagger: Duration | None = None
    sticky: bool = False
    cites: str | tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.globs:
            raise ValueError("on: expected at least one name or glob")
        check_globs("on", self.globs)
        if self.id is not None:
            check_id(self.id)
        if self.ttl == 0:
            raise ValueError(f"ttl: expected a duration above 0, got {self.ttl}")
        if self.until is not None and self.until <= (self.after or 0):
            raise ValueError(f"until: expected a moment behind after ({self.after or Duration()}), got {self.until}")
        if self.at.phase == "process":
            for key in msgspec.structs.fields(Rule):
                if key.name in _KEYS_OF_MATCHES and getattr(self, key.name) != key.default:
                    raise ValueError(f"{key.name}: has no meaning at phase 'process', which comes once (see after)")

    @property
    def globs(self) -> tuple[str, ...]:
        if self.on is None:
            return ("*",)
        return (self.on,) if isinstance(self.on, str) else self.on

    def instances(self, names: Collection[str]) -> tuple[str, ...]:
        """Return those of the names that ``on`` matches, in their order."""
        return tuple(matched(names, self.globs))


class Fault(msgspec.Struct, frozen=True):
    """A rule, and the effect that it fires."""

    rule: Rule
    effect: Effect

    def __post_init__(self) -> None:
        phase = self.rule.at.phase
        if phase not in self.effect.phases:
            can = ", ".join(sorted(name for name, kind in EFFECTS.items() if phase in kind.phases))
            raise ValueError(
                f"do: {self.effect.do!r} cannot happen at phase {phase!r} (there: {can}; "
                f"{self.effect.do!r} at: {', '.join(self.effect.phases)})"
            )

    @property
    def id(self) -> str:
        """Its name; empty before it has one."""
        return self.rule.id or ""

    def as_written(self) -> dict[str, Any]:
        """Return the fault as a table of a configuration, without the keys that have their defaults."""
        rule = msgspec.to_builtins(self.rule, enc_hook=str)
        effect = msgspec.to_builtins(self.effect, enc_hook=str)
        return {**rule, "do": self.effect.do, **effect}


@dataclass(eq=False)
class Firing(Hold):
    """One time that a fault fires, on one instance.

    :ivar chance: what the effect draws from; a random stream of the fault's own.
    :ivar since_ms: when the fault began on this instance.
    :ivar memory: what the effect keeps from one firing to the next on this instance.
    """

    fault: Fault
    instance: str
    at_ms: int
    facts: PhaseFacts
    chance: Random
    since_ms: int = 0
    memory: dict[str, Any] = field(default_factory=dict)


@contextmanager
def firing_in_order(firings: Iterable[Firing]) -> Iterator[Iterator[Firing]]:
    """Iterate over firings; if the block ends early, those that were not reached become inactive."""
    waiting = deque(firings)
    try:
        yield (waiting.popleft() for _ in range(len(waiting)))
    finally:
        for firing in waiting:
            firing.active = False
