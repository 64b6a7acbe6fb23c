"""At which moments a fault strikes: a phase, and what narrows it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from random import Random
from typing import Annotated, Any, ClassVar, TypeVar

import msgspec

from comfyfarm.faults.pauses import Hold, Steps
from comfyfarm.faults.phases import Phase, PhaseFacts, filter_keys
from comfyfarm.faults.targets import Exchange, Frame, ProcessControl, RunningJob
from comfyfarm.units import Duration, Size

_Counted = Annotated[int, msgspec.Meta(ge=1)]


class At(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A phase, narrowed; a key that is not given narrows nothing.

    Texts may be globs (``/history*``, ``flux*``).

    :ivar route: the path, without ``/api`` in front.
    :ivar job: the n-th job that the instance takes on, over all its epochs; or the name of a logical job.
    :ivar node: the node's id in the prompt.
    :ivar node_type: its ``class_type``; where a moment is about a whole job, one of its nodes has it.
    :ivar model: a model that the node, or the job, names.
    :ivar step: a sampler's n-th step.
    :ivar type: a websocket message's type.
    :ivar client: the client id.
    :ivar size: the request's body has at least so many bytes.
    :ivar file: a file's name.
    """

    phase: Phase
    route: str | None = None
    method: str | None = None
    job: _Counted | str | None = None
    node: str | None = None
    node_type: str | None = None
    model: str | None = None
    step: _Counted | None = None
    type: str | None = None
    client: str | None = None
    size: Size | None = None
    file: str | None = None

    def __post_init__(self) -> None:
        """Refuse what has no meaning at this phase, and a route that no request has.

        :raises ValueError: naming the key, and those that have.
        """
        allowed = filter_keys(self.phase)
        for key in self.narrowed_by:
            if key not in allowed:
                there_are = ", ".join(allowed) or "none"
                raise ValueError(f"{key}: has no meaning at phase {self.phase!r} (there are: {there_are})")
        if self.route is not None and (not self.route.startswith(("/", "*")) or self.route.startswith("/api/")):
            raise ValueError(f"route: expected a path without /api, such as '/history*', got {self.route!r}")

    @property
    def narrowed_by(self) -> tuple[str, ...]:
        """The keys that are given, the phase apart."""
        return tuple(key for key in self.__struct_fields__[1:] if getattr(self, key) is not None)

    def matches(self, facts: PhaseFacts) -> bool:
        """Whether a moment of this phase is meant."""
        return all(self._accepts(key, facts) for key in self.narrowed_by)

    def _accepts(self, key: str, facts: PhaseFacts) -> bool:
        wanted: Any = getattr(self, key)
        match key:
            case "job":
                return bool(facts.job == wanted) if isinstance(wanted, int) else fnmatchcase(facts.job_name, wanted)
            case "node_type":
                return _any(facts.node_types, wanted)
            case "model":
                return _any(facts.models, wanted)
            case "size":
                return facts.size_bytes >= int(wanted)
            case "method":
                return fnmatchcase(facts.method, wanted.upper())
            case "client":
                return isinstance(facts.client, str) and fnmatchcase(facts.client, wanted)
            case "step":
                return bool(facts.step == wanted)
            case _:
                return fnmatchcase(getattr(facts, key), wanted)


def _any(given: Iterable[str], wanted: str) -> bool:
    return any(fnmatchcase(each, wanted) for each in given)


EFFECTS: dict[str, type[Effect]] = {}
"""Every effect by the name that stands behind ``do``."""


