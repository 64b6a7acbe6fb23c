"""Faults as values: when one strikes, how often, until when, and what is told of it."""

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
from comfyfarm.faults.registry import FaultRegistry, InstanceFaults, UnknownFault
from comfyfarm.seeds import Seeds
from comfyfarm.units import Size

NAMES = ("gpu-1", "gpu-2", "cpu")
ONE = PhaseFacts(prompt_id="p-1", job_name="cat", client="me", node="3")


class Told:
    """A board, and all that is told of it."""

    def __init__(self, seed: int = 0) -> None:
        self.events: list[Event] = []
        self.registry = FaultRegistry(NAMES, Seeds(seed).of("faults"), self.events.append)

    def arm(self, do: str = "delay", at: Any = "node", now_ms: int = 0, **rest: Any) -> ArmedFault:
        own = {"duration": "1s"} if do == "delay" else {}
        return self.registry.arm(read_fault({"do": do, "at": at, **own, **rest}), now_ms)

    def ask(
        self, name: str = "gpu-1", now_ms: int = 0, phase: Phase = "node", facts: PhaseFacts = ONE
    ) -> list[Firing]:
        return InstanceFaults(self.registry, name, self.events.append).fire(phase, facts, now_ms)

    def ids(self, name: str = "gpu-1", now_ms: int = 0, phase: Phase = "node") -> list[str]:
        return [firing.fault.id for firing in self.ask(name, now_ms, phase)]

    def fire_faults(self, times: int, name: str = "gpu-1") -> str:
        """What so many moments in a row come to: ``x`` for one that is struck."""
        return "".join("x" if self.ask(name) else "." for _ in range(times))

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
def test_of_its_moments_it_strikes_just_those_that_are_written(rule: dict[str, Any], seen: str) -> None:
    """First skip, then every, then chance, then times."""
    told = Told()
    told.arm(**rule)
    assert told.fire_faults(10) == seen


def test_each_instance_counts_for_itself() -> None:
    told = Told()
    armed = told.arm(times=2, on="gpu-*")
    assert (told.fire_faults(3, "gpu-1"), told.fire_faults(3, "gpu-2"), told.fire_faults(3, "cpu")) == (
        "xx.",
        "xx.",
        "...",
    )
    assert armed.fired == {"gpu-1": 2, "gpu-2": 2}


def test_it_is_over_only_when_all_its_instances_have_been_struck() -> None:
    told = Told()
    armed = told.arm(times=1, on=["gpu-1", "cpu"])
    told.ask("gpu-1", 5)
    assert (armed.state, told.of(FaultExpired)) == ("armed", [])
    told.ask("cpu", 7)
    assert armed.state == "expired"
    assert told.of(FaultExpired) == [FaultExpired(at_ms=7, id="delay-1", reason="spent")]


def test_only_what_matches_counts() -> None:
    """Other nodes do not use up what is skipped."""
    told = Told()
    armed = told.arm(at={"phase": "node", "node": "3"}, skip=1, times=1)
    other = PhaseFacts(node="4")
    seen = [bool(told.ask(facts=facts)) for facts in (other, ONE, other, ONE, ONE)]
    assert seen == [False, False, False, True, False]
    assert armed.matched == 2


def test_several_faults_strike_in_the_order_in_which_they_were_armed() -> None:
    told = Told()
    told.arm(id="b")
    told.arm("hang", id="a", times=1)
    told.arm("error", id="c")
    assert told.ids() == ["b", "a", "c"]
    assert told.ids() == ["b", "c"]


def test_a_phase_without_a_fault_is_not_watched() -> None:
    """So that nobody gathers facts for nothing; one that is over is not watched either."""
    told = Told()
    told.arm(on="gpu-1", times=1)
    here, there = (InstanceFaults(told.registry, name, told.events.append) for name in ("gpu-1", "gpu-2"))
    assert (here.watches("node"), here.watches("start"), there.watches("node")) == (True, False, False)
    told.ask()
    assert not here.watches("node")


