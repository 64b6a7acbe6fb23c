"""Moving a farm's clock through the control server, and through the fixtures."""

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock

from comfyfarm.events import ClockChanged, ClockMoved, Event
from comfyfarm.events.log import Log
from comfyfarm.server.time.clock import EPOCH_UNIX_MS, SimulatedTime, VirtualClock
from comfyfarm.server.time.clock_control import ClockControl, WrongClock
from comfyfarm.testing import MemoryFarm
from comfyfarm.workflows import text_to_image

Start = Callable[[Any], MemoryFarm]
SLOW = {"instance": [{"name": "gpu", "mode": "dynamic", "timing": {"step": "60s"}}]}


def post(farm: MemoryFarm, name: str = "gpu", steps: int = 20) -> str:
    body = {"prompt": text_to_image(steps=steps), "client_id": "me"}
    return str(farm[name].ask("POST", "/prompt", json=body).json()["prompt_id"])


def test_advance_answers_when_all_that_was_due_has_happened(memory_farm: Start) -> None:
    """The history is there, the file is written, and the client has heard of it."""
    farm = memory_farm(SLOW)
    listener = farm["gpu"].listen("me")
    prompt_id = post(farm)
    answer = farm.control("POST", "/api/clock", json={"advance": "21min"})
    assert answer.status == 200
    assert answer.json()["at_ms"] == 21 * 60_000
    entry = farm["gpu"].ask("GET", "/history").json()[prompt_id]
    (picture,) = entry["outputs"]["9"]["images"]
    assert (farm.farm.backends["gpu"].disk.output_dir / picture["filename"]).is_file()
    assert listener.heard[-1]["data"] == {"node": None, "prompt_id": prompt_id}


def test_what_is_due_after_several_advances_has_happened(memory_farm: Start) -> None:
    """Although 0.03 + 0.301 is a hair less than 0.331, when the job ends."""
    farm = memory_farm({"instance": [{"name": "gpu"}]})
    listener = farm["gpu"].listen("me")
    prompt_id = post(farm)
    farm.advance("30ms")
    farm.advance("301ms")
    assert listener.heard[-1]["data"] == {"node": None, "prompt_id": prompt_id}


def test_time_stands_still_until_it_is_moved(memory_farm: Start) -> None:
    """Clients see a fixed epoch, and what is due next is told."""
    farm = memory_farm(SLOW)
    post(farm)
    state = farm.control("GET", "/api/clock").json()
    assert state == {
        "clock": "virtual",
        "at_ms": 0,
        "unix_ms": EPOCH_UNIX_MS,
        "speed": 0,
        "frozen": False,
        "auto": False,
        "next_ms": 3,
    }


def test_a_farm_runs_until_it_is_idle_and_no_longer(memory_farm: Start) -> None:
    """The clock stands where the last thing happened."""
    farm = memory_farm(SLOW)
    post(farm)
    end_ms = farm.run_until_idle()
    assert end_ms == 20 * 60_000 + 31
    state = farm.control("POST", "/api/clock", json={"run_until_idle": True}).json()
    assert (state["at_ms"], state["next_ms"]) == (end_ms, None)


def test_a_limit_ends_a_run_that_never_becomes_idle(memory_farm: Start) -> None:
    """The answer names what is due next; the fixture raises."""
    farm = memory_farm(SLOW)
    post(farm)
    state = farm.control("POST", "/api/clock", json={"run_until_idle": True, "limit": "10min"}).json()
    assert state["at_ms"] == 600_000
    assert state["next_ms"] == 600_015
    with pytest.raises(TimeoutError, match="next thing is due at 600015 ms"):
        farm.run_until_idle("0s")


def test_every_move_is_an_event(memory_farm: Start) -> None:
    """With where it began; what happened on the way stands before it."""
    farm = memory_farm(SLOW)
    farm.advance(10)
    farm.control("POST", "/api/clock", json={"advance": "5s"})
    moves = [(event.from_ms, event.at_ms, event.asked) for event in farm.farm.log.of(ClockMoved)]
    assert moves == [(0, 10_000, "advance"), (10_000, 15_000, "advance")]


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({}, 422, "exactly one of advance, run_until_idle, auto, speed/freeze"),
        ({"advance": "-5s"}, 422, "advance: expected a duration such as"),
        ({"advance": 5}, 422, "advance: expected a duration such as"),
        ({"advance": "9000h"}, 422, "advance: expected at most a year"),
        ({"advance": "1s", "auto": True}, 422, "got advance and auto"),
        ({"run_until_idle": True, "limit": "9000h"}, 422, "limit: expected at most a year"),
        ({"advance": "1s", "limit": "1h"}, 422, "limit: belongs to run_until_idle"),
        ({"advance": "1s", "quiet": "1ms"}, 422, "quiet: belongs to auto"),
        ({"speed": 0}, 422, "speed: expected"),
        ({"speed": 2}, 409, "clock is virtual"),
        ({"freeze": True}, 409, "clock is virtual"),
        ({"forward": "1s"}, 422, "forward: unknown key (there are: advance,"),
    ],
)
def test_what_a_clock_does_not_take_is_refused_and_nothing_moves(
    memory_farm: Start, body: dict[str, Any], status: int, said: str
) -> None:
    farm = memory_farm(SLOW)
    answer = farm.control("POST", "/api/clock", json=body)
    assert answer.status == status
    assert said in answer.json()["error"]
    assert farm.control("GET", "/api/clock").json()["at_ms"] == 0
    assert not list(farm.farm.log.of(ClockMoved))


