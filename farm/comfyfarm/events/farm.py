"""Events of the farm and of its instances' processes: settings, start and stop, clock, loaded models."""

from typing import Any

from msgspec import field

from comfyfarm.events.base import Event


class Configured(Event, frozen=True, kw_only=True):
    """The farm's effective configuration: always the first event.

    :ivar version: of comfyfarm; empty in logs that were written before there was :class:`LogEnded`.
    :ivar unix_ms: the wall-clock time of simulated time 0; on a virtual clock it is always the same.  0 in older logs.
    """

    config: dict[str, Any]
    version: str = ""
    unix_ms: int = 0


class LogEnded(Event, frozen=True, kw_only=True):
    """The farm stopped in order: always the last event of a log file, with the time of the event before it.

    It is no part of what is analysed, so that a verdict after the stop is the one before it.
    """


class Reset(Event, frozen=True, kw_only=True):
    """An instance discarded its queue, history, cache and uploads; with ``files`` also its output files."""

    files: bool


class ClockMoved(Event, frozen=True, kw_only=True):
    """The virtual clock was moved; the events in between were published before this one.

    :ivar from_ms: the simulated time before the move.
    :ivar asked: ``advance`` or ``run_until_idle``.
    """

    from_ms: int
    asked: str


class ClockChanged(Event, frozen=True, kw_only=True):
    """The clock's mode was changed.

    :ivar auto: the virtual clock advances by itself whenever the sockets are idle.
    """

    speed: float
    is_frozen: bool
    auto: bool


class FarmLate(Event, frozen=True, kw_only=True):
    """On a real clock, the farm itself was late: it answered and did what was due later than it should have.

    :ivar since_ms: from then on; until the time of this event.
    :ivar late_ms: the most by which anything was late.
    """

    since_ms: int
    late_ms: int


class WallClockJumped(Event, frozen=True, kw_only=True):
    """The machine's wall clock was set, or the machine slept; the farm's time goes on as before.

    :ivar by_ms: in real time; below 0 if it went back.
    """

    by_ms: int


class SettingsChanged(Event, frozen=True, kw_only=True):
    """Some of an instance's settings were changed to these values while it was running."""

    settings: dict[str, Any]


class Paused(Event, frozen=True, kw_only=True):
    """The worker was paused."""


class Resumed(Event, frozen=True, kw_only=True):
    """The paused worker continued."""


class Judged(Event, frozen=True, kw_only=True):
    """A verdict or a measurement was requested at a later time than that of the last event."""


class Draining(Event, frozen=True, kw_only=True):
    """The system under test was instructed to send this instance no new jobs (``on``), or to send jobs again."""

    on: bool


class ServerStopped(Event, frozen=True, kw_only=True):
    """An instance's process ended; its files stay.

    :ivar lost: the prompt ids of the pending and running jobs, in queue order; empty if the queue is kept.
    :ivar reason: ``stopped`` or ``crashed``.
    :ivar kept: the state passed on to the next process: ``queue``, ``history``, ``uploads``, ``models``.
    """

    lost: tuple[str, ...] = ()
    reason: str = "stopped"
    kept: tuple[str, ...] = ()


class ServerStarted(Event, frozen=True, kw_only=True):
    """A stopped instance started a new process."""


class PortBlocked(Event, frozen=True, kw_only=True):
    """An instance shall accept connections, but another program has taken its port; it tries again each second.

    Its :class:`ServerReady`, or :class:`Refusing` with ``on`` False, comes when the port is free again.
    """


class ServerReady(Event, frozen=True, kw_only=True):
    """A process finished booting and accepts connections; published once per process.

    :ivar picture: of a static instance, the digest of its one picture, as in :class:`Delivered`.
    :ivar picture_bytes: the size of that picture.
    """

    picture: str = ""
    picture_bytes: int = 0


class ModelLoaded(Event, frozen=True, kw_only=True):
    """A model finished loading into memory.

    :ivar prompt_id: ``None`` for a model that is in memory from the start of the process.
    """

    prompt_id: str | None = None
    node: str | None = None
    folder: str
    name: str
    size_bytes: int


class ModelUnloaded(Event, frozen=True, kw_only=True):
    """A model was removed from memory.

    :ivar reason: ``room`` (for another model), ``asked`` (by a client) or ``out of memory``.
    """

    folder: str
    name: str
    size_bytes: int
    reason: str


class StepTaken(Event, frozen=True, kw_only=True):
    """A step of a scenario was executed, or the same was done by hand, through the control API.

    :ivar scenario: its name; empty if it was done by hand.
    :ivar action: ``load``, ``fault``, ``restart`` and so on.
    :ivar on: the instances that the step applies to.
    :ivar refused: the reason if the step failed on one of them; empty if it succeeded.
    :ivar settings: of a load, a crash (``keep``, ``restart_after``) or a reset (``files``), as they are written; those
        that have their defaults are left out.
    """

    scenario: str
    action: str
    on: tuple[str, ...] = ()
    refused: str = ""
    settings: dict[str, Any] = field(default_factory=dict)


class Unsubmitted(Event, frozen=True, kw_only=True):
    """A job of a scenario was not submitted because its instance was not responding; it is not retried."""

    job: str