class Effect(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What a fault does.  Its fields are the keys that stand beside ``do``.

    One method for each kind of moment; an effect has those of the phases that it names.  An effect with
    :meth:`on_process` may name any phase: the process is struck then.

    :cvar do: its name.
    :cvar phases: where it can happen.
    :cvar lasts: it goes on until the fault is healed or removed, or somebody lets it go.
    :cvar needs_reply: at an HTTP exchange it works on the answer, also where its phase comes before the work.
    """

    do: ClassVar[str] = ""
    phases: ClassVar[tuple[Phase, ...]] = ()
    needs_reply: ClassVar[bool] = False
    lasts: ClassVar[bool] = False

    @property
    def is_for_process(self) -> bool:
        """Whether it befalls the process, wherever it strikes."""
        return type(self).on_process is not Effect.on_process

    @property
    def is_for_frames(self) -> bool:
        """Whether it can befall a websocket message: at phase ``status`` some can, and some only an HTTP exchange."""
        return type(self).on_frame is not Effect.on_frame

    def on_job(self, run: RunningJob, firing: Firing) -> Steps:
        """Befall a job; what it yields is time that passes before the job goes on.

        :raises Exception: one made by ``job.node_error`` or ``job.out_of_memory``, to let the node fail.
        """
        raise NotImplementedError(self.do)

    def on_exchange(self, exchange: Exchange, firing: Firing) -> Steps:
        """Befall an HTTP exchange; what it yields is time that passes before the exchange goes on."""
        raise NotImplementedError(self.do)

    def on_frame(self, frame: Frame, firing: Firing) -> None:
        """Befall a websocket message on its way to one client."""
        raise NotImplementedError(self.do)

    def on_process(self, process: ProcessControl, firing: Firing) -> Steps:
        """Befall the process; the story is told whatever becomes of the process, and ended when the fault is healed."""
        raise NotImplementedError(self.do)


E = TypeVar("E", bound=type[Effect])


def effect(
    do: str, *phases: Phase, needs_reply: bool = False, lasts: bool = False
) -> Callable[[E], E]:
    """Register an effect under its name, with the phases at which it can happen."""

    def register(kind: E) -> E:
        kind.do, kind.phases, kind.needs_reply, kind.lasts = do, phases, needs_reply, lasts
        EFFECTS[do] = kind
        return kind

    return register


_Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
_OF_MATCHES = ("times", "skip", "every", "sticky")


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """All of a fault but what it does.  Each instance counts its matches for itself.

    :ivar on: an instance's name, or a glob, or several.
    :ivar at: the phase, narrowed.
    :ivar id: its name; where it has none it is given one.
    :ivar times: how often it strikes; ``None``: whenever it matches.
    :ivar skip: the first so many matches are let pass.
    :ivar every: of those that follow, the first and then each n-th.
    :ivar chance: of the rest, this share, drawn from a stream of the fault's own; 0 never.
    :ivar after: from this simulated moment on.
    :ivar until: no longer than to this simulated moment.
    :ivar ttl: no longer than this after it was armed.
    :ivar stagger: each further instance of ``on`` so much later than the one before: a rolling fault.
    :ivar sticky: once it has struck an instance it strikes at every match there, until that process is started anew.
    :ivar cites: the issues that it reproduces.
    """

    on: str | tuple[str, ...] = "*"
    at: At
    id: str | None = None
    times: Annotated[int, msgspec.Meta(ge=1)] | None = None
    skip: Annotated[int, msgspec.Meta(ge=0)] = 0
    every: Annotated[int, msgspec.Meta(ge=1)] = 1
    chance: _Share = 1.0
    after: Duration | None = None
    until: Duration | None = None
    ttl: Duration | None = None
    stagger: Duration | None = None
    sticky: bool = False
    cites: str | tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what can never strike.

        :raises ValueError: naming the key.
        """
        if not self.globs:
            raise ValueError("on: expected at least one name or glob")
        if self.id == "":
            raise ValueError("id: expected a name, got ''")
        if self.ttl == 0:
            raise ValueError(f"ttl: expected a duration above 0, got {self.ttl}")
        if self.until is not None and self.until <= (self.after or 0):
            raise ValueError(f"until: expected a moment behind after ({self.after or Duration()}), got {self.until}")
        if self.at.phase == "process":
            for each in msgspec.structs.fields(Rule):
                if each.name in _OF_MATCHES and getattr(self, each.name) != each.default:
                    raise ValueError(f"{each.name}: has no meaning at phase 'process', which comes once (see after)")

    @property
    def globs(self) -> tuple[str, ...]:
        """The names or globs of ``on``."""
        return (self.on,) if isinstance(self.on, str) else self.on

    def instances(self, known: Iterable[str]) -> tuple[str, ...]:
        """The instances that it is on, in the order of the farm."""
        return tuple(name for name in known if any(fnmatchcase(name, each) for each in self.globs))


class Fault(msgspec.Struct, frozen=True):
    """A rule, and what happens by it."""

    rule: Rule
    effect: Effect

    def __post_init__(self) -> None:
        """Refuse what cannot happen there.

        :raises ValueError: naming what can.
        """
        phase = self.rule.at.phase
        if phase not in self.effect.phases:
            can = ", ".join(sorted(name for name, kind in EFFECTS.items() if phase in kind.phases))
            raise ValueError(
                f"do: {self.effect.do!r} cannot happen at phase {phase!r} (there: {can}; "
                f"{self.effect.do!r} at: {', '.join(self.effect.phases)})"
            )

    @property
    def id(self) -> str:
        """Its name."""
        return self.rule.id or ""

    def as_written(self) -> dict[str, Any]:
        """As it stands in a configuration, less what is at its default."""
        rule = msgspec.to_builtins(self.rule, enc_hook=str)
        effect = msgspec.to_builtins(self.effect, enc_hook=str)
        return {**rule, "do": self.effect.do, **effect}


@dataclass(eq=False)
class Firing(Hold):
    """A fault at work, at one moment of one instance.

    :ivar at_ms: when it struck.
    :ivar chance: for what the effect draws; a stream of the fault's own.
    :ivar since_ms: when the fault began on this instance.
    :ivar memory: what the effect remembers from one strike to the next, on this instance.
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
    """Give strikes one after another; where that ends early, those whose turn has not come hold nothing."""
    waiting = deque(firings)
    try:
        yield (waiting.popleft() for _ in range(len(waiting)))
    finally:
        for firing in waiting:
            firing.active = False
