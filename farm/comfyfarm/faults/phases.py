"""The phases at which a fault can fire, the facts that are known at each, and the filter of a fault over them."""

import json
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

import msgspec

from comfyfarm.faults.globs import check_globs
from comfyfarm.units import Size

Phase = Literal[
    "process", "request", "submit", "reply", "start", "node", "step", "save", "success", "history", "frame", "view",
    "upload", "status",
]

JOB: tuple[Phase, ...] = ("start", "node", "step", "save", "success", "history")
"""The phases of a job's run, in their order."""
EXCHANGE: tuple[Phase, ...] = ("request", "submit", "view", "upload", "reply", "status")
"""The phases of an HTTP exchange: the last two after its work, the others before."""

_JOB_KEYS = ("job", "client", "model", "node_type")
_FILTER_KEYS: dict[Phase, tuple[str, ...]] = {
    "process": (),
    "request": ("route", "method", "client", "size"),
    "submit": (*_JOB_KEYS, "size"),
    "reply": ("route", "method", *_JOB_KEYS, "size", "file"),
    "start": _JOB_KEYS,
    "node": (*_JOB_KEYS, "node"),
    "step": (*_JOB_KEYS, "node", "step"),
    "save": (*_JOB_KEYS, "node"),
    "success": _JOB_KEYS,
    "history": _JOB_KEYS,
    "frame": ("type", "client", "job", "node"),
    "view": ("file", "client"),
    "upload": ("file", "size", "client"),
    "status": ("route", "client"),
}


def filter_keys(phase: Phase) -> tuple[str, ...]:
    """Return the keys of :class:`At` that can narrow a phase."""
    return _FILTER_KEYS[phase]


@dataclass(frozen=True, kw_only=True)
class PhaseFacts:
    """The facts that are known at a phase; a fact that has no meaning there has its default.

    :ivar route: the path without ``/api``; ``/ws`` for a ``status`` message.
    :ivar client: the client id of the job or the socket, or of the query; any JSON value that a client has sent.
    :ivar size_bytes: of the request's body.
    :ivar job: the number of jobs that the instance has accepted in all its processes, this one included; 0 for no job.
    :ivar job_name: the logical job.
    :ivar node_types: of the node, or of the whole prompt if the phase is about a job.
    :ivar models: all texts among the inputs of the node or the prompt; the names of its models are among them.
    :ivar type: of a websocket message; ``binary-1`` and so on for binary ones.
    :ivar step: from 1.
    """

    route: str = ""
    method: str = ""
    client: Any = None
    size_bytes: int = 0
    job: int = 0
    job_name: str = ""
    prompt_id: str | None = None
    node: str = ""
    node_types: frozenset[str] = frozenset()
    models: frozenset[str] = frozenset()
    type: str = ""
    step: int = 0
    file: str = ""


_AtLeastOne = Annotated[int, msgspec.Meta(ge=1)]


class At(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """The phase filter of a fault: a phase, and conditions on its facts.  A key that is ``None`` accepts everything.

    Texts may be globs (``/history*``, ``flux*``).

    :ivar route: the path, without ``/api`` in front.
    :ivar job: the n-th job that the instance accepts, over all its processes; or the name of a logical job.
    :ivar client: one that is a list or an object is compared as JSON, if the filter begins with ``[`` or ``{``.
    :ivar node_type: the node's ``class_type``; at a phase of a whole job, that of any of its nodes.
    :ivar model: a model that the node or the job names.
    :ivar step: the n-th step of a sampler.
    :ivar type: of a websocket message.
    :ivar size: the least size of the request's body.
    """

    phase: Phase
    route: str | None = None
    method: str | None = None
    job: _AtLeastOne | str | None = None
    node: str | None = None
    node_type: str | None = None
    model: str | None = None
    step: _AtLeastOne | None = None
    type: str | None = None
    client: str | None = None
    size: Size | None = None
    file: str | None = None

    def __post_init__(self) -> None:
        allowed = filter_keys(self.phase)
        for key in self._conditions():
            if key not in allowed:
                there_are = ", ".join(allowed) or "none"
                raise ValueError(f"{key}: has no meaning at phase {self.phase!r} (there are: {there_are})")
            if isinstance(filter_text := getattr(self, key), str):
                check_globs(key, (filter_text,))
        if self.route is not None and (not self.route.startswith(("/", "*")) or self.route.startswith("/api/")):
            raise ValueError(f"route: expected a path without /api, such as '/history*', got {self.route!r}")

    def _conditions(self) -> tuple[str, ...]:
        return tuple(key for key in self.__struct_fields__[1:] if getattr(self, key) is not None)

    def matches(self, facts: PhaseFacts) -> bool:
        return all(self._accepts(key, facts) for key in self._conditions())

    def _accepts(self, key: str, facts: PhaseFacts) -> bool:
        expected: Any = getattr(self, key)
        match key:
            case "job":
                if isinstance(expected, int):
                    return facts.job == expected
                return fnmatchcase(facts.job_name, expected)
            case "node_type" | "model":
                names = facts.node_types if key == "node_type" else facts.models
                return any(fnmatchcase(name, expected) for name in names)
            case "size":
                return facts.size_bytes >= int(expected)
            case "method":
                return fnmatchcase(facts.method, expected.upper())
            case "client":
                is_json = isinstance(facts.client, list | dict) and expected.startswith(("[", "{"))
                text = json.dumps(facts.client) if is_json else facts.client
                return isinstance(text, str) and fnmatchcase(text, expected)
            case "step":
                return bool(facts.step == expected)
            case _:
                return fnmatchcase(getattr(facts, key), expected)
