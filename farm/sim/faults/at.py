"""At which moments a fault strikes: a phase, and what narrows it."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Annotated, Any

import msgspec

from farm.sim.units import Size

from .moments import Facts, Phase, narrowing

__all__ = ["At"]

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
        allowed = narrowing(self.phase)
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

    def matches(self, facts: Facts) -> bool:
        """Whether a moment of this phase is meant."""
        return all(self._accepts(key, facts) for key in self.narrowed_by)

    def _accepts(self, key: str, facts: Facts) -> bool:
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
