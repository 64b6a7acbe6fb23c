"""What happens in a farm, as frozen facts.

Each carries its own simulated time; the log adds ``seq`` when it is published.  Ports, paths of the machine and
wall-clock times are left out on purpose: two equal runs give equal logs.
"""

from __future__ import annotations

from typing import Any

import msgspec

from .files import Folder

__all__ = [
    "Cached",
    "ClockChanged",
    "ClockMoved",
    "Configured",
    "Event",
    "Exchanged",
    "Failed",
    "Finished",
    "FrameSent",
    "Freed",
    "HistoryDeleted",
    "InterruptAsked",
    "Interrupted",
    "ModelLoaded",
    "ModelUnloaded",
    "NodeFinished",
    "NodeStarted",
    "Paused",
    "PictureSent",
    "Preview",
    "Progressed",
    "PromptRefused",
    "QueueCleared",
    "QueueDeleted",
    "Reset",
    "Resumed",
    "ServerStarted",
    "ServerStopped",
    "SettingsChanged",
    "SocketClosed",
    "SocketOpened",
    "Started",
    "Submitted",
    "Succeeded",
    "Taken",
    "TextSent",
    "Uploaded",
    "Written",
    "snake_case",
]


def snake_case(name: str) -> str:
    """``NodeStarted`` -> ``node_started``: the ``kind`` of an event in a saved log."""
    return "".join("_" + letter.lower() if letter.isupper() else letter for letter in name).lstrip("_")


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag=snake_case, omit_defaults=True):
    """A fact about the farm.

    :ivar seq: its place in the log, from 1; 0 until it is published.
    :ivar at_ms: when, in simulated milliseconds since the farm started.
    :ivar instance: whose, or empty for the farm itself.
    :ivar epoch: how often that instance has been started, from 1; 0 for the farm itself.
    """

    seq: int = 0
    at_ms: int
    instance: str = ""
    epoch: int = 0


class Configured(Event, frozen=True, kw_only=True):
    """The farm's effective configuration: always the first event."""

    config: dict[str, Any]


class Reset(Event, frozen=True, kw_only=True):
    """An instance forgot its queue, history, cache and uploads.

    :ivar files: whether its output files and counters went too.
    """

    files: bool


class ClockMoved(Event, frozen=True, kw_only=True):
    """Somebody moved the virtual clock; all that happened on the way stands before this.

    :ivar from_ms: the simulated moment before.
    :ivar asked: ``advance`` or ``run_until_idle``.
    """

    from_ms: int
    asked: str


class ClockChanged(Event, frozen=True, kw_only=True):
    """Time passes in another way from now on.

    :ivar auto: a virtual clock moves by itself whenever the sockets are quiet.
    """

    speed: float
    is_frozen: bool
    auto: bool


# What the control API does to an instance.


class SettingsChanged(Event, frozen=True, kw_only=True):
    """An instance's settings were changed while it ran.

    :ivar settings: the new values, by key.
    """

    settings: dict[str, Any]


class Paused(Event, frozen=True, kw_only=True):
    """The worker takes no further step."""


class Resumed(Event, frozen=True, kw_only=True):
    """The worker goes on where it was."""


class ServerStopped(Event, frozen=True, kw_only=True):
    """An instance closed its port and forgot everything but its files.

    :ivar lost: the jobs that waited or ran, in the queue's order.
    """

    lost: tuple[str, ...] = ()


class ServerStarted(Event, frozen=True, kw_only=True):
    """A stopped instance listens again; its epoch is a new one."""


# A job, from its submission to its end.


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


class NodeStarted(Event, frozen=True, kw_only=True):
    """The job reached a node."""

    prompt_id: str
    node: str
    class_type: str


class ModelLoaded(Event, frozen=True, kw_only=True):
    """A model came into memory for a node; ``at_ms`` is when it was there.

    :ivar prompt_id: ``None`` for a model that is there from the start.
    """

    prompt_id: str | None = None
    node: str | None = None
    folder: str
    name: str
    size_bytes: int


class ModelUnloaded(Event, frozen=True, kw_only=True):
    """A model went out of memory.

    :ivar reason: ``room`` for another model, ``asked`` by a client, ``out of memory``.
    """

    folder: str
    name: str
    size_bytes: int
    reason: str


class Preview(msgspec.Struct, frozen=True):
    """A picture of the work so far, sent along with a progress message.

    :ivar image_type: ``image/jpeg`` or ``image/png``.
    :ivar colour: ``0xRRGGBB`` where it is all of one colour, else ``None``.
    """

    width: int
    height: int
    image_type: str
    colour: int | None = None


class Progressed(Event, frozen=True, kw_only=True):
    """A node finished one of its steps."""

    prompt_id: str
    node: str
    value: int
    max: int


class PictureSent(Event, frozen=True, kw_only=True):
    """A node shows a picture over the websocket, with its progress."""

    prompt_id: str
    node: str
    value: int
    max: int
    preview: Preview


class TextSent(Event, frozen=True, kw_only=True):
    """A node shows a text over the websocket (to every socket, whoever submitted the job)."""

    prompt_id: str
    node: str
    text: str


class Written(Event, frozen=True, kw_only=True):
    """A picture was written."""

    prompt_id: str
    node: str
    folder: Folder
    subfolder: str
    name: str


class NodeFinished(Event, frozen=True, kw_only=True):
    """A node is done, or its cached output is shown again.

    :ivar output: what it shows to the user (ComfyUI's ``ui``), or ``None``.
    :ivar shown_as: the node id under which clients hear of that; its own unless ``output_node`` names another.
    :ivar cached: it did not run.
    """

    prompt_id: str
    node: str
    shown_as: str
    output: dict[str, Any] | None = None
    cached: bool = False


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


# What clients do to an instance.


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
    """

    prompt_id: str | None
    hit: str | None


class HistoryDeleted(Event, frozen=True, kw_only=True):
    """History entries were removed by a client."""

    prompt_ids: tuple[str, ...]


class Freed(Event, frozen=True, kw_only=True):
    """A client asked for memory back."""

    unload_models: bool
    free_memory: bool


class Uploaded(Event, frozen=True, kw_only=True):
    """A file came in."""

    folder: Folder
    subfolder: str
    name: str


# The wire.


class Exchanged(Event, frozen=True, kw_only=True):
    """One HTTP exchange ended.

    :ivar query: as it stood behind the ``?``.
    :ivar status: 0 when the client was gone before the answer.
    """

    method: str
    path: str
    query: str = ""
    status: int
    size_bytes: int = 0


class SocketOpened(Event, frozen=True, kw_only=True):
    """A websocket was opened under this id."""

    client_id: str


class SocketClosed(Event, frozen=True, kw_only=True):
    """A websocket is gone.

    :ivar reason: ``closed`` or ``too slow``.
    """

    client_id: str
    reason: str


class FrameSent(Event, frozen=True, kw_only=True):
    """One websocket message went out.

    :ivar type: ComfyUI's message type, or ``binary-1``, ``binary-3``, ``binary-4``.
    :ivar to: the client ids that it was sent to; never empty.
    """

    type: str
    prompt_id: str | None = None
    to: tuple[str, ...]
