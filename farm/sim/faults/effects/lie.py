"""False numbers about how much there is to do, and how much memory is free."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec

from farm.sim.faults.exchange import Exchange
from farm.sim.faults.frame import Frame
from farm.sim.faults.shown import change_answer, change_message, queue_remaining
from farm.sim.faults.strikes import Story, Strike
from farm.sim.seeds import new_uuid
from farm.sim.units import Size

from .base import Effect, effect

__all__ = ["Lie", "Trend"]


class Trend(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A number that changes in time.

    :ivar start: at the moment when the fault begins.
    :ivar per_second: how much it grows; below 0 it shrinks.
    :ivar least: it becomes no smaller.
    :ivar most: it becomes no larger; ``None``: it may.
    """

    start: float = 0.0
    per_second: float = 0.0
    least: int = 0
    most: int | None = None

    def at(self, elapsed_ms: int) -> int:
        """What it is so long after the fault began."""
        value = int(self.start + self.per_second * elapsed_ms / 1000)
        return max(self.least, value if self.most is None else min(self.most, value))


@effect("lie", "status")
class Lie(Effect, frozen=True, kw_only=True):
    """Show other numbers than the true ones, the same ones wherever they are asked for at the same moment.

    ``GET /queue`` has its lists cut from their end, or filled up with jobs that nobody submitted; ``GET /jobs`` and
    the history stay true.

    :ivar queue_remaining: what ``GET /queue``, ``GET /prompt`` and ``status`` messages come to.
    :ivar vram_free: what ``GET /system_stats`` says of each device.
    :ivar ram_free: what it says of the machine.
    """

    queue_remaining: int | Trend | None = None
    vram_free: Size | None = None
    ram_free: Size | None = None

    def __post_init__(self) -> None:
        """Refuse a lie about nothing.

        :raises ValueError: naming the key.
        """
        if self.queue_remaining is None and self.vram_free is None and self.ram_free is None:
            raise ValueError("queue_remaining: expected at least one of queue_remaining, vram_free and ram_free")
        if isinstance(self.queue_remaining, int) and self.queue_remaining < 0:
            raise ValueError(f"queue_remaining: expected 0 or more, got {self.queue_remaining}")

    def on_exchange(self, exchange: Exchange, strike: Strike) -> Story:
        """Answer with false numbers."""
        route, remaining = exchange.facts.route, self._remaining(strike, exchange.at_ms)
        if route == "/system_stats":
            change_answer(exchange, self._change_memory)
        elif route == "/prompt" and remaining is not None:
            change_answer(exchange, lambda shown: shown.update(exec_info={"queue_remaining": remaining}))
        elif route == "/queue" and remaining is not None:
            change_answer(exchange, lambda shown: _resize(shown, remaining, strike))
        yield from ()

    def on_frame(self, frame: Frame, strike: Strike) -> None:
        """Say a false number in a ``status`` message."""
        remaining = self._remaining(strike, strike.at_ms)
        if remaining is not None:
            change_message(frame, lambda shown: queue_remaining(shown).update(queue_remaining=remaining))

    def _remaining(self, strike: Strike, at_ms: int) -> int | None:
        given = self.queue_remaining
        return given.at(at_ms - strike.since_ms) if isinstance(given, Trend) else given

    def _change_memory(self, shown: dict[str, Any]) -> None:
        if self.ram_free is not None:
            shown["system"] = {**shown["system"], "ram_free": int(self.ram_free)}
        if self.vram_free is not None:
            shown["devices"] = [{**each, "vram_free": int(self.vram_free)} for each in shown["devices"]]


def _resize(shown: dict[str, Any], wanted: int, strike: Strike) -> None:
    """Make running and waiting jobs together so many."""
    running, pending = shown["queue_running"][:wanted], shown["queue_pending"]
    missing = wanted - len(running) - len(pending)
    last = max((each[0] for each in (*running, *pending)), default=-1)
    invented: list[Any] = [[last + 1 + index, _id(strike, index), {}, {}, []] for index in range(missing)]
    shown["queue_running"] = running
    shown["queue_pending"] = [*pending[: wanted - len(running)], *invented]


def _id(strike: Strike, index: int) -> str:
    """The id of a job that nobody submitted: the same one whenever it is shown."""
    ids: list[str] = strike.memory.setdefault("ids", [])
    chance: Random = strike.chance
    while len(ids) <= index:
        ids.append(str(new_uuid(chance)))
    return ids[index]
