"""A reactor that follows a monotonic clock goes on when the wall clock is set."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from twisted.internet.base import ReactorBase

from comfyfarm.events import Finished
from comfyfarm.server.time.clock import SimulatedTime
from comfyfarm.server.time.driver import InstanceDriver
from comfyfarm.server.time.monotonic import use_monotonic_clock
from tests.support.instance_story import picture, tell


class QuietReactor(ReactorBase):
    """Twisted's timers without sockets."""

    def installWaker(self) -> None:
        pass


@dataclass
class Machine:
    """A machine with two clocks and a reactor that reads the wall clock, as Twisted's do."""

    wall_s: float = 1_700_000_000.0
    monotonic_s: float = 5_000.0
    reactor: Any = field(default_factory=QuietReactor)

    def __post_init__(self) -> None:
        self.reactor.seconds = lambda: self.wall_s

    def use_monotonic_clock(self) -> None:
        use_monotonic_clock(self.reactor, lambda: self.monotonic_s)

    def pass_s(self, seconds: float) -> None:
        for _ in range(100):
            self.wall_s += seconds / 100
            self.monotonic_s += seconds / 100
            self.reactor.runUntilCurrent()


@pytest.mark.parametrize("jump_s", [-3600, 3600])
def test_a_job_runs_on_when_the_wall_clock_jumps(jump_s: int) -> None:
    """By an hour, back or ahead: it neither stands still nor ends too early, and no time is negative."""
    machine = Machine()
    machine.use_monotonic_clock()
    story = tell()
    time = SimulatedTime(machine.reactor)
    driver = InstanceDriver(time, story.instance)
    driver.start()
    story.post(picture())
    driver.set_alarm()
    machine.pass_s(0.01)
    machine.wall_s += jump_s
    machine.pass_s(0.004)
    assert story.of(Finished) == []
    machine.pass_s(0.01)
    assert [event.at_ms for event in story.of(Finished)] == [16]
    assert time.now_ms() == 24


def test_what_was_scheduled_before_stays_due() -> None:
    """Of a reactor of somebody else's, such as that of a test."""
    machine, rang = Machine(), list[str]()
    machine.reactor.callLater(2, rang.append, "before")
    machine.use_monotonic_clock()
    machine.use_monotonic_clock()      # a second farm on the same reactor
    machine.reactor.callLater(1, rang.append, "after")
    machine.wall_s -= 3600
    machine.pass_s(1.5)
    assert rang == ["after"]
    machine.pass_s(1)
    assert rang == ["after", "before"]
