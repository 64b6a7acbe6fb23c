"""For each broken client, something that its fault shows at; the rest of its day is left to chance."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from comfyfarm.analysis.findings import Thresholds

from . import broken
from .broken import BrokenClient
from .drawn import drawn_load
from .stage import RARE, Drain, Stage
from .wish import Wish

__all__ = ["staged"]

Setting = Callable[[Random], dict[str, Any]]
"""The parts of a :class:`Stage` that are not left to chance."""

_REPLY = {"phase": "reply", "route": "/prompt", "method": "POST"}
_HARMLESS: tuple[dict[str, Any], ...] = (
    {"do": "lie", "at": {"phase": "status", "route": "/prompt"}, "queue_remaining": 7},
    {"do": "slow", "at": "node", "factor": 3, "times": 2},
    {"do": "duplicate", "at": {"phase": "frame", "type": "executing"}},
    {"do": "unknown", "at": {"phase": "frame", "type": "status"}},
    {"do": "delay", "at": {"phase": "frame", "type": "executing"}, "duration": "1s"},
    {"do": "delay", "at": "history", "duration": "2s", "times": 2},
)


def staged(kind: type[BrokenClient], seed: int) -> Stage:
    """Something for this client to go wrong at, among other things that do no harm.

    Who stops a job that a fault has befallen may have meant it: there, nothing else happens.
    """
    chance = Random(f"{kind.__name__} {seed}")
    parts: dict[str, Any] = {"instances": chance.randint(2, 3), "wishes": [], "faults": [], **_SETTINGS[kind](chance)}
    busy = [Wish(f"other-{n}", 5_000 + 500 * chance.randrange(40)) for n in range(chance.randint(3, 6))]
    harmless = chance.sample(_HARMLESS, chance.randint(0, 2)) if kind is not broken.StopsWhateverRuns else []
    whole = {**parts, "wishes": [*parts["wishes"], *busy], "faults": [*parts["faults"], *harmless]}
    return Stage(seed=seed, heal_ms=45_000, **whole)


def _calm(chance: Random) -> dict[str, Any]:
    return {"wishes": drawn_load(chance)}


def _few_questions_are_enough(chance: Random) -> dict[str, Any]:
    return {"wishes": drawn_load(chance), "bounds": Thresholds(polls=40)}


def _answers_get_lost(chance: Random) -> dict[str, Any]:
    do = chance.choice(({"do": "drop"}, {"do": "reset"}, {"do": "hang"}, {"do": "delay", "duration": "9s"}))
    return {"faults": [{**do, "at": _REPLY, "times": chance.randint(1, 2), "on": chance.choice(("*", "gpu-1"))}],
            "wishes": [Wish("first")]}


def _a_proxy_has_no_patience(chance: Random) -> dict[str, Any]:
    status = chance.choice((502, 504))
    return {"faults": [{"do": "status", "status": status, "like": "proxy", "at": _REPLY, "times": 2}],
            "wishes": [Wish("first")]}


def _one_dies(chance: Random) -> dict[str, Any]:
    crash = {"do": "crash", "restart_after": f"{chance.randint(1, 9)}s", "on": "gpu-1", "times": 1}
    return {"faults": [{**crash, "at": chance.choice(("start", "node", "step"))}],
            "wishes": [Wish("first"), Wish("second"), Wish("third", 500), Wish("fourth", 500)]}


def _a_file_does_not_arrive_whole(chance: Random) -> dict[str, Any]:
    page = {"do": "status", "status": 200, "body": "<html>Sign in"}
    do = chance.choice(({"do": "truncate"}, {"do": "garbage"}, page))
    return {"faults": [{**do, "at": "view", "times": 1}], "wishes": [Wish("first"), Wish("second")]}


def _one_is_not_valid(chance: Random) -> dict[str, Any]:
    return {"wishes": [Wish("wrong", 500 * chance.randrange(40), is_valid=False)]}


def _one_is_stopped(chance: Random) -> dict[str, Any]:
    return {"wishes": [Wish("unwanted", 0, stop_ms=500 * chance.randint(1, 4))]}


def _all_are_busy(chance: Random) -> dict[str, Any]:
    status = chance.choice((429, 500, 503))
    return {"faults": [{"do": "status", "status": status, "at": "submit", "times": 1}], "wishes": [Wish("first")]}


def _all_are_busy_for_long(chance: Random) -> dict[str, Any]:
    status = chance.choice((500, 502, 503))
    return {"faults": [{"do": "status", "status": status, "at": "submit", "times": 3}], "wishes": [Wish("first")]}


def _all_ask_for_patience(chance: Random) -> dict[str, Any]:
    said = {"status": chance.choice((429, 503)), "retry_after": f"{chance.randint(10, 25)}s"}
    return {"faults": [{"do": "status", "at": "submit", "times": 1, **said}], "wishes": [Wish("first")]}


def _one_has_what_is_rare(chance: Random) -> dict[str, Any]:
    rare = [Wish(f"rare-{n}", 10_000 * n + 500 * chance.randrange(10), model=RARE) for n in range(4)]
    return {"wishes": rare, "instances": 2, "rare_on": ["gpu-2"]}


def _one_is_drained(chance: Random) -> dict[str, Any]:
    return {"drains": [Drain("gpu-1", 500 * chance.randint(2, 9), 40_000)]}


def _one_waits_and_is_stopped(chance: Random) -> dict[str, Any]:
    wishes = [Wish("first"), Wish("second"), Wish("unwanted", 500, stop_ms=500 * chance.randint(2, 4))]
    return {"wishes": wishes, "instances": 2}


def _one_kills(chance: Random) -> dict[str, Any]:
    at = {"phase": chance.choice(("node", "step")), "job": "poison"}
    return {"faults": [{"do": "crash", "restart_after": f"{chance.randint(1, 5)}s", "at": at, "times": 3}],
            "wishes": [Wish("poison")], "instances": 3}


def _one_never_answers_well(chance: Random) -> dict[str, Any]:
    do = chance.choice(({"do": "drop"}, {"do": "reset"}, {"do": "status", "status": 503}))
    return {"faults": [{**do, "at": "submit", "on": "gpu-1"}],
            "wishes": [Wish(f"many-{n}", 1_500 * n) for n in range(8)]}


def _all_can_be_done(chance: Random) -> dict[str, Any]:
    return {"wishes": [Wish(f"many-{n}", 500 * chance.randrange(10)) for n in range(4)]}


def _one_fails_every_job(chance: Random) -> dict[str, Any]:
    fault = {"do": chance.choice(("error", "oom")), "at": "node", "on": "gpu-1"}
    return {"faults": [fault], "wishes": [Wish(f"many-{n}", 3_000 * n) for n in range(9)]}


_SETTINGS: dict[type[BrokenClient], Setting] = {
    broken.SendsAgainWithoutAsking: _answers_get_lost,
    broken.BelievesTheProxy: _a_proxy_has_no_patience,
    broken.ForgetsAfterCrash: _one_dies,
    broken.BelievesTheQueue: _one_dies,
    broken.DeliversTwice: _calm,
    broken.DeliversWhatCameLast: _calm,
    broken.DeliversWithoutLooking: _a_file_does_not_arrive_whole,
    broken.InsistsOnRefused: _one_is_not_valid,
    broken.RevivesStopped: _one_is_stopped,
    broken.FailsWithoutAWord: _one_is_not_valid,
    broken.SpeaksTooSoon: _all_are_busy,
    broken.GivesUpAtOnce: _all_are_busy,
    broken.NeverPauses: _all_are_busy_for_long,
    broken.IgnoresRetryAfter: _all_ask_for_patience,
    broken.ReadsAllOfHistory: _few_questions_are_enough,
    broken.LearnsNothing: _one_has_what_is_rare,
    broken.IgnoresDrains: _one_is_drained,
    broken.StopsWhateverRuns: _one_waits_and_is_stopped,
    broken.CarriesPoison: _one_kills,
    broken.FavoursOne: _one_never_answers_well,
    broken.FetchesTheFirstOnly: _calm,
    broken.AsksAnotherInstance: _all_can_be_done,
    broken.ListensAtOneInstance: _all_can_be_done,
    broken.FeedsWhatFails: _one_fails_every_job,
}
