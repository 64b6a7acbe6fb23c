"""The registry of faults: when a fault fires, how often, until when, and which events are published."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from comfyfarm.config.fault_tables import read_fault
from comfyfarm.events import Event, FaultArmed, FaultExpired, FaultFired, FaultHealed
from comfyfarm.faults.armed_fault import ArmedFault
from comfyfarm.faults.effects import EFFECTS, Effect
from comfyfarm.faults.fault import Firing, Rule
from comfyfarm.faults.phases import EXCHANGE, JOB, At, Phase, PhaseFacts
from comfyfarm.faults.registry import KEPT_OVER, FaultRegistry, InstanceFaults, UnknownFault
from comfyfarm.seeds import Seeds
from comfyfarm.units import Size

NAMES = ("gpu-1", "gpu-2", "cpu")
ONE = PhaseFacts(prompt_id="p-1", job_name="cat", client="me", node="3")


class Scene:
    """A registry, and all events that it publishes."""

    def __init__(self, seed: int = 0) -> None:
        self.events: list[Event] = []
        self.registry = FaultRegistry(NAMES, Seeds(seed).of("faults"), self.events.append)

    def arm(self, do: str = "delay", at: Any = "node", now_ms: int = 0, **rest: Any) -> ArmedFault:
        own = {"duration": "1s"} if do == "delay" else {}
        return self.registry.arm(read_fault({"do": do, "at": at, **own, **rest}), now_ms)

    def fire(
        self, name: str = "gpu-1", now_ms: int = 0, phase: Phase = "node", facts: PhaseFacts = ONE
    ) -> list[Firing]:
        return InstanceFaults(self.registry, name, self.events.append).fire(phase, facts, now_ms)

    def ids(self, name: str = "gpu-1", now_ms: int = 0, phase: Phase = "node") -> list[str]:
        return [firing.fault.id for firing in self.fire(name, now_ms, phase)]

    def fire_faults(self, times: int, name: str = "gpu-1") -> str:
        """Return ``x`` for each of these matches that fires, and ``.`` for each that does not."""
        return "".join("x" if self.fire(name) else "." for _ in range(times))

    def of(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]


# How often.


@pytest.mark.parametrize(
    ("rule", "seen"),
    [
        ({}, "xxxxxxxxxx"),
        ({"times": 1}, "x........."),
        ({"times": 3}, "xxx......."),
        ({"skip": 4}, "....xxxxxx"),
        ({"every": 3}, "x..x..x..x"),
        ({"skip": 1, "every": 3}, ".x..x..x.."),
        ({"skip": 1, "every": 3, "times": 2}, ".x..x....."),
        ({"skip": 2, "times": 1, "sticky": True}, "..xxxxxxxx"),
        ({"every": 4, "sticky": True}, "xxxxxxxxxx"),
        ({"chance": 0.0}, ".........."),
        ({"chance": 0.0, "sticky": True, "times": 5}, ".........."),
        ({"chance": 1.0}, "xxxxxxxxxx"),
    ],
)
def test_of_its_matches_it_fires_at_those_that_the_rule_selects(rule: dict[str, Any], seen: str) -> None:
    """First skip, then every, then chance, then times."""
    scene = Scene()
    scene.arm(**rule)
    assert scene.fire_faults(10) == seen


def test_each_instance_counts_for_itself() -> None:
    scene = Scene()
    armed = scene.arm(times=2, on="gpu-*")
    assert (scene.fire_faults(3, "gpu-1"), scene.fire_faults(3, "gpu-2"), scene.fire_faults(3, "cpu")) == (
        "xx.",
        "xx.",
        "...",
    )
    assert armed.fired == {"gpu-1": 2, "gpu-2": 2}


def test_without_on_it_fires_so_often_on_the_whole_farm() -> None:
    scene = Scene()
    armed = scene.arm(times=3)
    assert [scene.fire_faults(2, name) for name in ("gpu-1", "gpu-2", "cpu")] == ["xx", "x.", ".."]
    assert armed.state == "expired"
    assert len(scene.of(FaultExpired)) == 1


def test_without_on_what_is_skipped_is_counted_on_each_instance() -> None:
    scene = Scene()
    scene.arm(times=1, skip=1)
    assert [scene.fire_faults(1, name) for name in ("gpu-1", "gpu-2", "gpu-2", "gpu-1")] == [".", ".", "x", "."]


def test_with_on_star_each_instance_of_the_farm_counts_for_itself() -> None:
    scene = Scene()
    scene.arm(times=1, on="*")
    assert [scene.fire_faults(2, name) for name in NAMES] == ["x."] * len(NAMES)


def test_a_sticky_fault_without_on_breaks_one_process_of_the_farm_until_it_ends() -> None:
    scene = Scene()
    armed = scene.arm("error", times=1, sticky=True)
    assert [scene.fire_faults(2, name) for name in ("gpu-2", "gpu-1", "gpu-2")] == ["xx", "..", "xx"]
    scene.registry.restarted("gpu-2", 9)
    assert (scene.fire_faults(1, "gpu-2"), armed.state) == (".", "expired")


def test_a_fault_of_the_process_without_on_fires_once_on_each() -> None:
    scene = Scene()
    scene.arm("crash", at="process")
    assert [len(scene.fire(name, phase="process")) for name in (*NAMES, *NAMES)] == [1] * len(NAMES) + [0] * len(NAMES)


def test_it_is_over_only_when_it_has_fired_on_all_its_instances() -> None:
    scene = Scene()
    armed = scene.arm(times=1, on=["gpu-1", "cpu"])
    scene.fire("gpu-1", 5)
    assert (armed.state, scene.of(FaultExpired)) == ("armed", [])
    scene.fire("cpu", 7)
    assert armed.state == "expired"
    assert scene.of(FaultExpired) == [FaultExpired(at_ms=7, id="delay-1", reason="spent")]


def test_only_what_matches_counts() -> None:
    """Other nodes do not use up what is skipped."""
    scene = Scene()
    armed = scene.arm(at={"phase": "node", "node": "3"}, skip=1, times=1)
    other = PhaseFacts(node="4")
    seen = [bool(scene.fire(facts=facts)) for facts in (other, ONE, other, ONE, ONE)]
    assert seen == [False, False, False, True, False]
    assert armed.matched == 2


def test_several_faults_fire_in_the_order_in_which_they_were_armed() -> None:
    scene = Scene()
    scene.arm(id="b")
    scene.arm("hang", id="a", times=1)
    scene.arm("error", id="c")
    assert scene.ids() == ["b", "a", "c"]
    assert scene.ids() == ["b", "c"]


def test_a_phase_without_a_fault_is_not_watched() -> None:
    """So no facts are collected for it; one that is over is not watched either."""
    scene = Scene()
    scene.arm(on="gpu-1", times=1)
    here, there = (InstanceFaults(scene.registry, name, scene.events.append) for name in ("gpu-1", "gpu-2"))
    assert (here.watches("node"), here.watches("start"), there.watches("node")) == (True, False, False)
    scene.fire()
    assert not here.watches("node")


# Chance.


def shares(seed: int, *more: str) -> list[str]:
    scene = Scene(seed)
    for do in more:
        scene.arm(do, chance=0.5)
    scene.arm("error", chance=0.3)
    return [("x" if "error-1" in scene.ids() else ".") for _ in range(200)]


def test_chance_is_a_share_and_the_same_for_the_same_seed() -> None:
    assert shares(1) == shares(1)
    assert shares(1) != shares(2)
    assert 35 <= shares(1).count("x") <= 85


def test_another_fault_changes_no_draws_and_no_id() -> None:
    """Ids are counted for each effect, and each id has its own random stream."""
    assert shares(1) == shares(1, "delay", "hang", "oom")


def test_matches_on_one_instance_do_not_change_the_draws_on_another() -> None:
    alone, together = Scene(3), Scene(3)
    for scene in (alone, together):
        scene.arm(chance=0.5)
    expected = alone.fire_faults(100, "gpu-2")
    seen = ""
    for _ in range(100):
        together.fire("gpu-1")
        seen += together.fire_faults(1, "gpu-2")
    assert seen == expected


def test_what_an_effect_draws_is_its_own_and_the_same_each_time() -> None:
    def drawn() -> list[float]:
        scene = Scene(5)
        scene.arm()
        return [scene.fire()[0].chance.random() for _ in range(5)]

    assert drawn() == drawn()
    assert len(set(drawn())) == 5


# Sticky.


def test_a_sticky_fault_goes_on_until_the_process_ends() -> None:
    """With times = 1 it is over then; on the other instance it goes on."""
    scene = Scene()
    armed = scene.arm("error", times=1, sticky=True, on="gpu-*")
    assert (scene.fire_faults(4, "gpu-1"), scene.fire_faults(4, "gpu-2")) == ("xxxx", "xxxx")
    scene.registry.restarted("gpu-1", 50)
    assert (scene.fire_faults(4, "gpu-1"), scene.fire_faults(4, "gpu-2")) == ("....", "xxxx")
    assert (armed.state, scene.of(FaultExpired)) == ("armed", [])
    scene.registry.restarted("gpu-2", 60)
    assert scene.of(FaultExpired) == [FaultExpired(at_ms=60, id="error-1", reason="spent")]


def test_a_sticky_fault_may_fire_again_after_a_restart_if_it_has_times_left() -> None:
    scene = Scene()
    scene.arm("error", sticky=True, skip=1)
    assert scene.fire_faults(3) == ".xx"
    scene.registry.restarted("gpu-1", 0)
    assert scene.fire_faults(1) == "x"


# When.


@pytest.mark.parametrize(
    ("window", "armed_ms", "seen"),
    [
        ({"after": "10ms"}, 0, [10, 20, 30, 40]),
        ({"until": "30ms"}, 0, [0, 10, 20]),
        ({"after": "10ms", "until": "30ms"}, 0, [10, 20]),
        ({"ttl": "20ms"}, 10, [10, 20]),
        ({"ttl": "20ms", "until": "25ms"}, 10, [10, 20]),
        ({"ttl": "30ms", "until": "25ms"}, 10, [10, 20]),
        ({"after": "5ms"}, 20, [20, 30, 40]),
    ],
)
def test_it_fires_within_its_time_only(window: dict[str, str], armed_ms: int, seen: list[int]) -> None:
    """``after`` and ``until`` are simulated times, ``ttl`` counts from the arming; the end is not in it."""
    scene = Scene()
    scene.arm(now_ms=armed_ms, **window)
    assert [now for now in range(armed_ms, 50, 10) if scene.fire(now_ms=now)] == seen


def test_a_rolling_fault_begins_and_ends_later_on_each_instance() -> None:
    scene = Scene()
    scene.arm(after="10ms", until="30ms", stagger="20ms")
    seen = {name: [now for now in range(0, 90, 10) if scene.fire(name, now)] for name in NAMES}
    assert seen == {"gpu-1": [10, 20], "gpu-2": [30, 40], "cpu": [50, 60]}


def test_a_fault_ends_by_itself_when_its_time_is_over() -> None:
    """The caller sets its alarm to ``due_ms`` and calls ``expire`` then."""
    scene = Scene()
    scene.arm(id="a", until="30ms")
    scene.arm(id="b", now_ms=5, ttl="10ms")
    scene.arm(id="c")
    assert scene.registry.due_ms == 15
    scene.registry.expire(14)
    assert scene.of(FaultExpired) == []
    scene.registry.expire(15)
    assert scene.registry.due_ms == 30
    scene.registry.expire(40)
    assert scene.of(FaultExpired) == [
        FaultExpired(at_ms=15, id="b", reason="ttl"),
        FaultExpired(at_ms=40, id="a", reason="until"),
    ]
    assert scene.registry.due_ms is None
    assert scene.ids(now_ms=40) == ["c"]


def test_a_rolling_fault_releases_an_instance_when_its_time_there_is_over() -> None:
    """The first instance does not wait for the last one."""
    scene = Scene()
    scene.arm("hold", ttl="30ms", stagger="20ms", on="gpu-*")
    (first,), (second,) = scene.fire("gpu-1", 20), scene.fire("gpu-2", 25)
    assert scene.registry.due_ms == 30
    scene.registry.expire(30)
    assert (first.active, second.active) == (False, True)
    assert scene.registry.due_ms == 50
    scene.registry.expire(50)
    assert not second.active
    assert scene.of(FaultExpired) == [FaultExpired(at_ms=50, id="hold-1", reason="ttl")]


def test_a_spent_fault_lasts_until_its_time_is_over() -> None:
    """One firing is enough to freeze an instance; the ``ttl`` still ends it."""
    scene = Scene()
    scene.arm("hold", times=1, ttl="30ms", on="gpu-1")
    (firing,) = scene.fire(now_ms=10)
    assert (scene.registry.due_ms, firing.active) == (30, True)
    scene.registry.expire(30)
    assert not firing.active
    assert [(event.at_ms, event.reason) for event in scene.events if isinstance(event, FaultExpired)] == [
        (10, "spent"),
        (30, "ttl"),
    ]


# Taking off.


def test_a_removed_fault_fires_no_more_and_releases_its_firings() -> None:
    scene = Scene()
    scene.arm("hold", id="gate")
    (firing,) = scene.fire()
    scene.registry.remove("gate", 9)
    assert (firing.active, scene.fire_faults(3)) == (False, "...")
    assert scene.of(FaultHealed) == [FaultHealed(at_ms=9, id="gate", reason="removed")]
    scene.registry.remove("gate", 10)
    assert len(scene.of(FaultHealed)) == 1


def test_heal_takes_all_off_and_releases_the_firings_of_a_spent_one() -> None:
    """One that is over and does not last is not healed."""
    scene = Scene()
    scene.arm("error", times=1, on="gpu-1", id="over")
    scene.arm("hold", times=1, on="gpu-1")
    scene.arm("error", chance=0.0)
    firings = scene.fire()
    scene.registry.heal(9)
    assert [firing.active for firing in firings if firing.fault.effect.lasts] == [False]
    assert scene.of(FaultHealed) == [
        FaultHealed(at_ms=9, id="hold-1", reason="healed"),
        FaultHealed(at_ms=9, id="error-1", reason="healed"),
    ]
    assert scene.fire_faults(3) == "..."


def test_a_new_process_releases_the_firings_of_the_one_before() -> None:
    scene = Scene()
    scene.arm("hold")
    (here,), (there,) = scene.fire("gpu-1"), scene.fire("gpu-2")
    scene.registry.restarted("gpu-1", 5)
    assert (here.active, there.active) == (False, True)


def test_an_id_is_free_again_when_its_fault_is_over_and_does_not_last() -> None:
    """The new fault is the last in order."""
    scene = Scene()
    scene.arm("hold", id="a", times=1, on="gpu-1")
    scene.arm(id="b")
    scene.fire()
    with pytest.raises(UnknownFault, match=r"^id: 'a' is armed already$"):
        scene.arm(id="a")
    scene.registry.remove("a", 1)
    scene.arm(id="a")
    assert list(scene.registry.armed) == ["b", "a"]
    assert scene.ids() == ["b", "a"]


def test_an_id_that_the_user_chose_is_not_generated_again() -> None:
    scene = Scene()
    scene.arm(id="delay-1")
    assert scene.arm().fault.id == "delay-2"


def test_an_unknown_id_is_refused_with_the_known_ones() -> None:
    scene = Scene()
    with pytest.raises(UnknownFault, match=r"^no fault is called 'x' \(there are: none\)$"):
        scene.registry.remove("x", 0)
    scene.arm(id="a")
    with pytest.raises(UnknownFault, match=r"^no fault is called 'x' \(there are: a\)$"):
        scene.registry.find("x")


@pytest.mark.parametrize("on", ["GPU-1", ["gpu-1", "gpu-9*"]])
def test_a_glob_that_matches_no_instance_is_refused_and_nothing_is_armed(on: Any) -> None:
    """Also if another glob beside it matches one."""
    scene = Scene()
    with pytest.raises(UnknownFault, match=r"^on: '.*' matches no instance \(there are: gpu-1, gpu-2, cpu\)$"):
        scene.arm(on=on)
    assert (scene.events, scene.registry.armed) == ([], {})


# Events.


def test_arming_and_firing_are_published_with_all_facts() -> None:
    scene = Scene()
    scene.arm(on="gpu-*", at={"phase": "node", "job": 2}, times=2, cites="Comfy-Org/ComfyUI#1", now_ms=3)
    scene.fire(now_ms=4, facts=replace(ONE, job=2))
    written = {
        "on": "gpu-*",
        "at": {"phase": "node", "job": 2},
        "times": 2,
        "cites": "Comfy-Org/ComfyUI#1",
        "id": "delay-1",
        "do": "delay",
        "duration": "1000ms",
    }
    assert scene.events == [
        FaultArmed(at_ms=3, id="delay-1", fault=written, on=("gpu-1", "gpu-2")),
        FaultFired(
            at_ms=4, id="delay-1", do="delay", phase="node", prompt_id="p-1", job="cat", client_id="me", node="3"
        ),
    ]


def test_the_faults_that_never_fired_are_listed() -> None:
    scene = Scene()
    scene.arm(id="a")
    scene.arm(id="b", at="step")
    scene.arm(id="c", chance=0.0)
    scene.fire()
    scene.registry.heal(1)
    assert scene.registry.never_fired == ("b", "c")


def test_the_faults_that_were_over_first_are_forgotten_one_day() -> None:
    """A farm that serves tests for days does not become slow; what is armed or lasts stays."""
    scene = Scene()
    scene.arm(id="armed")
    scene.arm("hang", id="lasts", times=1)
    scene.fire()
    for number in range(5 * KEPT_OVER):
        scene.arm(id=f"f{number}")
        scene.registry.remove(f"f{number}", 0)
    known = list(scene.registry.armed)
    assert KEPT_OVER <= len(known) <= 2 * KEPT_OVER + 2
    assert known[:2] == ["armed", "lasts"]
    assert known[-KEPT_OVER:] == [f"f{number}" for number in range(4 * KEPT_OVER, 5 * KEPT_OVER)]


def test_a_process_fault_fires_once_on_each_instance() -> None:
    scene = Scene()
    scene.arm("crash", "process", after="5ms", on="gpu-*", stagger="10ms")
    fired = [(name, now) for now in (0, 5, 6, 15, 16) for name in NAMES if scene.ids(name, now, "process")]
    assert fired == [("gpu-1", 5), ("gpu-2", 15)]


# Filters.


@pytest.mark.parametrize(
    ("at", "matching", "other"),
    [
        (At(phase="request", route="/history*"), PhaseFacts(route="/history/1"), PhaseFacts(route="/queue")),
        (At(phase="request", method="post"), PhaseFacts(method="POST"), PhaseFacts(method="GET")),
        (At(phase="request", size=Size(10)), PhaseFacts(size_bytes=10), PhaseFacts(size_bytes=9)),
        (At(phase="request", client="me"), PhaseFacts(client="me"), PhaseFacts(client="you")),
        (At(phase="request", client="*"), PhaseFacts(client=""), PhaseFacts(client=["hostile"])),
        (At(phase="start", client="[*"), PhaseFacts(client=["hostile"]), PhaseFacts(client={"hostile": 1})),
        (At(phase="start", client="{*"), PhaseFacts(client={"hostile": 1}), PhaseFacts(client="me")),
        (At(phase="node", job=3), PhaseFacts(job=3), PhaseFacts(job=2)),
        (At(phase="node", job="cat*"), PhaseFacts(job=1, job_name="cat-7"), PhaseFacts(job=1, job_name="dog")),
        (At(phase="node", node="3"), PhaseFacts(node="3"), PhaseFacts(node="33")),
        (At(phase="node", node_type="KSampler*"), PhaseFacts(node_types=frozenset({"KSamplerAdvanced"})), PhaseFacts()),
        (At(phase="node", model="*flux*"), PhaseFacts(models=frozenset({"a", "x/flux.sft"})), PhaseFacts()),
        (At(phase="step", step=4), PhaseFacts(step=4), PhaseFacts(step=3)),
        (At(phase="frame", type="binary-*"), PhaseFacts(type="binary-1"), PhaseFacts(type="status")),
        (At(phase="view", file="*.webp"), PhaseFacts(file="a.webp"), PhaseFacts(file="a.png")),
        (At(phase="step", node="3", step=1), PhaseFacts(node="3", step=1), PhaseFacts(node="3", step=2)),
    ],
)
def test_a_phase_matches_if_all_filters_accept_its_facts(at: At, matching: PhaseFacts, other: PhaseFacts) -> None:
    assert (at.matches(matching), at.matches(other)) == (True, False)


# The effects.


def test_no_effect_has_a_key_that_every_fault_has() -> None:
    """It would be read as the key of the rule."""
    taken = {*Rule.__struct_fields__, "do"}
    assert {name: taken & set(kind.__struct_fields__) for name, kind in EFFECTS.items()} == {
        name: set() for name in EFFECTS
    }


def test_each_effect_can_happen_somewhere() -> None:
    assert [name for name, kind in EFFECTS.items() if not kind.phases] == []


@pytest.mark.parametrize("name", sorted(EFFECTS))
def test_an_effect_has_what_its_phases_need(name: str) -> None:
    """It overrides the method of each kind of phase that it names."""
    kind = EFFECTS[name]
    if kind.on_process is not Effect.on_process:
        return
    needed = {"on_job": JOB, "on_exchange": EXCHANGE, "on_frame": ("frame",), "on_process": ("process",)}
    lacking = [
        method
        for method, phases in needed.items()
        if set(phases) & set(kind.phases) and getattr(kind, method) is getattr(Effect, method)
    ]
    assert lacking == []
