"""The same seed, faults and questions are the same run; and what never fires is no part of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random

import pytest

from comfyfarm.events import FaultFired
from comfyfarm.events.encoding import as_object
from comfyfarm.faults.phases import EXCHANGE, JOB
from comfyfarm.testing import MemoryFarm
from tests.memory.drawn_faults import PAIRS, Table, as_toml, bare_fault, drawn_faults
from tests.memory.small_load import SmallLoad, two

EVERYWHERE: list[Table] = [
    {"do": "delay", "at": "request", "duration": "20ms", "chance": 0.3},
    {"do": "status", "at": "submit", "status": 503, "chance": 0.3},
    {"do": "drop", "at": "reply", "chance": 0.2},
    {"do": "delay", "at": "upload", "duration": "100ms", "chance": 0.5},
    {"do": "truncate", "at": "view", "every": 2},
    {"do": "stale", "at": "status", "chance": 0.5},
    {"do": "slow", "at": "start", "factor": 3.0, "chance": 0.3},
    {"do": "error", "at": "node", "chance": 0.02},
    {"do": "delay", "at": "step", "duration": "10ms", "chance": 0.3},
    {"do": "missing", "at": "save", "chance": 0.5},
    {"do": "delay", "at": "success", "duration": "10ms", "chance": 0.5},
    {"do": "delay", "at": "history", "duration": "70ms", "chance": 0.5},
    {"do": "duplicate", "at": "frame", "chance": 0.2},
    {"do": "crash", "at": "process", "on": "gpu-2", "after": "6s", "restart_after": "200ms"},
]
"""One fault for each phase, most of them by chance."""


def run(seed: int, faults: Sequence[Table], deeds: int = 20) -> MemoryFarm:
    """A farm after its load, healed and at rest, and stopped; its log is still there."""
    farm = MemoryFarm.start(two(seed, faults))
    load = SmallLoad(farm, Random(seed))
    load.begin()
    load.resume(deeds)
    farm.heal()
    farm.advance("2h")
    farm.stop()
    return farm


def fired(farm: MemoryFarm) -> list[FaultFired]:
    return list(farm.farm.log.of(FaultFired))


def test_the_same_seed_and_faults_strike_the_same_twice() -> None:
    """HTTP, websockets, jobs and a process; a fault fires at every phase, and not always."""
    runs = [run(4, EVERYWHERE) for _ in range(2)]
    assert fired(runs[0]) == fired(runs[1])
    fire_faults = Counter(event.phase for event in fired(runs[0]))
    assert set(fire_faults) == {*EXCHANGE, *JOB, "frame", "process"}
    assert fire_faults["process"] == 1


def test_another_seed_strikes_other_moments() -> None:
    """By chance: the load is the same, and the faults are."""
    faults = [{"do": "delay", "at": "step", "duration": "0ms", "chance": 0.5}]
    found = []
    for seed in (4, 5):
        farm = MemoryFarm.start(two(seed, faults))
        SmallLoad(farm, Random(0)).begin()
        farm.run_until_idle()
        found.append([event.at_ms for event in fired(farm)])
        farm.stop()
    assert found[0] != found[1]


@pytest.mark.parametrize("number", range(0, 500, 12))
def test_a_drawn_fault_set_gives_the_same_log_twice(number: int) -> None:
    """Every event of it, whatever was drawn."""
    first, second = (run(number, drawn_faults(number), 8) for _ in range(2))
    assert list(first.farm.log.events) == list(second.farm.log.events), as_toml(drawn_faults(number))


def test_no_effect_of_chance_0_changes_anything_at_any_of_its_phases() -> None:
    """All of them armed at once: the log is the one without any, but for ``seq`` and their own arming."""
    inert = [{**bare_fault(do, phase), "chance": 0} for do, phase in PAIRS]
    plain, armed = (events_of(faults) for faults in ((), inert))
    assert [event for event in armed if event["kind"] != "fault_armed"] == plain
    assert len(armed) == len(plain) + len(PAIRS)


def events_of(faults: Sequence[Table]) -> list[Table]:
    """The log of a load that nobody heals, less ``seq``."""
    farm = MemoryFarm.start(two(6, faults))
    load = SmallLoad(farm, Random(6))
    load.begin()
    load.resume(20)
    farm.stop()
    return [{**as_object(event), "seq": 0} for event in farm.farm.log.events]
