"""What the control API takes and gives: ``/openapi.json`` is made of these."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from comfyfarm.units import Duration

_YEAR_MS = 366 * 24 * 60 * 60 * 1000


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is sent to us."""


def _exactly_one(said: list[str], of: str) -> None:
    if len(said) != 1:
        raise ValueError(f"expected exactly one of {of}; got {' and '.join(said) or 'none of them'}")


def _not_absurd(key: str, duration: Duration | None) -> None:
    if duration is not None and duration > _YEAR_MS:
        raise ValueError(f"{key}: expected at most a year of 366 days, got {duration}")


class Done(msgspec.Struct, frozen=True):
    """There is nothing to tell."""

    status: Literal["ok"] = "ok"


class Problem(msgspec.Struct, frozen=True):
    """Every answer that says no; nothing has changed."""

    error: str


class ResetBody(Body, frozen=True, kw_only=True):
    """What a reset takes along; an empty body means the defaults.

    :ivar files: whether output files and counters go too.
    """

    files: bool = False


class InstanceState(msgspec.Struct, frozen=True, kw_only=True):
    """One instance.

    :ivar state: ``booting`` until it listens, ``stopped`` while it has no process, ``frozen`` while it answers nobody,
        ``paused`` while its worker takes no step; else ``running``.
    :ivar refusing: its port is closed to new connections, although its process lives.
    :ivar draining: whoever dispatches was told to send it no new work.
    :ivar epoch: how often it has been started.
    :ivar queue_remaining: jobs that wait or run.
    :ivar running: the job that runs, or ``None``.
    :ivar history: how many jobs have ended and are remembered.
    :ivar finished: how many jobs have ended since the start or the last reset.
    """

    url: str
    mode: str
    state: Literal["booting", "running", "paused", "frozen", "stopped"]
    refusing: bool
    draining: bool
    input_dir: str
    output_dir: str
    epoch: int
    queue_remaining: int
    running: str | None
    history: int
    finished: int


class InstanceDetail(InstanceState, frozen=True, kw_only=True):
    """One instance, with its settings.

    :ivar settings: every key of its ``[[instance]]``, as it is now.
    :ivar live: the keys that ``PATCH`` may change.
    """

    settings: dict[str, Any]
    live: tuple[str, ...]


class ClockState(msgspec.Struct, frozen=True, kw_only=True):
    """How time passes.

    :ivar at_ms: the simulated moment.
    :ivar unix_ms: the same, as clients see it.
    :ivar speed: how many simulated seconds pass in a real one; 0 while time stands still.
    :ivar auto: whether a virtual clock moves by itself while the sockets are quiet.
    :ivar next_ms: when the next thing is due, or ``None`` where nothing is.
    """

    clock: Literal["real", "virtual"]
    at_ms: int
    unix_ms: int
    speed: float
    frozen: bool
    auto: bool
    next_ms: int | None


class ClockBody(Body, frozen=True, kw_only=True):
    """What becomes of the clock; one thing at a time, but ``speed`` and ``freeze`` go together.

    :ivar advance: virtual: let so much time pass.
    :ivar run_until_idle: virtual: let time pass until nothing is due.
    :ivar limit: but not longer than this.
    :ivar auto: virtual: jump to the next due moment whenever the sockets are quiet.
    :ivar quiet: for so long, in real time.
    :ivar speed: real: how many simulated seconds pass in a real one from now on.
    :ivar freeze: real: let time stand still, or go on.
    """

    advance: Duration | None = None
    run_until_idle: Literal[True] | None = None
    limit: Duration | None = None
    auto: bool | None = None
    quiet: Duration | None = None
    speed: Annotated[float, msgspec.Meta(gt=0, le=1_000_000)] | None = None
    freeze: bool | None = None

    def __post_init__(self) -> None:
        """Refuse what excludes itself.

        :raises ValueError: naming the keys.
        """
        said = [key for key in ("advance", "run_until_idle", "auto") if getattr(self, key) is not None]
        passing = [key for key in ("speed", "freeze") if getattr(self, key) is not None]
        _exactly_one([*said, *[" with ".join(passing)][: len(passing)]], "advance, run_until_idle, auto, speed/freeze")
        for key, needed in (("limit", "run_until_idle"), ("quiet", "auto")):
            if getattr(self, key) is not None and not getattr(self, needed):
                raise ValueError(f"{key}: belongs to {needed}")
        for key in ("advance", "limit", "quiet"):
            _not_absurd(key, getattr(self, key))


class WaitBody(Body, frozen=True, kw_only=True):
    """What to wait for: exactly one of ``idle``, ``running``, ``finished``, ``event``.

    :ivar idle: no job waits or runs.
    :ivar running: at least so many jobs run.
    :ivar finished: at least so many jobs have ended since the start or the last reset.
    :ivar event: an event of the log has these fields; ``kind`` is one of them.
    :ivar since: only events after this ``seq`` count; 0: any that the log still has.
    :ivar instance: look at this one only.
    :ivar timeout: in real time; 30 seconds where it is not given.
    """

    idle: Literal[True] | None = None
    running: Annotated[int, msgspec.Meta(ge=1)] | None = None
    finished: Annotated[int, msgspec.Meta(ge=1)] | None = None
    event: dict[str, Any] | None = None
    since: Annotated[int, msgspec.Meta(ge=0)] = 0
    instance: str | None = None
    timeout: Duration | None = None

    def __post_init__(self) -> None:
        """Refuse what excludes itself.

        :raises ValueError: naming the keys.
        """
        said = [key for key in ("idle", "running", "finished", "event") if getattr(self, key) is not None]
        _exactly_one(said, "idle, running, finished, event")
        if self.since and self.event is None:
            raise ValueError("since: belongs to event")
        _not_absurd("timeout", self.timeout)


class WaitState(msgspec.Struct, frozen=True, kw_only=True):
    """What there was to see when the waiting ended.

    :ivar met: whether it was what was waited for.
    :ivar seq: of the log's last event.
    :ivar running: jobs that run.
    :ivar pending: jobs that wait.
    :ivar finished: jobs that have ended since the start or the last reset.
    :ivar event: the event that was waited for.
    """

    met: bool
    at_ms: int
    seq: int
    running: int
    pending: int
    finished: int
    event: dict[str, Any] | None = None


class WaitTimedOut(WaitState, frozen=True, kw_only=True):
    """The time was up before; ``error`` says so."""

    error: str


class FarmState(msgspec.Struct, frozen=True, kw_only=True):
    """The whole farm.

    :ivar at_ms: the simulated moment.
    """

    control: str
    seed: int
    clock: Literal["real", "virtual"]
    speed: float
    at_ms: int
    instances: dict[str, InstanceState]


class LogFilter(Body, frozen=True, kw_only=True):
    """Which events are wanted; what is not given filters nothing.

    :ivar instance: its name; empty for the farm's own events.
    :ivar kind: one kind, or several with commas between them.
    :ivar prompt_id: of the job that an event is about.
    :ivar since: only events after this ``seq``.
    """

    instance: str | None = None
    kind: str | None = None
    prompt_id: str | None = None
    since: Annotated[int, msgspec.Meta(ge=0)] | None = None


class LogQuery(LogFilter, frozen=True, kw_only=True):
    """Which events are wanted, and how many.

    :ivar limit: the first so many.
    """

    limit: Annotated[int, msgspec.Meta(ge=1)] | None = None
