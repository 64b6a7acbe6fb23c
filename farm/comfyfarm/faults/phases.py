"""The moments at which something can go wrong, and what is known at each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Phase = Literal[
    "process",
    "request",
    "submit",
    "reply",
    "start",
    "node",
    "step",
    "save",
    "success",
    "history",
    "frame",
    "view",
    "upload",
    "status",
]

JOB: tuple[Phase, ...] = ("start", "node", "step", "save", "success", "history")
"""The phases of a job's run, in their order."""
EXCHANGE: tuple[Phase, ...] = ("request", "submit", "view", "upload", "reply", "status")
"""The phases of an HTTP exchange: the last two after its work, the others before."""

_JOB_KEYS = ("job", "client", "model", "node_type")
_NARROWING: dict[Phase, tuple[str, ...]] = {
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
    """The keys that can stand beside a phase."""
    return _NARROWING[phase]


@dataclass(frozen=True, kw_only=True)
class PhaseFacts:
    """What is known at a moment; the defaults where a thing has no meaning there.

    :ivar route: the path without ``/api``; for a frame of ``status``: ``/ws``.
    :ivar client: the client id of the job or the socket, or of the query.
    :ivar size_bytes: of the request's body.
    :ivar job: how many jobs the instance has taken on, this one included, in all its epochs; 0 where it is about none.
    :ivar job_name: the logical job.
    :ivar node_types: of the node, or of the whole prompt where it is about a job.
    :ivar models: the texts among the inputs of the node, or of the whole prompt: the names of models are among them.
    :ivar type: of a websocket message; ``binary-1`` and so on for those in bytes.
    :ivar step: from 1.
    :ivar file: its name.
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
