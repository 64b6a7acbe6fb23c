"""Loads and faults by chance, of the kinds that a client can get through."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from .stage import RARE, Drain, Stage
from .wish import Wish

__all__ = ["drawn_load", "drawn_stage"]

Draw = Callable[[Random], dict[str, Any]]

_EDGES = ("submit", {"phase": "reply", "route": "/prompt", "method": "POST"})
_QUESTIONS = ("/queue", "/history*", "/view")
_FRAMES = ("executing", "executed", "execution_success", "status", "progress_state", "*")
_RUN = ("start", "node", "step")


def drawn_load(chance: Random, *, rare: bool = False) -> list[Wish]:
    """Some jobs in half a minute; one that is not valid, one whose user loses interest, some with a rare model."""
    wishes = [Wish(f"job-{n}", 500 * chance.randrange(60)) for n in range(chance.randint(4, 9))]
    if chance.random() < 0.5:
        wishes.append(Wish("wrong", 500 * chance.randrange(60), is_valid=False))
    if chance.random() < 0.5:
        at_ms = 500 * chance.randrange(60)
        wishes.append(Wish("unwanted", at_ms, stop_ms=at_ms + 500 * chance.randint(0, 20)))
    if rare:
        wishes += [Wish(f"rare-{n}", 500 * chance.randrange(60), model=RARE) for n in range(chance.randint(1, 3))]
    return wishes


def drawn_stage(seed: int) -> Stage:
    """A load, up to five faults, now and then an instance that is drained."""
    chance = Random(seed)
    instances = chance.randint(2, 4)
    names = [f"gpu-{number + 1}" for number in range(instances)]
    faults = [_placed(draw(chance), names, chance) for draw in chance.choices(_DRAWS, k=chance.randint(0, 5))]
    faults = _possible([*faults, *_crashes(chance, names)])
    drains = [Drain(chance.choice(names), 5_000, 15_000)] if chance.random() < 0.3 else []
    rare_on = chance.sample(names, 2) if chance.random() < 0.4 else []
    wishes = drawn_load(chance, rare=bool(rare_on))
    return Stage(wishes, faults, instances, rare_on, drains, chance.choice((30_000, 60_000, 90_000)), seed)


def _placed(fault: dict[str, Any], names: list[str], chance: Random) -> dict[str, Any]:
    return {"on": chance.choice(("*", *names)), **fault}


def _possible(faults: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without those with which nobody could tell what is so.

    Where a process dies, a file that is late never comes; and who has not heard of a success sends again.
    """
    dies = any(each["do"] in {"crash", "flap"} for each in faults)
    return [each for each in faults if not dies or not (each["do"] == "late" or _is_of_frames(each))]


def _is_of_frames(fault: dict[str, Any]) -> bool:
    return isinstance(fault["at"], dict) and fault["at"]["phase"] == "frame"


def _seconds(chance: Random, least: int, most: int) -> str:
    return f"{chance.randint(least, most)}s"


# At the wire.


def _cut(chance: Random) -> dict[str, Any]:
    return {"do": chance.choice(("drop", "reset")), "at": chance.choice(_EDGES), "times": chance.randint(1, 3)}


def _late(chance: Random) -> dict[str, Any]:
    return {"do": "delay", "at": chance.choice(_EDGES), "times": chance.randint(1, 3),
            "duration": _seconds(chance, 1, 20)}


def _hanging(chance: Random) -> dict[str, Any]:
    return {"do": "hang", "at": chance.choice(_EDGES), "times": chance.randint(1, 2)}


def _busy(chance: Random) -> dict[str, Any]:
    said = {"status": chance.choice((429, 500, 502, 503, 504))}
    retry = {"retry_after": _seconds(chance, 1, 20)} if chance.random() < 0.5 else {}
    return {"do": "status", "at": "submit", "times": chance.randint(1, 3), **said, **retry}


def _proxy(chance: Random) -> dict[str, Any]:
    return {"do": "status", "at": _EDGES[1], "times": chance.randint(1, 2), "status": 504, "like": "proxy"}