# Chance.


def shares(seed: int, *more: str) -> list[str]:
    told = Told(seed)
    for do in more:
        told.arm(do, chance=0.5)
    told.arm("error", chance=0.3)
    return [("x" if "error-1" in told.ids() else ".") for _ in range(200)]


def test_chance_is_a_share_and_the_same_for_the_same_seed() -> None:
    assert shares(1) == shares(1)
    assert shares(1) != shares(2)
    assert 35 <= shares(1).count("x") <= 85


def test_another_fault_shifts_nobodys_draws_and_nobodys_name() -> None:
    """Names count for each kind of effect, and each name has its own stream."""
    assert shares(1) == shares(1, "delay", "hang", "oom")


def test_one_instances_moments_do_not_shift_anothers_draws() -> None:
    alone, together = Told(3), Told(3)
    for told in (alone, together):
        told.arm(chance=0.5)
    expected = alone.fire_faults(100, "gpu-2")
    seen = ""
    for _ in range(100):
        together.ask("gpu-1")
        seen += together.fire_faults(1, "gpu-2")
    assert seen == expected


def test_what_an_effect_draws_is_its_own_and_the_same_each_time() -> None:
    def drawn() -> list[float]:
        told = Told(5)
        told.arm()
        return [told.ask()[0].chance.random() for _ in range(5)]

    assert drawn() == drawn()
    assert len(set(drawn())) == 5


# Sticky.


def test_a_sticky_one_goes_on_until_the_process_is_started_anew() -> None:
    """With times = 1 it is over then; the other instance is still poisoned."""
    told = Told()
    armed = told.arm("error", times=1, sticky=True, on="gpu-*")
    assert (told.fire_faults(4, "gpu-1"), told.fire_faults(4, "gpu-2")) == ("xxxx", "xxxx")
    told.registry.restarted("gpu-1", 50)
    assert (told.fire_faults(4, "gpu-1"), told.fire_faults(4, "gpu-2")) == ("....", "xxxx")
    assert (armed.state, told.of(FaultExpired)) == ("armed", [])
    told.registry.restarted("gpu-2", 60)
    assert told.of(FaultExpired) == [FaultExpired(at_ms=60, id="error-1", reason="spent")]


def test_a_sticky_one_may_strike_again_after_a_restart_where_it_has_times_left() -> None:
    told = Told()
    told.arm("error", sticky=True, skip=1)
    assert told.fire_faults(3) == ".xx"
    told.registry.restarted("gpu-1", 0)
    assert told.fire_faults(1) == "x"


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
def test_it_strikes_within_its_time_only(window: dict[str, str], armed_ms: int, seen: list[int]) -> None:
    """``after`` and ``until`` are simulated moments, ``ttl`` counts from the arming; the end is not in it."""
    told = Told()
    told.arm(now_ms=armed_ms, **window)
    assert [now for now in range(armed_ms, 50, 10) if told.ask(now_ms=now)] == seen


def test_a_rolling_fault_comes_to_each_instance_later_and_leaves_it_later() -> None:
    told = Told()
    told.arm(after="10ms", until="30ms", stagger="20ms")
    seen = {name: [now for now in range(0, 90, 10) if told.ask(name, now)] for name in NAMES}
    assert seen == {"gpu-1": [10, 20], "gpu-2": [30, 40], "cpu": [50, 60]}


def test_a_fault_ends_by_itself_when_its_time_is_over() -> None:
    """Whoever has an alarm asks ``due_ms`` and calls ``expire`` then."""
    told = Told()
    told.arm(id="a", until="30ms")
    told.arm(id="b", now_ms=5, ttl="10ms")
    told.arm(id="c")
    assert told.registry.due_ms == 15
    told.registry.expire(14)
    assert told.of(FaultExpired) == []
    told.registry.expire(15)
    assert told.registry.due_ms == 30
    told.registry.expire(40)
    assert told.of(FaultExpired) == [
        FaultExpired(at_ms=15, id="b", reason="ttl"),
        FaultExpired(at_ms=40, id="a", reason="until"),
    ]
    assert told.registry.due_ms is None
    assert told.ids(now_ms=40) == ["c"]


