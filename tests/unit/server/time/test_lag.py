"""The gauge of the farm's own lateness, and the events that say that it distorts simulated time."""

from dataclasses import dataclass, field
from itertools import pairwise

from twisted.internet.task import Clock

from comfyfarm.events import FarmLate, WallClockJumped
from comfyfarm.events.log import Log
from comfyfarm.server.time.clock import Alarm, SimulatedTime, VirtualClock
from comfyfarm.server.time.lag import LagGauge


@dataclass
class Gauged:
    """A gauge on a clock whose reactor is held up by a test.

    :ivar wall_ahead_s: what the wall clock has been set ahead by.
    """

    speed: float = 1.0
    clock: Clock = field(default_factory=Clock)
    log: Log = field(default_factory=Log)
    wall_ahead_s: float = 1_700_000_000.0

    def __post_init__(self) -> None:
        self.time = SimulatedTime(self.clock, self.speed)
        self.gauge = LagGauge(self.time, self.log, lambda: self.clock.seconds() + self.wall_ahead_s)

    def hold_up(self, seconds: float) -> None:
        """Let time pass without a turn of the reactor, and then the turn."""
        self.clock.rightNow += seconds
        self.clock.advance(0)

    def late(self) -> list[tuple[int, int, int]]:
        return [(event.since_ms, event.at_ms, event.late_ms) for event in self.log.of(FarmLate)]


def test_an_alarm_that_rings_late_says_how_late_the_farm_was() -> None:
    gauged, rang = Gauged(), list[int]()
    Alarm(gauged.time, lambda: rang.append(gauged.time.now_ms())).set(1000)
    gauged.clock.advance(0.5)
    gauged.hold_up(5.5)
    assert rang == [6000]
    assert gauged.late() == [(1000, 6000, 5000)]
    assert (gauged.gauge.lag_ms, gauged.gauge.max_lag_ms) == (5000, 5000)


def test_a_client_that_waits_for_a_busy_farm_is_noticed_without_an_alarm() -> None:
    """Its request sets a probe, which shows the long turn that it or another one takes."""
    gauged = Gauged()
    gauged.gauge.on_traffic()
    gauged.hold_up(3)
    assert gauged.late() == [(20, 3000, 2980)]


def test_a_quiet_farm_sets_no_timer() -> None:
    """The probe rings once after traffic, and the latest lateness is the one that is shown."""
    gauged = Gauged()
    assert gauged.clock.getDelayedCalls() == []
    gauged.gauge.on_traffic()
    gauged.hold_up(3)
    gauged.gauge.on_traffic()
    for _ in range(100):
        gauged.clock.advance(0.02)
    assert gauged.clock.getDelayedCalls() == []
    assert (gauged.gauge.lag_ms, gauged.gauge.max_lag_ms) == (0, 2980)


def test_what_any_machine_has_is_no_lateness() -> None:
    gauged = Gauged()
    for _ in range(100):
        gauged.gauge.on_traffic()
        gauged.hold_up(0.06)
    assert gauged.late() == []
    assert gauged.gauge.lag_ms == 40


def test_on_a_fast_clock_a_short_turn_is_long_in_simulated_time() -> None:
    """But no less than a hundredth of a real second counts, or the log would hold little else."""
    gauged = Gauged(speed=100)
    Alarm(gauged.time, lambda: None).set(1000)
    gauged.clock.advance(0.005)
    gauged.hold_up(0.025)
    assert gauged.late() == [(1000, 3000, 2000)]
    gauged.clock.advance(2)
    Alarm(gauged.time, lambda: None).set(gauged.time.now_ms() + 100)
    gauged.hold_up(0.009)
    gauged.gauge.publish()
    assert len(gauged.late()) == 1


def test_a_farm_that_is_always_late_says_so_once_a_second() -> None:
    """An event has the whole time since the one before, and the most of it."""
    gauged = Gauged()
    for number in range(50):
        gauged.gauge.on_traffic()
        gauged.hold_up(0.12 if number != 5 else 0.2)
    late = gauged.late()
    assert 5 < len(late) <= 7
    assert max(late_ms for *_, late_ms in late) == 180
    assert all(since_ms <= until_ms + 40 for (_, until_ms, _), (since_ms, *_) in pairwise(late))


def test_a_verdict_in_between_knows_of_all_lateness() -> None:
    """What is held back for a second is published when it is needed, and by itself if nothing else happens."""
    gauged = Gauged()
    for _ in range(2):
        gauged.gauge.on_traffic()
        gauged.hold_up(0.12)
    assert len(gauged.late()) == 1
    gauged.gauge.publish()
    assert gauged.late()[1:] == [(140, 240, 100)]
    gauged.gauge.on_traffic()
    gauged.hold_up(0.12)
    for _ in range(200):
        gauged.clock.advance(0.01)
    assert [late_ms for *_, late_ms in gauged.late()] == [100, 100, 100]
    assert gauged.clock.getDelayedCalls() == []


def test_a_virtual_clock_is_never_late() -> None:
    clock, log = VirtualClock(), Log()
    time = SimulatedTime(clock)
    gauge = LagGauge(time, log, None)
    gauge.on_traffic()
    assert clock.getDelayedCalls() == []
    Alarm(time, lambda: None).set(1000)
    clock.rightNow += 60
    clock.advance(0)
    assert (gauge.max_lag_ms, log.events) == (0, type(log.events)())


def test_a_jump_of_the_wall_clock_is_an_event() -> None:
    """It is noticed when something happens next, once; a clock that is trimmed a little has not jumped."""
    gauged = Gauged()
    gauged.wall_ahead_s -= 3600
    gauged.gauge.on_traffic()
    gauged.clock.advance(1)
    gauged.wall_ahead_s += 0.1
    gauged.gauge.on_traffic()
    gauged.clock.advance(1)
    assert [(event.at_ms, event.by_ms) for event in gauged.log.of(WallClockJumped)] == [(1000, -3_600_000)]