def _nonsense(chance: Random) -> dict[str, Any]:
    route = chance.choice(("/prompt", *_QUESTIONS))
    return {"do": chance.choice(("garbage", "truncate")), "at": {"phase": "reply", "route": route},
            "times": chance.randint(1, 3)}


def _unanswered(chance: Random) -> dict[str, Any]:
    at = {"phase": chance.choice(("request", "reply")), "route": chance.choice(_QUESTIONS)}
    do = chance.choice(({"do": "drop"}, {"do": "reset"}, {"do": "delay", "duration": "9s"},
                        {"do": "status", "status": 500}))
    return {"at": at, "times": chance.randint(1, 3), **do}


def _frames(chance: Random) -> dict[str, Any]:
    do: dict[str, Any] = chance.choice((
        {"do": "drop"}, {"do": "close"}, {"do": "reset"}, {"do": "duplicate"}, {"do": "reorder"}, {"do": "mute"},
        {"do": "delay", "duration": "3s"}, {"do": "gap", "duration": "5s"}, {"do": "unknown"}, {"do": "strip"},
    ))
    return {"at": {"phase": "frame", "type": chance.choice(_FRAMES)}, "times": chance.randint(1, 6), **do}


def _lie(chance: Random) -> dict[str, Any]:
    return {"do": "lie", "at": {"phase": "status", "route": "/prompt"}, "queue_remaining": chance.randint(0, 9)}


# At the work.


def _broken(chance: Random) -> dict[str, Any]:
    at = {"phase": chance.choice(("node", "step", "save"))}
    return {"do": chance.choice(("error", "oom")), "at": at, "times": chance.randint(1, 2)}


def _slow(chance: Random) -> dict[str, Any]:
    do: dict[str, Any] = chance.choice((
        {"do": "slow", "factor": 5}, {"do": "hang"}, {"do": "delay", "duration": "15s"},
    ))
    return {"at": chance.choice(_RUN), "times": chance.randint(1, 2), **do}


def _record(chance: Random) -> dict[str, Any]:
    do: dict[str, Any] = chance.choice((
        {"do": "delay", "duration": "7s", "at": "history"},
        {"do": "evict", "lives": _seconds(chance, 0, 3), "at": "history"},
        {"do": "late", "duration": "4s", "at": "save"},
        {"do": "empty_outputs", "at": "history"},
    ))
    return {"times": chance.randint(1, 3), **do}


# At the process.


def _absent(chance: Random) -> dict[str, Any]:
    do = chance.choice(("freeze", "refuse"))
    at: dict[str, Any] = chance.choice(({"at": "process", "after": _seconds(chance, 1, 25)},
                                        {"at": chance.choice((*_RUN, *_EDGES)), "times": 1}))
    return {"do": do, "duration": _seconds(chance, 1, 8), **at}


def _crashes(chance: Random, names: list[str]) -> list[dict[str, Any]]:
    """Up to two that die, of different instances."""
    return [{"on": name, **_crash(chance)} for name in chance.sample(names, chance.choice((0, 0, 1, 1, 2)))]


def _crash(chance: Random) -> dict[str, Any]:
    at: dict[str, Any] = chance.choice(({"at": "process", "after": _seconds(chance, 1, 25)},
                                        {"at": chance.choice((*_RUN, "history", *_EDGES)), "times": 1}))
    do: dict[str, Any] = chance.choice((
        {"do": "crash", "restart_after": _seconds(chance, 1, 10)},
        {"do": "crash", "restart_after": _seconds(chance, 1, 6), "keep": ["queue", "history"]},
        {"do": "crash"},
        {"do": "flap", "down": "3s", "up": "6s", "times_down": 2},
    ))
    return {**do, **at}


_DRAWS: tuple[Draw, ...] = (
    *(_cut, _late, _hanging, _busy, _proxy, _nonsense, _unanswered, _frames, _frames, _lie),
    *(_broken, _slow, _record, _absent),
)