def test_what_a_rolling_fault_holds_goes_on_where_its_time_is_over() -> None:
    """The first instance does not wait for the last one."""
    told = Told()
    told.arm("hold", ttl="30ms", stagger="20ms", on="gpu-*")
    (first,), (second,) = told.ask("gpu-1", 20), told.ask("gpu-2", 25)
    assert told.registry.due_ms == 30
    told.registry.expire(30)
    assert (first.active, second.active) == (False, True)
    assert told.registry.due_ms == 50
    told.registry.expire(50)
    assert not second.active
    assert told.of(FaultExpired) == [FaultExpired(at_ms=50, id="hold-1", reason="ttl")]


def test_what_is_spent_holds_on_until_its_time_is_over() -> None:
    """One strike is enough to freeze an instance; the ``ttl`` still ends it."""
    told = Told()
    told.arm("hold", times=1, ttl="30ms", on="gpu-1")
    (firing,) = told.ask(now_ms=10)
    assert (told.registry.due_ms, firing.active) == (30, True)
    told.registry.expire(30)
    assert not firing.active
    assert [(event.at_ms, event.reason) for event in told.events if isinstance(event, FaultExpired)] == [
        (10, "spent"),
        (30, "ttl"),
    ]


# Taking off.


def test_a_removed_fault_strikes_no_more_and_lets_go() -> None:
    told = Told()
    told.arm("hold", id="gate")
    (firing,) = told.ask()
    told.registry.remove("gate", 9)
    assert (firing.active, told.fire_faults(3)) == (False, "...")
    assert told.of(FaultHealed) == [FaultHealed(at_ms=9, id="gate", reason="removed")]
    told.registry.remove("gate", 10)
    assert len(told.of(FaultHealed)) == 1


def test_heal_takes_all_off_and_lets_go_what_was_held_by_a_spent_one() -> None:
    """One that is over and holds nothing is not healed."""
    told = Told()
    told.arm("error", times=1, on="gpu-1", id="over")
    told.arm("hold", times=1, on="gpu-1")
    told.arm("error", chance=0.0)
    firings = told.ask()
    told.registry.heal(9)
    assert [firing.active for firing in firings if firing.fault.effect.lasts] == [False]
    assert told.of(FaultHealed) == [
        FaultHealed(at_ms=9, id="hold-1", reason="healed"),
        FaultHealed(at_ms=9, id="error-1", reason="healed"),
    ]
    assert told.fire_faults(3) == "..."


def test_a_new_process_holds_nothing_of_the_one_before() -> None:
    told = Told()
    told.arm("hold")
    (here,), (there,) = told.ask("gpu-1"), told.ask("gpu-2")
    told.registry.restarted("gpu-1", 5)
    assert (here.active, there.active) == (False, True)


def test_a_name_is_free_again_when_its_fault_is_over_and_holds_nothing() -> None:
    """And the new one stands last."""
    told = Told()
    told.arm("hold", id="a", times=1, on="gpu-1")
    told.arm(id="b")
    told.ask()
    with pytest.raises(UnknownFault, match=r"^id: 'a' is armed already$"):
        told.arm(id="a")
    told.registry.remove("a", 1)
    told.arm(id="a")
    assert list(told.registry.armed) == ["b", "a"]
    assert told.ids() == ["b", "a"]


def test_a_name_that_somebody_has_given_is_not_given_again() -> None:
    told = Told()
    told.arm(id="delay-1")
    assert told.arm().fault.id == "delay-2"


