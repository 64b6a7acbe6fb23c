"""Events of client requests other than submissions, and of delivered results."""

from comfyfarm.events.base import Event, Folder


class QueueCleared(Event, frozen=True, kw_only=True):
    """A client removed all pending jobs from the queue."""

    prompt_ids: tuple[str, ...]
    queue_remaining: int


class QueueDeleted(Event, frozen=True, kw_only=True):
    """A client removed one pending job from the queue.

    :ivar last: it was the last pending job; ComfyUI then sends the ``status`` message twice.
    """

    prompt_id: str
    queue_remaining: int
    last: bool


class InterruptAsked(Event, frozen=True, kw_only=True):
    """A client sent an interrupt.

    :ivar prompt_id: the prompt id in the request; ``None`` for the job that is running, whichever it is.
    :ivar hit: the prompt id of the job that will stop; ``None`` if no job will.
    :ivar job: the logical job in the request's header ``X-Comfyfarm-Job``; empty without one.
    """

    prompt_id: str | None
    hit: str | None
    job: str = ""


class HistoryDeleted(Event, frozen=True, kw_only=True):
    """A client removed history entries."""

    prompt_ids: tuple[str, ...]


class Freed(Event, frozen=True, kw_only=True):
    """A client sent ``POST /free``."""

    unload_models: bool
    free_memory: bool


class Delivered(Event, frozen=True, kw_only=True):
    """The system under test reported that it delivered a result to its user.

    The event's ``instance`` is the one that made the result; empty if it was not reported.

    :ivar job: the logical job that the user requested.
    :ivar prompt_id: of the attempt that made the result; ``None`` if it was not reported.
    :ivar stamp_job: the logical job in the picture's stamp; empty if no stamp was passed.
    :ivar stamp_prompt_id: the prompt id in the picture's stamp.
    :ivar file: the name of the picture; empty if it was not reported.
    """

    job: str
    prompt_id: str | None = None
    stamp_job: str = ""
    stamp_prompt_id: str | None = None
    file: str = ""


class Uploaded(Event, frozen=True, kw_only=True):
    """A client uploaded a file."""

    folder: Folder
    subfolder: str
    name: str
