"""Faults and chance: what never fires changes nothing, and what fires fires the same again."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from comfyfarm.faults.effects import EFFECTS
from comfyfarm.testing import MemoryFarm
from comfyfarm.workflows import text_to_image

Start = Callable[[Any], MemoryFarm]
Events = list[dict[str, Any]]

EVERYWHERE = [
    *({"do": "delay", "at": phase, "duration": "1h"} for phase in EFFECTS["delay"].phases),
    {"do": "crash", "at": "process"},
]


def live(memory_farm: Start, *faults: dict[str, Any]) -> Events:
    """Two instances, a socket, an upload, four jobs, all kinds of questions; the answer is the log, less ``seq``."""
    instance = {"name": "gpu-{n}", "count": 2, "port": 0, "mode": "dynamic", "timing": {"jitter": 0.2}}
    farm = memory_farm({"farm": {"seed": 3}, "instance": [instance], "fault": list(faults)})
    farm["gpu-1"].listen("me")
    for number in range(4):
        name = f"gpu-{number % 2 + 1}"
        prompt = text_to_image(steps=3, seed=number)
        farm[name].ask("POST", "/prompt", json={"prompt": prompt, "client_id": "me"})
        for path in ("/queue", "/prompt", "/system_stats", "/history", "/view?filename=ComfyUI_00001_.png"):
            farm[name].ask("GET", path)
        farm.advance("20ms")
    farm.run_until_idle()
    for name in ("gpu-1", "gpu-2"):
        farm[name].ask("GET", "/view?filename=ComfyUI_00001_.png")
    events = [json.loads(line) for line in farm.control("GET", "/api/log?since=0").body.splitlines()]
    farm.stop()
    for event in events:
        del event["seq"]
    return events


def test_faults_of_chance_0_at_every_phase_change_nothing_but_their_arming(memory_farm: Start) -> None:
    """Not an event, not a millisecond, not a drawn id."""
    plain = live(memory_farm)
    inert = live(memory_farm, *({**fault, "chance": 0} for fault in EVERYWHERE))
    assert [event for event in inert if event["kind"] != "fault_armed"] == plain
    assert len(inert) == len(plain) + len(EVERYWHERE)
    assert {"exchanged", "frame_sent", "finished", "written"} <= {event["kind"] for event in plain}


@pytest.mark.parametrize("at", ["node", "step", "frame", "reply", "history"])
def test_the_same_seed_and_faults_strike_the_same_moments_twice(memory_farm: Start, at: str) -> None:
    """Whatever else is armed: names and draws belong to each fault alone."""

    def fired(*more: dict[str, Any]) -> Events:
        fault = {"do": "delay", "at": at, "duration": "0ms", "chance": 0.4, "id": "it"}
        events = live(memory_farm, *more, fault)
        return [event for event in events if event["kind"] == "fault_fired" and event["id"] == "it"]

    alone = fired()
    assert len(alone) > 0
    assert fired() == alone
    others = {"do": "delay", "at": at, "duration": "0ms", "chance": 0.5}, {"do": "oom", "at": "node", "chance": 0}
    assert fired(*others) == alone
