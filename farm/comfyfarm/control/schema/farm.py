"""Bodies and answers of the control API about the farm and its instances; ``/openapi.json`` shows their docstrings."""

from typing import Annotated, Any, Literal

import msgspec

from comfyfarm.config.scenarios.scenario import Speed
from comfyfarm.units import Duration

_YEAR_MS = 366 * 24 * 60 * 60 * 1000


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The body or the query of a request."""


def _exactly_one(keys: list[str], of: str) -> None:
    if len(keys) != 1:
        raise ValueError(f"expected exactly one of {of}; got {' and '.join(keys) or 'none of them'}")


def _at_most_a_year(key: str, duration: Duration | None) -> None:
    if duration is not None and duration > _YEAR_MS:
        raise ValueError(f"{key}: expected at most a year of 366 days, got {duration}")


class Done(msgspec.Struct, frozen=True):
    """The request was carried out, and there is nothing to return."""

    status: Literal["ok"] = "ok"


class Problem(msgspec.Struct, frozen=True):
    """The answer to every request that is refused; nothing has changed."""

    error: str


class ResetBody(Body, frozen=True, kw_only=True):
    """Settings of a reset; an empty body means the defaults.

    :ivar files: whether output files and counters are reset too.
    """

    files: bool = False


class InstanceState(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one instance.

    :ivar state: ``booting`` until it listens, ``stopped`` while it has no process, ``frozen`` while it serves no
        client, ``paused`` while its worker takes no step; else ``running``.
    :ivar refusing: whether its port is closed to new connections while its process lives.
    :ivar port_error: why its port cannot be opened: another program has it; ``None`` if it can.
    :ivar draining: whether the system under test shall send it no new work.
    :ivar epoch: the number of times it has been started.
    :ivar queue_remaining: the number of jobs that wait or run.
    :ivar running: the prompt id of the job that runs, or ``None``.
    :ivar history: the number of jobs in its history.
    :ivar finished: the number of jobs that have ended since the start or the last reset.
    """

    url: str
    mode: str
    state: Literal["booting", "running", "paused", "frozen", "stopped"]
    refusing: bool
    port_error: str | None = None
    draining: bool
    input_dir: str
    output_dir: str
    epoch: int
    queue_remaining: int
    running: str | None
    history: int
    finished: int


class InstanceDetail(InstanceState, frozen=True, kw_only=True):
    """The state of one instance, with its settings.

    :ivar settings: the present value of every key of its ``[[instance]]``.
    :ivar live: the keys that ``PATCH`` may change.
    """

    settings: dict[str, Any]
    live: tuple[str, ...]


class ClockState(msgspec.Struct, frozen=True, kw_only=True):
    """The simulated time and how it passes.

    :ivar at_ms: the simulated time.
    :ivar unix_ms: the same as a wall-clock time, as clients see it.
    :ivar speed: simulated seconds per real second; 0 while time stands still.
    :ivar auto: whether a virtual clock moves by itself while the sockets are quiet.
    :ivar next_ms: the simulated time of the next thing that is due; ``None`` if nothing is.
    """

    clock: Literal["real", "virtual"]
    at_ms: int
    unix_ms: int
    speed: float
    frozen: bool
    auto: bool
    next_ms: int | None


class ClockBody(Body, frozen=True, kw_only=True):
    """A change of the clock; one at a time, but ``speed`` and ``freeze`` may go together.

    :ivar advance: virtual clock: let this time pass.
    :ivar run_until_idle: virtual clock: let time pass until nothing is due.
    :ivar limit: with ``run_until_idle``: the maximum time.
    :ivar auto: virtual clock: jump to the next thing that is due whenever the sockets are quiet; ``false``: no more.
    :ivar quiet: with ``auto``: the time for which the sockets must be quiet, in real time.
    :ivar speed: real clock: simulated seconds per real second from now on.
    :ivar freeze: real clock: ``true``: let time stand still; ``false``: let it go on.
    """

    advance: Duration | None = None
    run_until_idle: Literal[True] | None = None
    limit: Duration | None = None
    auto: bool | None = None
    quiet: Duration | None = None
    speed: Speed | None = None
    freeze: bool | None = None

    def __post_init__(self) -> None:
        keys = [key for key in ("advance", "run_until_idle", "auto") if getattr(self, key) is not None]
        if real_keys := [key for key in ("speed", "freeze") if getattr(self, key) is not None]:
            keys.append(" with ".join(real_keys))
        _exactly_one(keys, "advance, run_until_idle, auto, speed/freeze")
        for key, needed in (("limit", "run_until_idle"), ("quiet", "auto")):
            if getattr(self, key) is not None and not getattr(self, needed):
                raise ValueError(f"{key}: belongs to {needed}")
        for key in ("advance", "limit", "quiet"):
            _at_most_a_year(key, getattr(self, key))


