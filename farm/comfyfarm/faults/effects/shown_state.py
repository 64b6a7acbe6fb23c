"""What an instance shows of its state, in answers and in ``status`` messages, and how to show something else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from json import dumps, loads
from random import Random
from typing import Any, TypeVar

import msgspec

from comfyfarm.faults.fault import Effect, Firing, effect
from comfyfarm.faults.pauses import Steps
from comfyfarm.faults.targets import DelayedMessage, Exchange, Frame
from comfyfarm.seeds import new_uuid
from comfyfarm.units import Duration, Size

Change = Callable[[dict[str, Any]], None]


def change_answer(exchange: Exchange, change: Change) -> None:
    """Change the object that an answer holds; one that holds none (a refusal, a HEAD) stays as it is."""
    reply = exchange.reply
    shown = _object(reply.body) if reply is not None and reply.status == 200 else None
    if reply is not None and shown is not None:
        change(shown)
        exchange.reply = replace(reply, body=dumps(shown).encode())


def change_message(frame: Frame, change: Change) -> None:
    """Change the object that a websocket message holds."""
    shown = _object(frame.content)
    if shown is not None:
        change(shown)
        frame.messages = [DelayedMessage(dumps(shown), each.after_ms) for each in frame.messages]


def queue_remaining(message: dict[str, Any]) -> dict[str, Any]:
    """Where a ``status`` message says how much there is to do; empty where it does not."""
    found = message.get("data", {}).get("status", {}).get("exec_info", {})
    return found if isinstance(found, dict) else {}


def _object(content: str | bytes) -> dict[str, Any] | None:
    try:
        shown = loads(content)
    except ValueError:
        return None
    return shown if isinstance(shown, dict) else None


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

    def on_exchange(self, exchange: Exchange, firing: Firing) -> Steps:
        """Answer with false numbers."""
        route, remaining = exchange.facts.route, self._remaining(firing, exchange.at_ms)
        if route == "/system_stats":
            change_answer(exchange, self._change_memory)
        elif route == "/prompt" and remaining is not None:
            change_answer(exchange, lambda shown: shown.update(exec_info={"queue_remaining": remaining}))
        elif route == "/queue" and remaining is not None:
            change_answer(exchange, lambda shown: _resize(shown, remaining, firing))
        yield from ()

    def on_frame(self, frame: Frame, firing: Firing) -> None:
        """Say a false number in a ``status`` message."""
        remaining = self._remaining(firing, firing.at_ms)
        if remaining is not None:
            change_message(frame, lambda shown: queue_remaining(shown).update(queue_remaining=remaining))

    def _remaining(self, firing: Firing, at_ms: int) -> int | None:
        given = self.queue_remaining
        return given.at(at_ms - firing.since_ms) if isinstance(given, Trend) else given

    def _change_memory(self, shown: dict[str, Any]) -> None:
        if self.ram_free is not None:
            shown["system"] = {**shown["system"], "ram_free": int(self.ram_free)}
        if self.vram_free is not None:
            shown["devices"] = [{**each, "vram_free": int(self.vram_free)} for each in shown["devices"]]


def _resize(shown: dict[str, Any], wanted: int, firing: Firing) -> None:
    """Make running and waiting jobs together so many."""
    running, pending = shown["queue_running"][:wanted], shown["queue_pending"]
    missing = wanted - len(running) - len(pending)
    last = max((each[0] for each in (*running, *pending)), default=-1)
    invented: list[Any] = [[last + 1 + index, _id(firing, index), {}, {}, []] for index in range(missing)]
    shown["queue_running"] = running
    shown["queue_pending"] = [*pending[: wanted - len(running)], *invented]


def _id(firing: Firing, index: int) -> str:
    """The id of a job that nobody submitted: the same one whenever it is shown."""
    ids: list[str] = firing.memory.setdefault("ids", [])
    chance: Random = firing.chance
    while len(ids) <= index:
        ids.append(str(new_uuid(chance)))
    return ids[index]


T = TypeVar("T")


@effect("stale", "status")
class Stale(Effect, frozen=True, kw_only=True):
    """Show at every strike what was true at the first one.

    Each path remembers its own answer, and ``status`` messages their own number.

    :ivar refresh: look anew when what is shown has become so old; ``None``: never.
    """

    refresh: Duration | None = None

    def on_exchange(self, exchange: Exchange, firing: Firing) -> Steps:
        """Answer as before."""
        facts = exchange.facts
        key = f"{facts.method} {facts.route}?{exchange.query}"
        exchange.reply = self._remembered(firing, key, exchange.at_ms, exchange.reply)
        yield from ()

    def on_frame(self, frame: Frame, firing: Firing) -> None:
        """Say the old number; the rest of the message is the client's own."""
        change_message(frame, lambda shown: queue_remaining(shown).update(self._number(shown, firing)))

    def _number(self, shown: dict[str, Any], firing: Firing) -> dict[str, Any]:
        return self._remembered(firing, "frame", firing.at_ms, dict(queue_remaining(shown)))

    def _remembered(self, firing: Firing, key: str, at_ms: int, shown: T) -> T:
        """What was shown before under this key, or what is shown now where that is too old."""
        since_ms, before = firing.memory.get(key, (None, None))
        if since_ms is not None and (self.refresh is None or at_ms - since_ms < self.refresh):
            return before  # type: ignore[no-any-return]
        firing.memory[key] = at_ms, shown
        return shown
