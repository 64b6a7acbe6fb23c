"""A task: steps that pause, run in simulated time."""

from random import Random

from twisted.internet.task import Clock

from comfyfarm.config.fault_tables import read_fault
from comfyfarm.faults.fault import Firing
from comfyfarm.faults.pauses import WAIT, Sleep, Steps
from comfyfarm.faults.phases import PhaseFacts
from comfyfarm.server.time.clock import SimulatedTime
from comfyfarm.server.time.task import SimTask


def task_of(steps: Steps, clock: Clock, ends: list[int]) -> SimTask:
    time = SimulatedTime(clock)
    return SimTask(time, steps, lambda: ends.append(time.now_ms()), lambda _: None)


def test_a_task_is_resumed_when_its_time_has_passed_or_it_is_woken() -> None:
    """A wake-up does not cut a pause of a set length short."""
    clock, ends, is_open = Clock(), list[int](), list[bool]()

    def steps() -> Steps:
        yield 1000
        while not is_open:
            yield WAIT

    task = task_of(steps(), clock, ends)
    task.resume()
    is_open.append(True)
    task.wake()
    assert ends == []
    clock.advance(1)
    assert ends == [1000]


def test_a_sleep_ends_early_when_its_firing_is_released_and_not_before() -> None:
    clock, ends = Clock(), list[int]()
    fault = read_fault({"at": "reply", "do": "delay", "duration": "1h"})
    firing = Firing(fault, "gpu-1", 0, PhaseFacts(), Random(0))
    task = task_of(iter([Sleep(3_600_000, firing)]), clock, ends)
    task.resume()
    clock.advance(1)
    task.wake()
    assert ends == []
    firing.active = False
    task.wake()
    assert ends == [1000]
    assert clock.getDelayedCalls() == []


def test_a_step_may_wake_its_own_task() -> None:
    """A step may change something after which all tasks are woken."""
    clock, ends = Clock(), list[int]()

    def steps() -> Steps:
        task.wake()
        yield 500

    task = task_of(steps(), clock, ends)
    task.resume()
    clock.advance(0.5)
    assert ends == [500]


def test_a_step_may_stop_its_own_task() -> None:
    """No further step is taken, and nothing is left on the clock."""
    clock, ends = Clock(), list[int]()

    def steps() -> Steps:
        task.stop()
        yield 500

    task = task_of(steps(), clock, ends)
    task.resume()
    assert clock.getDelayedCalls() == []
    task.wake()
    assert ends == []