class WaitBody(Body, frozen=True, kw_only=True):
    """A condition to wait for: exactly one of ``idle``, ``running``, ``finished``, ``event``.

    :ivar idle: no job waits or runs.
    :ivar running: at least this number of jobs run.
    :ivar finished: at least this number of jobs have ended since the start or the last reset.
    :ivar event: an event of the log has these fields; ``kind`` is one of them.
    :ivar since: only events after this ``seq`` count; 0: all that the log has kept.
    :ivar instance: only this instance counts.
    :ivar timeout: in real time; 30 seconds by default.
    """

    idle: Literal[True] | None = None
    running: Annotated[int, msgspec.Meta(ge=1)] | None = None
    finished: Annotated[int, msgspec.Meta(ge=1)] | None = None
    event: dict[str, Any] | None = None
    since: Annotated[int, msgspec.Meta(ge=0)] = 0
    instance: str | None = None
    timeout: Duration | None = None

    def __post_init__(self) -> None:
        keys = [key for key in ("idle", "running", "finished", "event") if getattr(self, key) is not None]
        _exactly_one(keys, "idle, running, finished, event")
        if self.since and self.event is None:
            raise ValueError("since: belongs to event")
        _at_most_a_year("timeout", self.timeout)


class WaitState(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the instances at the end of a wait.

    :ivar met: whether the condition was met.
    :ivar seq: the ``seq`` of the log's last event.
    :ivar running: the number of jobs that run.
    :ivar pending: the number of jobs that wait.
    :ivar finished: the number of jobs that have ended since the start or the last reset.
    :ivar event: the event that was waited for; ``None`` if the condition was another.
    """

    met: bool
    at_ms: int
    seq: int
    running: int
    pending: int
    finished: int
    event: dict[str, Any] | None = None


class WaitTimedOut(WaitState, frozen=True, kw_only=True):
    """The state of the instances when the time was up and the condition was not met; ``error`` says so."""

    error: str


class FarmState(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the farm and of all its instances.

    :ivar control: the URL of the control server.
    :ivar at_ms: the simulated time.
    :ivar lag_ms: how late the farm itself was when something was due last, in simulated time; 0 on a virtual clock.
    :ivar max_lag_ms: the most since its start.
    :ivar trial: the name of the current trial; empty before the first.
    """

    control: str
    seed: int
    clock: Literal["real", "virtual"]
    speed: float
    at_ms: int
    lag_ms: int
    max_lag_ms: int
    trial: str
    instances: dict[str, InstanceState]


class LogFilter(Body, frozen=True, kw_only=True):
    """Filters of events; a key that is not given filters nothing.

    :ivar instance: an instance's name; empty for the farm's own events.
    :ivar kind: one kind, or several with commas between them.
    :ivar prompt_id: the prompt id of the job that an event is about.
    :ivar since: only events after this ``seq``.
    """

    instance: str | None = None
    kind: str | None = None
    prompt_id: str | None = None
    since: Annotated[int, msgspec.Meta(ge=0)] | None = None


class StreamQuery(LogFilter, frozen=True, kw_only=True):
    """Filters of events, and how they are sent.

    :ivar batch: whether each message is a list of events.
    """

    batch: bool = False


class LogQuery(LogFilter, frozen=True, kw_only=True):
    """Filters of events, and a limit.

    :ivar trial: only events of the trial of this name; without it those of all trials.
    :ivar limit: the maximum number of events.
    """

    trial: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1)] | None = None
