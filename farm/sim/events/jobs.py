"""A job, from its submission to its end."""

from __future__ import annotations

from typing import Any

from .base import Event

__all__ = ["Cached", "Failed", "Finished", "Interrupted", "PromptRefused", "Started", "Submitted", "Succeeded", "Taken"]


class Submitted(Event, frozen=True, kw_only=True):
    """A prompt was accepted and waits in the queue.

    :ivar number: its priority, the smallest runs first.
    :ivar job: the logical job, over all retries.
    :ivar client_id: whatever JSON the client gave; ``None`` for none.
    :ivar queue_remaining: waiting and running, this one included.
    """

    prompt_id: str
    number: float
    job: str
    client_id: Any = None
    outputs: tuple[str, ...]
    queue_remaining: int


class PromptRefused(Event, frozen=True, kw_only=True):
    """A prompt was answered with an error."""

    error: str
    job: str = ""
    client_id: Any = None


class Taken(Event, frozen=True, kw_only=True):
    """A job left the queue to be run."""

    prompt_id: str
    client_id: Any = None
    queue_remaining: int


class Started(Event, frozen=True, kw_only=True):
    """The job's execution began."""

    prompt_id: str


class Cached(Event, frozen=True, kw_only=True):
    """These nodes need not run.

    :ivar nodes: in the order of the prompt.
    """

    prompt_id: str
    nodes: tuple[str, ...]


class Succeeded(Event, frozen=True, kw_only=True):
    """Every node is done; the history entry does not exist yet."""

    prompt_id: str


class Failed(Event, frozen=True, kw_only=True):
    """A node raised.

    :ivar error: the whole of ComfyUI's ``execution_error``, less its timestamp.
    """

    prompt_id: str
    node: str
    error: dict[str, Any]


class Interrupted(Event, frozen=True, kw_only=True):
    """The job was stopped on request.

    :ivar executed: the nodes that were done.
    """

    prompt_id: str
    node: str
    class_type: str
    executed: tuple[str, ...]


class Finished(Event, frozen=True, kw_only=True):
    """The job's history entry exists and the worker is free."""

    prompt_id: str
    status: str
    queue_remaining: int
