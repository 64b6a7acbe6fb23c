"""A story that pauses, told in simulated time."""

from random import Random

from twisted.internet.task import Clock

from comfyfarm.config.fault_tables import read_fault
from comfyfarm.faults.fault import Firing
from comfyfarm.faults.pauses import WAIT, Sleep, Steps
from comfyfarm.faults.phases import PhaseFacts
from comfyfarm.server.time.clock import SimulatedTime
from comfyfarm.server.time.task import SimTask


def telling_of(story: Steps, clock: Clock, ends: list[int]) -> SimTask:
    time = SimulatedTime(clock)
    return SimTask(clock, time, story, lambda: ends.append(time.now_ms()), lambda _: None)


def test_a_story_goes_on_when_its_time_has_passed_or_somebody_wakes_it() -> None:
    """A pause of a set length is not cut short by that."""
    clock, ends, open_now = Clock(), list[int](), list[bool]()

    def story() -> Steps:
        yield 1000
        while not open_now:
            yield WAIT

    telling = telling_of(story(), clock, ends)
    telling.resume()
    open_now.append(True)
    telling.wake()
    assert ends == []
    clock.advance(1)
    assert ends == [1000]


def test_a_rest_is_cut_short_when_its_strike_is_let_go_and_not_before() -> None:
    clock, ends = Clock(), list[int]()
    fault = read_fault({"at": "reply", "do": "delay", "duration": "1h"})
    firing = Firing(fault, "gpu-1", 0, PhaseFacts(), Random(0))
    telling = telling_of(iter([Sleep(3_600_000, firing)]), clock, ends)
    telling.resume()
    clock.advance(1)
    telling.wake()
    assert ends == []
    firing.active = False
    telling.wake()
    assert ends == [1000]
    assert clock.getDelayedCalls() == []


def test_a_story_may_wake_itself() -> None:
    """What it does may change something, of which all are told."""
    clock, ends = Clock(), list[int]()

    def story() -> Steps:
        telling.wake()
        yield 500

    telling = telling_of(story(), clock, ends)
    telling.resume()
    clock.advance(0.5)
    assert ends == [500]


def test_a_story_may_be_the_end_of_itself() -> None:
    """Nothing more is told of it, and nothing is left on the clock."""
    clock, ends = Clock(), list[int]()

    def story() -> Steps:
        telling.stop()
        yield 500

    telling = telling_of(story(), clock, ends)
    telling.resume()
    assert clock.getDelayedCalls() == []
    telling.wake()
    assert ends == []
