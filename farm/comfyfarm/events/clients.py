"""What clients do to an instance, besides submitting jobs."""

from __future__ import annotations

from comfyfarm.events.base import Event, Folder


class QueueCleared(Event, frozen=True, kw_only=True):
    """All waiting jobs were taken out of the queue."""

    prompt_ids: tuple[str, ...]
    queue_remaining: int


class QueueDeleted(Event, frozen=True, kw_only=True):
    """One waiting job was taken out of the queue.

    :ivar last: it was the last one waiting (ComfyUI then tells its clients twice).
    """

    prompt_id: str
    queue_remaining: int
    last: bool


class InterruptAsked(Event, frozen=True, kw_only=True):
    """A client asked to stop the running job.

    :ivar prompt_id: the one it meant, or ``None`` for whichever runs.
    :ivar hit: the job that will stop, or ``None``.
    :ivar job: the logical job that the client meant, where it says so (header ``X-Comfyfarm-Job``).
    """

    prompt_id: str | None
    hit: str | None
    job: str = ""


class HistoryDeleted(Event, frozen=True, kw_only=True):
    """History entries were removed by a client."""

    prompt_ids: tuple[str, ...]


class Freed(Event, frozen=True, kw_only=True):
    """A client asked for memory back."""

    unload_models: bool
    free_memory: bool


class Delivered(Event, frozen=True, kw_only=True):
    """The system under test says that it has handed a result to its user.

    The instance that made it, where that is said, is the event's ``instance``.

    :ivar job: the logical job that the user asked for.
    :ivar prompt_id: of the attempt that it came from, where that is said.
    :ivar stamp_job: the logical job that the picture itself bears; empty where no picture was shown.
    :ivar stamp_prompt_id: the prompt id that the picture itself bears.
    :ivar file: the picture's name, where that is said.
    """

    job: str
    prompt_id: str | None = None
    stamp_job: str = ""
    stamp_prompt_id: str | None = None
    file: str = ""


class Uploaded(Event, frozen=True, kw_only=True):
    """A file came in."""

    folder: Folder
    subfolder: str
    name: str