def clock_control(clock: Clock, reactor: MemoryReactorClock) -> ClockControl:
    return ClockControl(reactor, clock, SimulatedTime(clock), Log(), lambda: None, lambda: False)


async def _moved(clock_control: ClockControl) -> None:
    await clock_control.advance(1)


def test_a_real_clock_cannot_be_moved_but_changes_its_speed() -> None:
    """And can be frozen; both are events."""
    clock = Clock()
    real = clock_control(clock, MemoryReactorClock())
    with pytest.raises(WrongClock, match="clock is real"):
        _moved(real).send(None)
    with pytest.raises(WrongClock, match="clock is real"):
        real.set_auto(5)
    real.change(speed=20)
    clock.advance(1)
    real.change(is_frozen=True)
    clock.advance(1)
    assert real.time.now_ms() == 20_000
    changes = [(event.speed, event.is_frozen) for event in real.log.of(ClockChanged)]
    assert changes == [(20, False), (20, True)]


def test_an_automatic_clock_jumps_when_the_sockets_were_quiet() -> None:
    """From one due moment to the next; whoever says something puts it off; it sleeps while nothing is due."""
    clock, reactor, rang = VirtualClock(), MemoryReactorClock(), []
    moving = clock_control(clock, reactor)
    for seconds in (60, 60, 3600):
        clock.callLater(seconds, lambda: rang.append(clock.seconds()))
    moving.set_auto(5)
    reactor.advance(0.004)
    moving.on_traffic()
    reactor.advance(0.004)
    assert rang == []
    reactor.advance(0.001)
    assert rang == [60, 60]
    reactor.advance(0.005)
    assert rang == [60, 60, 3600]
    reactor.advance(0.005)
    assert not reactor.getDelayedCalls()
    clock.callLater(1, lambda: rang.append(clock.seconds()))
    moving.nudge()
    reactor.advance(0.005)
    assert rang[-1] == 3601
    moving.stop()


def test_an_automatic_clock_wakes_for_whoever_waits_on_it() -> None:
    """Software under test that waits on the farm's clock, too, need not say so; once stopped it wakes no more."""
    clock, reactor, rang = VirtualClock(), MemoryReactorClock(), []
    moving = clock_control(clock, reactor)
    moving.set_auto(5)
    reactor.advance(0.005)
    assert not reactor.getDelayedCalls()
    clock.callLater(1, lambda: rang.append(clock.seconds()))
    reactor.advance(0.005)
    assert rang == [1]
    moving.stop()
    clock.callLater(1, lambda: rang.append(clock.seconds()))
    assert not reactor.getDelayedCalls()


def test_an_automatic_clock_waits_for_what_a_client_here_has_under_way() -> None:
    """However late the reactor is, what lies in a socket is read before the clock jumps."""
    clock, reactor, rang = VirtualClock(), MemoryReactorClock(), []
    moving = clock_control(clock, reactor)
    clock.callLater(60, lambda: rang.append(clock.seconds()))
    moving.set_auto(5)
    reactor.callLater(0.005, moving.on_traffic)
    reactor.advance(0.005)
    assert rang == []
    reactor.advance(0.005)
    assert rang == [60]
    moving.stop()


def test_a_long_move_lets_the_reactor_have_its_turns() -> None:
    """Clients that read are served on the way; one that does not holds nothing up."""
    clock, reactor = VirtualClock(), MemoryReactorClock()
    moving = ClockControl(reactor, clock, SimulatedTime(clock), Log(), lambda: None, lambda: True)
    ended: list[Event] = []
    moving.log.listen(ended.append)
    clock.callLater(1, reactor.advance, 0.03)       # something that takes its time
    clock.callLater(2, lambda: None)
    from twisted.internet.defer import Deferred

    Deferred.fromCoroutine(moving.advance(10))
    assert ended == []
    for _ in range(16):
        reactor.advance(0)
    assert [event.at_ms for event in ended] == [10_000]
