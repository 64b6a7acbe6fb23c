"""A job, from its submission to its end."""

from __future__ import annotations

from typing import Any

import msgspec

from comfyfarm.events.base import Event


class Work(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a job came to, whatever machine it ran on: from it follows how long another would have taken.

    :ivar nodes: how many ran, by type.
    :ivar steps: how many sampling steps of each weight: 1 for a picture of 512 x 512 (docs/timing.md).
    :ivar saves: pictures written or sent.
    :ivar models: those that it needed, each once, in the order of their first use: folder, name, bytes.
    :ivar needs: which of them had to be in memory together, node after node, as places in ``models``; empty where
        each was needed once, alone and in that order.
    """

    nodes: dict[str, int] = {}
    steps: tuple[tuple[float, int], ...] = ()
    saves: int = 0
    models: tuple[tuple[str, str, int], ...] = ()
    needs: tuple[tuple[int, ...], ...] = ()


class Submitted(Event, frozen=True, kw_only=True):
    """A prompt was accepted and waits in the queue.

    :ivar number: its priority, the smallest runs first.
    :ivar job: the logical job, over all retries.
    :ivar client_id: whatever JSON the client gave; ``None`` for none.
    :ivar queue_remaining: waiting and running, this one included.
    :ivar is_load: the farm sent it itself, as a scenario says: it is nobody's fault what becomes of it.
    """

    prompt_id: str
    number: float
    job: str
    client_id: Any = None
    outputs: tuple[str, ...]
    queue_remaining: int
    is_load: bool = False


class PromptRefused(Event, frozen=True, kw_only=True):
    """A prompt was answered with an error.

    :ivar missing: the node types and models that this instance has not, and another may have.
    :ivar is_load: the farm sent it itself, as a scenario says.
    """

    error: str
    missing: tuple[str, ...] = ()
    is_load: bool = False
    job: str = ""
    client_id: Any = None


class Taken(Event, frozen=True, kw_only=True):
    """A job left the queue to be run.

    :ivar job: the logical job.
    :ivar ordinal: it is the n-th job that the instance has taken on, over all its epochs.
    """

    prompt_id: str
    job: str = ""
    ordinal: int = 0
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
    """The job's history entry exists and the worker is free.

    :ivar work: what it came to, as far as it got.
    """

    prompt_id: str
    work: Work = Work()
    status: str
    queue_remaining: int
