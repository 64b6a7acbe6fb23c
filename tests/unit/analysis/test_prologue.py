"""The state of a farm at the beginning of a trial: the few events that determine it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from comfyfarm import events
from comfyfarm.analysis.instances import FleetState
from comfyfarm.analysis.job_tracker import JobTracker
from comfyfarm.analysis.listeners_elsewhere import ListenerTracker
from comfyfarm.analysis.prologue import Prologue
from comfyfarm.events import Event, Work
from tests.support import logs
from tests.support.logs import Piece, crashed, farm, finished, log, ran, ready, showed, submitted, taken

EVENTFUL: list[Piece] = [
    farm({"name": "a", "warm": ["w"]}, "b"),
    logs.set_to("a", at=1, vram="8GB"),
    logs.loaded("a", "w", at=2),
    logs.loaded("a", "m", at=3, job="j1"),
    logs.loaded("a", "n", at=3, job="j1"),
    logs.unloaded("a", "n", at=4),
    logs.socket_opened(on="a", at=5),
    logs.socket_opened(on="a", at=6),
    logs.socket_opened("d", on="a", at=6),
    logs.socket_closed("d", on="a", at=7),
    logs.socket_closed(on="a", at=7),
    showed(3, on="a", at=8, to=("c", "d")),
    logs.fired("f", on="a", at=9, do="mute", client_id="c"),
    logs.frozen("a", at=10),
    logs.thawed("a", at=11),
    logs.refusing("b", at=12),
    logs.draining("a", at=13),
    logs.asked("/queue", on="b", at=14, status=503),
    ran("j2", on="a", at=15, until=16, work=Work(models=(("checkpoints", "m", 1),))),
    submitted("j1", on="a", at=17),
    taken("j1", on="a", at=18),
    submitted("j3", on="a", at=19),
    events.Paused(at_ms=20, instance="b", epoch=1),
    logs.healed(at=21),
    crashed("b", at=22),
    ready("b", at=23, epoch=2),
    logs.frozen("b", at=24),
    logs.reset("a", at=25),
    logs.healed(at=26),
]


def prologue_of(whole: Sequence[Event], at_ms: int = 0) -> list[Event]:
    prologue = Prologue()
    for event in whole:
        prologue.on_event(event)
    return prologue.events(at_ms)


def fleet_after(whole: Sequence[Event]) -> list[object]:
    fleet, tracker = FleetState(), JobTracker()
    listeners = ListenerTracker(tracker)
    for event in whole:
        tracker.on_event(event)
        fleet.on_event(event)
        listeners.on_event(event)
    members = [
        (
            *(member.name, member.settings, member.epoch, member.is_up, member.is_frozen, member.is_refusing),
            *(member.is_draining, member.is_paused, member.failures > 0, set(member.models), member.accepts_jobs),
            {client: member.shown[client].remaining for client in listeners._sockets if client in member.shown},
        )
        for member in fleet.members.values()
    ]
    running = {name: jobs.running.prompt_id for name, jobs in tracker.instances.items() if jobs.running}
    waiting = {name: [attempt.prompt_id for attempt in tracker.instances[name].all_open()] for name in fleet.members}
    open_sockets = {
        (client, name): sockets.number for client, held in listeners._sockets.items() for name, sockets in held.items()
    }
    silent = {place for place in listeners._silent if place in open_sockets}
    return [members, fleet.seed, fleet.undisturbed_heal, running, waiting, open_sockets, silent]


@pytest.mark.parametrize("length", range(2, len(log(*EVENTFUL)) + 1))
def test_after_any_event_the_kept_ones_give_the_same_state(length: int) -> None:
    before = log(*EVENTFUL)[:length]
    assert fleet_after(prologue_of(before)) == fleet_after(before)


def test_the_kept_events_do_not_grow_with_the_log() -> None:
    few, many = (
        log(farm("a"), [[ran(f"j{at}", on="a", at=at, until=at), showed(0, on="a", at=at)] for at in range(count)])
        for count in (5, 500)
    )
    assert len(prologue_of(many)) == len(prologue_of(few)) < 5


def test_a_copy_stays_as_it_was() -> None:
    prologue = Prologue()
    *before, later = log(farm("a"), showed(3, on="a", at=1), showed(0, on="a", at=2))
    for event in before:
        prologue.on_event(event)
    copied = prologue.copy()
    prologue.on_event(later)
    assert (copied.events(0), prologue.events(0)) == (before, [*before[:-1], later])


def test_a_job_that_still_runs_has_the_time_of_the_beginning() -> None:
    """So that a timeline, and the time that an instance was busy, begin with the trial."""
    kept = prologue_of(log(farm("a"), submitted("j", on="a", at=5), taken("j", on="a", at=6)), at_ms=50)
    assert [(type(event).__name__, event.at_ms) for event in kept] == [
        ("Configured", 0), ("ServerReady", 0), ("Submitted", 50), ("Taken", 50),
    ]


def test_of_several_jobs_with_one_prompt_id_each_end_ends_one() -> None:
    twins = [submitted("j", on="a", at=at) for at in (1, 2)]
    kept = prologue_of(log(farm("a"), twins, taken("j", on="a", at=3), finished("j", on="a", at=4)))
    assert [event.at_ms for event in kept if isinstance(event, events.Submitted)] == [0]


def test_a_fault_matters_as_long_as_it_is_armed_and_has_not_fired() -> None:
    armed = [logs.armed(name, on="a") for name in ("fired", "over", "gone", "left")]
    ends = [
        logs.fired("fired", on="a", at=1),
        events.FaultExpired(at_ms=2, id="over", reason="ttl"),
        events.FaultHealed(at_ms=3, id="gone", reason="removed"),
    ]
    kept = prologue_of(log(farm("a"), armed, ends))
    assert [event.id for event in kept if isinstance(event, events.FaultArmed)] == ["left"]
