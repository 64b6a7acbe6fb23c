"""Events of a job, from its submission to its end."""

from typing import Any

import msgspec

from comfyfarm.events.base import Event


class Work(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The work that a job did, independent of its instance: the duration on another instance follows from it.

    :ivar nodes: number of executed nodes, by type.
    :ivar steps: pairs of weight and number of sampling steps; weight 1 is a picture of 512 x 512 (docs/timing.md).
    :ivar pixels: type, million pixels and number of nodes that made pictures of others.
    :ivar saves: number of pictures written or sent.
    :ivar models: folder, name and size in bytes of each model that was used, in the order of first use.
    :ivar needs: for each node that used models, which had to be in memory together, as indexes into ``models``;
        empty if each model was needed once, alone, in the order of ``models``.
    """

    nodes: dict[str, int] = {}
    steps: tuple[tuple[float, int], ...] = ()
    pixels: tuple[tuple[str, float, int], ...] = ()
    saves: int = 0
    models: tuple[tuple[str, str, int], ...] = ()
    needs: tuple[tuple[int, ...], ...] = ()


class Submitted(Event, frozen=True, kw_only=True):
    """A prompt was accepted and put into the queue.

    :ivar number: its priority; the smallest runs first.
    :ivar client_id: any JSON value, as the client sent it; ``None`` if it sent none.
    :ivar queue_remaining: number of pending and running jobs, this one included.
    :ivar is_load: it was submitted by a scenario, not by the system under test.
    """

    prompt_id: str
    number: float
    job: str
    client_id: Any = None
    outputs: tuple[str, ...]
    queue_remaining: int
    is_load: bool = False


class PromptRefused(Event, frozen=True, kw_only=True):
    """A prompt was rejected by validation.

    :ivar missing: the node types and models that this instance lacks; another may have them.
    :ivar is_load: it was submitted by a scenario, not by the system under test.
    """

    error: str
    missing: tuple[str, ...] = ()
    is_load: bool = False
    job: str = ""
    client_id: Any = None


class Taken(Event, frozen=True, kw_only=True):
    """The worker took a job from the queue.

    :ivar ordinal: it is the n-th job that the instance accepted, counted over all its processes.
    :ivar workflow_metadata: what newer versions add to every message about the job.
    """

    prompt_id: str
    job: str = ""
    ordinal: int = 0
    client_id: Any = None
    workflow_metadata: dict[str, Any] | None = None
    queue_remaining: int


class Started(Event, frozen=True, kw_only=True):
    """The job's execution began."""

    prompt_id: str


class Cached(Event, frozen=True, kw_only=True):
    """The outputs of these nodes were taken from the cache; their ids are in the order of the prompt."""

    prompt_id: str
    nodes: tuple[str, ...]


class Succeeded(Event, frozen=True, kw_only=True):
    """All nodes finished; the history entry does not exist yet."""

    prompt_id: str


class Failed(Event, frozen=True, kw_only=True):
    """A node raised an error.

    :ivar error: the content of ComfyUI's ``execution_error`` message, without its timestamp.
    """

    prompt_id: str
    node: str
    error: dict[str, Any]


class Interrupted(Event, frozen=True, kw_only=True):
    """The job was interrupted, after the nodes ``executed`` had finished."""

    prompt_id: str
    node: str
    class_type: str
    executed: tuple[str, ...]


class InternalError(Event, frozen=True, kw_only=True):
    """An error of comfyfarm's own, not one of ComfyUI's.

    If a job runs, it ends as by an exception in a node: :class:`Failed` and :class:`Finished` follow.

    :ivar prompt_id: of the job that was running; ``None`` if there was none.
    :ivar request: method and path of the request that failed; empty if a job failed.
    :ivar error: type and message of the exception.
    :ivar raised_at: file and line in the package: ``sim/memory.py:47``.
    """

    prompt_id: str | None = None
    job: str = ""
    request: str = ""
    error: str
    raised_at: str


class WorkerDied(Event, frozen=True, kw_only=True):
    """The worker's thread ended while it ran this job: no job of this process runs any more.

    :ivar node: the node that a link leads to, although the prompt has none of this id.
    """

    prompt_id: str
    node: str


class Finished(Event, frozen=True, kw_only=True):
    """The job's history entry exists and the worker is free.

    :ivar work: what the job did before its end.
    """

    prompt_id: str
    work: Work = Work()
    status: str
    queue_remaining: int
