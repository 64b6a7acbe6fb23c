"""The fault controller fires faults on processes and undoes what they did: on a virtual clock, without a server."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import pytest

from comfyfarm.config.fault_tables import read_fault
from comfyfarm.events import FaultExpired, FaultFired, FaultHealed, Healed
from comfyfarm.events.log import Log
from comfyfarm.faults.phases import PhaseFacts
from comfyfarm.faults.registry import FaultRegistry, InstanceFaults, UnknownFault
from comfyfarm.faults.targets import Kept
from comfyfarm.seeds import Seeds
from comfyfarm.server.fault_controller import FaultController, FaultTarget
from comfyfarm.server.time.clock import SimulatedTime, VirtualClock
from comfyfarm.units import Duration

NAMES = ("a", "b", "c")


@dataclass(eq=False)
class Process:
    """A process that records what is done to it."""

    name: str
    scene: Scene
    faults: InstanceFaults

    def _record(self, what: str) -> None:
        self.scene.done.append((self.name, what, self.scene.time.now_ms()))

    def crash(self, keep: Collection[Kept] = ()) -> None:
        self._record(" ".join(["crash", *keep]))

    def start(self) -> None:
        self.scene.registry.restarted(self.name, self.scene.time.now_ms())
        self._record("start")

    def freeze(self, *, worker: bool) -> None:
        self._record("freeze all" if worker else "freeze")

    def thaw(self) -> None:
        self._record("thaw")

    def refuse(self) -> None:
        self._record("refuse")

    def accept(self) -> None:
        self._record("accept")

    def restore(self) -> None:
        self._record("restore")

    def wake(self) -> None:
        self.scene.woken += 1


@dataclass(eq=False)
class Scene:
    """Three processes and their fault controller.

    :ivar done: the name of a process, what was done to it, and when.
    :ivar woken: the number of times that any of them was woken.
    """

    log: Log = field(default_factory=Log)
    done: list[tuple[str, str, int]] = field(default_factory=list)
    woken: int = 0

    def __post_init__(self) -> None:
        self.clock = VirtualClock()
        self.time = SimulatedTime(self.clock)
        self.registry = FaultRegistry(NAMES, Seeds(0).of("faults"), self.log.publish)
        self.targets: dict[str, FaultTarget] = {name: Process(name, self, self._faults(name)) for name in NAMES}
        self.fault_controller = FaultController(self.time, self.registry, self.log, self.targets)

    def _faults(self, name: str) -> InstanceFaults:
        return InstanceFaults(self.registry, name, lambda event: self.log.publish(event, name, 1))

    def arm(self, **table: Any) -> str:
        return self.fault_controller.arm(read_fault(table)).fault.id

    def pass_s(self, seconds: float) -> None:
        self.clock.advance(seconds)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_fault_on_a_process_fires_at_its_time_and_in_a_turn_of_its_own(scene: Scene) -> None:
    """Not within the call that arms the fault, even if that time is now."""
    scene.arm(do="crash", at="process", on="b")
    assert scene.done == []
    scene.arm(do="freeze", at="process", on="a", after="5s")
    scene.pass_s(0)
    assert scene.done == [("b", "crash", 0)]
    scene.pass_s(10)
    assert scene.done[1:] == [("a", "freeze all", 5000)]


def test_a_rolling_fault_goes_from_one_to_the_next_in_the_farms_order(scene: Scene) -> None:
    scene.arm(do="freeze", at="process", on=["c", "a"], after="1s", stagger="2s", duration="3s", worker="goes on")
    scene.pass_s(60)
    assert scene.done == [("a", "freeze", 1000), ("c", "freeze", 3000), ("a", "thaw", 4000), ("c", "thaw", 6000)]
    assert [(event.instance, event.at_ms) for event in scene.log.of(FaultFired)] == [("a", 1000), ("c", 3000)]


@pytest.mark.parametrize(
    ("do", "does", "undoes"),
    [
        ({"do": "crash"}, "crash", "start"),
        ({"do": "crash", "restart_after": "1h", "keep": ["queue"]}, "crash queue", "start"),
        ({"do": "freeze"}, "freeze all", "thaw"),
        ({"do": "freeze", "duration": "1h"}, "freeze all", "thaw"),
        ({"do": "refuse"}, "refuse", "accept"),
        ({"do": "flap", "down": "1h", "up": "1h"}, "crash", "start"),
    ],
)
@pytest.mark.parametrize("end", ["until", "ttl", "remove", "remove_all", "release"])
def test_when_a_fault_is_over_what_it_did_is_undone_and_nothing_else(
    scene: Scene, do: dict[str, Any], does: str, undoes: str, end: str
) -> None:
    """By its time or by hand, also before its own end."""
    limit = {end: "10s"} if end in ("until", "ttl") else {}
    fault_id = scene.arm(at="process", on="a", **limit, **do)
    scene.pass_s(10)
    if end == "remove":
        scene.fault_controller.remove(fault_id)
    elif end == "remove_all":
        scene.fault_controller.remove_all()
    elif end == "release":
        scene.fault_controller.release(scene.registry.find(fault_id).firings)
    assert scene.done == [("a", does, 0), ("a", undoes, 10_000)]
    scene.pass_s(100_000)
    assert len(scene.done) == 2


def test_a_fault_without_an_end_lasts(scene: Scene) -> None:
    scene.arm(do="freeze", at="process", on="a")
    scene.pass_s(1_000_000)
    assert scene.done == [("a", "freeze all", 0)]


def test_a_fault_that_is_over_before_its_time_never_fires(scene: Scene) -> None:
    """It was removed or healed, or it expired."""
    gone = scene.arm(do="crash", at="process", on="a", after="5s")
    scene.arm(do="crash", at="process", on="b", after="5s", ttl="4s")
    scene.pass_s(1)
    scene.fault_controller.remove(gone)
    scene.pass_s(100)
    assert (scene.done, list(scene.log.of(FaultFired))) == ([], [])
    scene.arm(do="crash", at="process", on="c", after="200s")
    scene.fault_controller.heal()
    scene.pass_s(1000)
    assert [what for _, what, _ in scene.done] == ["restore"] * 3


def test_a_fault_with_chance_zero_never_fires_on_a_process(scene: Scene) -> None:
    scene.arm(do="crash", at="process", chance=0)
    scene.pass_s(10)
    assert (scene.done, scene.registry.never_fired) == ([], ("crash-1",))


def test_heal_ends_everything_then_restores_every_instance_then_publishes_that(scene: Scene) -> None:
    """Crashes by hand end, too."""
    scene.arm(do="freeze", at="process", on="a")
    scene.fault_controller.crash("b", ["history"])
    scene.fault_controller.crash("c", restart_after=None)
    scene.pass_s(1)
    before = len(scene.done)
    scene.fault_controller.heal()
    assert sorted(scene.done[before:-3]) == [("a", "thaw", 1000), ("b", "start", 1000), ("c", "start", 1000)]
    assert scene.done[-3:] == [(name, "restore", 1000) for name in NAMES]
    last = scene.log.events[-1]
    assert (type(last), last.at_ms, last.instance) == (Healed, 1000, "")
    assert [event.reason for event in scene.log.of(FaultHealed)] == ["healed"]


def test_a_crash_by_hand_is_no_fault_and_comes_back_at_its_time(scene: Scene) -> None:
    scene.fault_controller.crash("b", ["queue", "models"], Duration.parse("4s"))
    scene.pass_s(10)
    assert scene.done == [("b", "crash queue models", 0), ("b", "start", 4000)]
    assert list(scene.log.events) == []


def test_a_fault_that_fires_on_a_job_or_an_exchange_affects_its_own_process(scene: Scene) -> None:
    """Each firing does; one that is the last allowed still lasts."""
    scene.arm(do="crash", at="step", on="a", times=2, restart_after="1s")
    for _ in range(3):
        for firing in scene.targets["a"].faults.fire("step", PhaseFacts(step=1), scene.time.now_ms()):
            scene.fault_controller.fire(firing)
        scene.pass_s(5)
    assert scene.done == [("a", "crash", 0), ("a", "start", 1000), ("a", "crash", 5000), ("a", "start", 6000)]
    assert [event.reason for event in scene.log.of(FaultExpired)] == ["spent"]


def test_whenever_a_fault_ends_every_instance_is_woken(scene: Scene) -> None:
    """Jobs and exchanges that hang can then go on."""
    fault_id = scene.arm(do="hang", at="start", ttl="10s")
    assert scene.woken == 0
    scene.pass_s(10)
    assert scene.woken == len(NAMES)
    with pytest.raises(UnknownFault):
        scene.fault_controller.remove("nope")
    scene.fault_controller.remove(fault_id)
    assert scene.woken == 2 * len(NAMES)


@pytest.mark.parametrize(
    ("second", "error"),
    [
        ({"on": "x"}, r"on: 'x' matches no instance \(there are: a, b, c\)"),
        ({"id": "known"}, "id: 'known' is armed already"),
        ({"id": "new"}, "id: 'new' is given twice"),
    ],
)
def test_of_several_faults_all_are_armed_or_none(scene: Scene, second: dict[str, Any], error: str) -> None:
    scene.arm(do="hang", at="start", id="known")
    tables = [{"do": "crash", "at": "process", "id": "new"}, {"do": "hang", "at": "start", **second}]
    with pytest.raises(UnknownFault, match=error):
        scene.fault_controller.arm_all([read_fault(table) for table in tables])
    scene.pass_s(1)
    assert (list(scene.registry.armed), scene.done) == (["known"], [])


def test_when_the_farm_ends_nothing_more_fires(scene: Scene) -> None:
    scene.arm(do="crash", at="process", on="a", restart_after="5s")
    scene.arm(do="freeze", at="process", on="b", after="5s")
    scene.arm(do="hang", at="start", ttl="1h")
    scene.pass_s(1)
    scene.fault_controller.stop()
    assert scene.clock.getDelayedCalls() == []
    scene.pass_s(100)
    assert scene.done == [("a", "crash", 0)]
