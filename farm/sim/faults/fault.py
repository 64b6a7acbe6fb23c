"""A fault is a value: what goes wrong, where, at which phase, how often, until when."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Annotated, Any

import msgspec

from farm.sim.units import Duration

from .at import At
from .effects import EFFECTS, Effect

__all__ = ["Fault", "Rule"]

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