def test_an_unknown_one_is_named_with_those_that_there_are() -> None:
    told = Told()
    with pytest.raises(UnknownFault, match=r"^no fault is called 'x' \(there are: none\)$"):
        told.registry.remove("x", 0)
    told.arm(id="a")
    with pytest.raises(UnknownFault, match=r"^no fault is called 'x' \(there are: a\)$"):
        told.registry.find("x")


@pytest.mark.parametrize("on", ["GPU-1", ["gpu-1", "gpu-9*"]])
def test_a_glob_that_means_no_instance_is_refused_and_nothing_is_armed(on: Any) -> None:
    """Also where others beside it mean some."""
    told = Told()
    with pytest.raises(UnknownFault, match=r"^on: '.*' matches no instance \(there are: gpu-1, gpu-2, cpu\)$"):
        told.arm(on=on)
    assert (told.events, told.registry.armed) == ([], {})


# What is told.


def test_arming_and_striking_are_told_with_all_that_is_known() -> None:
    told = Told()
    told.arm(on="gpu-*", at={"phase": "node", "job": 2}, times=2, cites="Comfy-Org/ComfyUI#1", now_ms=3)
    told.ask(now_ms=4, facts=replace(ONE, job=2))
    written = {
        "on": "gpu-*",
        "at": {"phase": "node", "job": 2},
        "times": 2,
        "cites": "Comfy-Org/ComfyUI#1",
        "id": "delay-1",
        "do": "delay",
        "duration": "1000ms",
    }
    assert told.events == [
        FaultArmed(at_ms=3, id="delay-1", fault=written, on=("gpu-1", "gpu-2")),
        FaultFired(
            at_ms=4, id="delay-1", do="delay", phase="node", prompt_id="p-1", job="cat", client_id="me", node="3"
        ),
    ]


def test_those_that_never_struck_are_known_at_the_end() -> None:
    told = Told()
    told.arm(id="a")
    told.arm(id="b", at="step")
    told.arm(id="c", chance=0.0)
    told.ask()
    told.registry.heal(1)
    assert told.registry.never_fired == ("b", "c")


def test_a_process_fault_strikes_each_process_once_whoever_asks() -> None:
    told = Told()
    told.arm("crash", "process", after="5ms", on="gpu-*", stagger="10ms")
    asked = [(name, now) for now in (0, 5, 6, 15, 16) for name in NAMES if told.ids(name, now, "process")]
    assert asked == [("gpu-1", 5), ("gpu-2", 15)]


# What narrows.


@pytest.mark.parametrize(
    ("at", "matching", "other"),
    [
        (At(phase="request", route="/history*"), PhaseFacts(route="/history/1"), PhaseFacts(route="/queue")),
        (At(phase="request", method="post"), PhaseFacts(method="POST"), PhaseFacts(method="GET")),
        (At(phase="request", size=Size(10)), PhaseFacts(size_bytes=10), PhaseFacts(size_bytes=9)),
        (At(phase="request", client="me"), PhaseFacts(client="me"), PhaseFacts(client="you")),
        (At(phase="request", client="*"), PhaseFacts(client=""), PhaseFacts(client=["hostile"])),
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
def test_a_moment_is_meant_where_all_that_is_given_fits(at: At, matching: PhaseFacts, other: PhaseFacts) -> None:
    assert (at.matches(matching), at.matches(other)) == (True, False)


# The house of effects.


def test_no_effect_has_a_key_that_every_fault_has() -> None:
    """It would be read as the fault's."""
    taken = {*Rule.__struct_fields__, "do"}
    assert {name: taken & set(kind.__struct_fields__) for name, kind in EFFECTS.items()} == {
        name: set() for name in EFFECTS
    }


def test_each_effect_can_happen_somewhere() -> None:
    assert [name for name, kind in EFFECTS.items() if not kind.phases] == []


@pytest.mark.parametrize("name", sorted(EFFECTS))
def test_an_effect_has_what_its_phases_need(name: str) -> None:
    """A method of its own for each kind of moment that it names."""
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
