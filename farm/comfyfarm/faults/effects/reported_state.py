"""Effects on the state that an instance reports, in responses and in ``status`` messages: false or old numbers."""

from collections.abc import Callable
from dataclasses import replace
from json import dumps, loads
from random import Random
from typing import Any, TypeVar

import msgspec

from comfyfarm.faults.editing import Data, remaining_in
from comfyfarm.faults.fault import Effect, Firing, effect
from comfyfarm.faults.pauses import Steps
from comfyfarm.faults.targets import Exchange, Frame
from comfyfarm.seeds import new_uuid
from comfyfarm.units import Duration, Size

T = TypeVar("T")

_MAX_JOBS = 10_000


class Trend(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A number that changes with time.

    :ivar start: its value when the fault begins.
    :ivar per_second: its growth; below 0 it shrinks.
    :ivar least: its least value.
    :ivar most: its greatest value; ``None``: the greatest that can be reported.
    """

    start: float = 0.0
    per_second: float = 0.0
    least: int = 0
    most: int | None = None

    def __post_init__(self) -> None:
        for key in ("start", "least", "most"):
            if (value := getattr(self, key)) is not None and value > _MAX_JOBS:
                raise ValueError(f"{key}: expected at most {_MAX_JOBS}, got {value}")

    def at(self, elapsed_ms: int) -> int:
        """Return the number this long after the fault began."""
        value = self.start + self.per_second * elapsed_ms / 1000
        return int(max(self.least, min(_MAX_JOBS if self.most is None else self.most, value)))


@effect("lie", "status")
class Lie(Effect, frozen=True, kw_only=True):
    """Report false numbers, the same ones at every route at the same time.

    The lists of ``GET /queue`` are cut at their end, or filled up with invented jobs, hence the limit of 10,000;
    ``GET /jobs`` and the history stay true.

    :ivar queue_remaining: in ``GET /queue``, ``GET /prompt`` and ``status`` messages.
    :ivar vram_free: of each device in ``GET /system_stats``.
    :ivar ram_free: of the system in ``GET /system_stats``.
    """

    queue_remaining: int | Trend | None = None
    vram_free: Size | None = None
    ram_free: Size | None = None

    def __post_init__(self) -> None:
        if self.queue_remaining is None and self.vram_free is None and self.ram_free is None:
            raise ValueError("queue_remaining: expected at least one of queue_remaining, vram_free and ram_free")
        if isinstance(self.queue_remaining, int) and self.queue_remaining < 0:
            raise ValueError(f"queue_remaining: expected 0 or more, got {self.queue_remaining}")
        if isinstance(self.queue_remaining, int) and self.queue_remaining > _MAX_JOBS:
            raise ValueError(f"queue_remaining: expected at most {_MAX_JOBS}, got {self.queue_remaining}")

    def on_exchange(self, exchange: Exchange, firing: Firing) -> Steps:
        route, remaining = exchange.facts.route, self._remaining(firing, exchange.at_ms)
        if route == "/system_stats":
            _change_reply(exchange, self._change_memory)
        elif route == "/prompt" and remaining is not None:
            _change_reply(exchange, lambda body: body.update(exec_info={"queue_remaining": remaining}))
        elif route == "/queue" and remaining is not None:
            _change_reply(exchange, lambda body: _resize(body, remaining, firing))
        yield from ()

    def on_frame(self, frame: Frame, firing: Firing) -> None:
        _set_remaining(frame, self._remaining(firing, firing.at_ms))

    def _remaining(self, firing: Firing, at_ms: int) -> int | None:
        remaining = self.queue_remaining
        return remaining.at(at_ms - firing.since_ms) if isinstance(remaining, Trend) else remaining

    def _change_memory(self, body: dict[str, Any]) -> None:
        if self.ram_free is not None:
            body["system"] = {**body["system"], "ram_free": int(self.ram_free)}
        if self.vram_free is not None:
            body["devices"] = [{**device, "vram_free": int(self.vram_free)} for device in body["devices"]]


def _resize(body: dict[str, Any], length: int, firing: Firing) -> None:
    """Give the two lists of ``GET /queue`` this length together."""
    running, pending = body["queue_running"][:length], body["queue_pending"]
    missing = length - len(running) - len(pending)
    last_number = max((job[0] for job in (*running, *pending)), default=-1)
    invented: list[Any] = [
        [last_number + 1 + index, _invented_id(firing, index), {}, {}, []] for index in range(missing)
    ]
    body["queue_running"] = running
    body["queue_pending"] = [*pending[: length - len(running)], *invented]


def _invented_id(firing: Firing, index: int) -> str:
    """Return the id of the n-th invented job, the same one at every firing."""
    ids: list[str] = firing.memory.setdefault("ids", [])
    chance: Random = firing.chance
    while len(ids) <= index:
        ids.append(str(new_uuid(chance)))
    return ids[index]


@effect("stale", "status")
class Stale(Effect, frozen=True, kw_only=True):
    """Report at every firing what was true at the first one.

    Each path and query has its own first response, and ``status`` messages their own first number.

    :ivar refresh: the age at which what is reported is renewed; ``None``: never.
    """

    refresh: Duration | None = None

    def on_exchange(self, exchange: Exchange, firing: Firing) -> Steps:
        facts = exchange.facts
        key = f"{facts.method} {facts.route}?{exchange.query}"
        exchange.reply = self._remembered(firing, key, exchange.at_ms, exchange.reply)
        yield from ()

    def on_frame(self, frame: Frame, firing: Firing) -> None:
        # Only the number is old: the rest of a status message belongs to the client.
        _set_remaining(frame, self._remembered(firing, "frame", firing.at_ms, remaining_in(frame.content)))

    def _remembered(self, firing: Firing, key: str, at_ms: int, current: T) -> T:
        """Return what is remembered under this key; remember and return ``current`` if that is missing or too old."""
        since_ms, remembered = firing.memory.get(key, (None, None))
        if since_ms is not None and (self.refresh is None or at_ms - since_ms < self.refresh):
            return remembered  # type: ignore[no-any-return]
        firing.memory[key] = at_ms, current
        return current


def _change_reply(exchange: Exchange, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the JSON object of a response; one without an object (an error, a HEAD) stays as it is."""
    reply = exchange.reply
    if reply is None or reply.status != 200:
        return
    try:
        body = loads(reply.body)
    except ValueError:
        return
    if isinstance(body, dict):
        change(body)
        exchange.reply = replace(reply, body=dumps(body).encode())


def _set_remaining(frame: Frame, remaining: int | None) -> None:
    """Change the number in the ``status`` messages of a frame; ``None`` changes nothing."""

    def change(data: Data) -> Data:
        if "status" not in data:
            return data
        return {**data, "status": {**data["status"], "exec_info": {"queue_remaining": remaining}}}

    if remaining is not None:
        frame.change_data(change)
