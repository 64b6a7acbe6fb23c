"""Five hundred fault sets that are drawn, each against a small load: after ``heal`` every instance is at work again."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from random import Random
from typing import Any

import msgspec
import pytest
from twisted.logger import LogLevel, capturedLogs

from comfyfarm.events import FaultFired, Finished
from comfyfarm.faults.effects import EFFECTS
from comfyfarm.testing import MemoryFarm
from comfyfarm.testing.listener import Listener
from comfyfarm.workflows import text_to_image
from tests.memory.drawn_faults import PAIRS, as_toml, drawn_faults
from tests.memory.small_load import NAMES, SmallLoad, two

BLOCK = 100
BLOCKS = range(5)


def phase_of(fault: dict[str, Any]) -> str:
    at = fault["at"]
    return str(at["phase"] if isinstance(at, dict) else at)


def survive(number: int) -> set[str]:
    """Live through the faults of this number, be healed, and work again; the answer is which effects fired."""
    farm = MemoryFarm.start(two(number, drawn_faults(number)))
    load = SmallLoad(farm, Random(number))
    load.begin()
    load.resume(8)
    farm.heal()
    before = {name: latest(load.listeners[name]) for name in NAMES}
    everything_is_well(farm)
    fired = {event.do for event in farm.farm.log.of(FaultFired)}
    if "displace" not in fired:     # whom an instance has forgotten it does not remember
        assert [name for name, (listener, heard) in before.items() if listener and len(listener.heard) == heard] == []
    farm.stop()
    return fired


def latest(listeners: Sequence[Listener]) -> tuple[Listener | None, int]:
    """The socket that was opened last, where it is open still, and how much it has heard."""
    last = listeners[-1] if listeners else None
    return (None, 0) if last is None or last.lost is not None else (last, len(last.heard))


def everything_is_well(farm: MemoryFarm) -> None:
    """No fault holds anything, every instance is up, and takes a job on, and tells of it, and ends it."""
    farm.advance("1s")      # boots
    faults = farm.control("GET", "/api/faults").json()["faults"]
    assert [each for each in faults if each["state"] == "armed" or each["lasts"]] == []
    jobs = {}
    listeners = {name: farm[name].listen("new") for name in NAMES}
    for name in NAMES:
        body = {"prompt": text_to_image(seed=999, width=64, height=64, steps=2), "client_id": "new"}
        jobs[farm[name].ask("POST", "/prompt", json=body).json()["prompt_id"]] = name
    farm.advance("2h")      # what was late before the heal is so still: an hour at most, as it was drawn
    ended = {event.prompt_id: event for event in farm.farm.log.of(Finished)}
    for job, name in jobs.items():
        told = farm.control("GET", f"/api/instances/{name}").json()
        assert (told["state"], told["refusing"], told["queue_remaining"]) == ("running", False, 0)
        assert (ended[job].instance, ended[job].status) == (name, "success")
        assert {"type": "executing", "data": {"node": None, "prompt_id": job}} in listeners[name].heard
        assert farm[name].ask("GET", f"/history/{job}").json()[job]["status"]["completed"] is True


def said_wrong(events: Sequence[dict[str, Any]]) -> list[str]:
    """What was logged as an error, unhandled ones of a Deferred among them."""
    gc.collect()        # these are logged when the Deferred goes
    gc.freeze()         # as after every test (conftest.py)
    wrong = [event for event in events if "log_failure" in event or event["log_level"] >= LogLevel.error]
    return [str(event.get("log_failure") or event.get("log_format")) for event in wrong]


@pytest.mark.parametrize("block", BLOCKS)
def test_after_a_heal_every_instance_takes_and_ends_new_jobs(block: int) -> None:
    """Whatever was armed before, and nothing of ours has failed on the way."""
    fired: set[str] = set()
    for number in range(block * BLOCK, (block + 1) * BLOCK):
        with capturedLogs() as events:
            try:
                fired |= survive(number)
                assert said_wrong(events) == []
            except BaseException as why:
                why.add_note(f"fault set {number}:\n\n{as_toml(drawn_faults(number))}")
                raise
    assert fired == set(EFFECTS)


def test_the_five_hundred_have_every_effect_at_every_phase_and_every_key() -> None:
    """So that a new effect is among them by itself; and what a failure prints is what was armed."""
    sets = [drawn_faults(number) for number in range(BLOCK * len(BLOCKS))]
    assert {(fault["do"], phase_of(fault)) for faults in sets for fault in faults} == set(PAIRS)
    for do, kind in EFFECTS.items():
        keys = {key for faults in sets for fault in faults if fault["do"] == do for key in fault}
        assert keys >= set(kind.__struct_fields__), do
    for faults in sets:
        assert msgspec.toml.decode(as_toml(faults)) == {"fault": faults}
