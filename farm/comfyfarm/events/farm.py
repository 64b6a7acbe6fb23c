"""What befalls the farm and its instances themselves: what they are set to, whether they run, what they hold."""

from __future__ import annotations

from typing import Any

from comfyfarm.events.base import Event


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


class SettingsChanged(Event, frozen=True, kw_only=True):
    """An instance's settings were changed while it ran.

    :ivar settings: the new values, by key.
    """

    settings: dict[str, Any]


class Paused(Event, frozen=True, kw_only=True):
    """The worker takes no further step."""


class Resumed(Event, frozen=True, kw_only=True):
    """The worker goes on where it was."""


class Judged(Event, frozen=True, kw_only=True):
    """Somebody asked how it stands, and nothing else had happened until now."""


class Draining(Event, frozen=True, kw_only=True):
    """The system under test was told to send this instance no new work, or to send it some again.

    :ivar on: whether it is drained from now on.
    """

    on: bool


class ServerStopped(Event, frozen=True, kw_only=True):
    """An instance closed its port, and forgot everything but its files and what is kept.

    :ivar lost: the jobs that waited or ran, in the queue's order; empty where the queue is kept.
    :ivar reason: ``stopped`` or ``crashed``.
    :ivar kept: what the next epoch begins with: ``queue``, ``history``, ``uploads``, ``models``.
    """

    lost: tuple[str, ...] = ()
    reason: str = "stopped"
    kept: tuple[str, ...] = ()


class ServerStarted(Event, frozen=True, kw_only=True):
    """A stopped instance listens again; its epoch is a new one."""


class ServerReady(Event, frozen=True, kw_only=True):
    """An instance has booted: its port takes connections from now on, in each epoch once."""


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


class StepTaken(Event, frozen=True, kw_only=True):
    """A step of a scenario was taken.

    :ivar action: ``load``, ``fault``, ``restart`` and so on.
    :ivar on: the instances that it is about.
    :ivar refused: why it could not be done, or not on all of them; empty where it was.
    """

    scenario: str
    action: str
    on: tuple[str, ...] = ()
    refused: str = ""


class Unsubmitted(Event, frozen=True, kw_only=True):
    """A scenario's job found its instance answering nobody, and is not tried again.

    :ivar job: the logical job.
    """

    job: str
