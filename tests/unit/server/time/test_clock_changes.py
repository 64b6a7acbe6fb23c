"""Changes of the speed of simulated time, and the order of calls on a virtual clock."""

from twisted.internet.task import Clock

from comfyfarm.server.time.clock import SimulatedTime, VirtualClock


def test_simulated_time_passes_as_fast_as_its_speed_says() -> None:
    """After a change the new speed counts; the time before it stays."""
    clock = Clock()
    time = SimulatedTime(clock, speed=10)
    clock.advance(1)
    assert time.now_ms() == 10_000
    time.change(speed=2)
    clock.advance(1)
    assert time.now_ms() == 12_000
    assert time.seconds_until(13_000) == 0.5


def test_frozen_time_stands_still_and_goes_on_where_it_was() -> None:
    """Nothing that is due later becomes due while it is frozen."""
    clock = Clock()
    time = SimulatedTime(clock)
    clock.advance(1)
    time.change(is_frozen=True)
    clock.advance(60)
    assert time.now_ms() == 1000
    assert time.seconds_until(1000) == 0
    assert time.seconds_until(1001) is None
    time.change(is_frozen=False)
    clock.advance(1)
    assert time.now_ms() == 2000


def test_a_change_calls_back_whoever_set_an_alarm() -> None:
    """An alarm set for the old speed would ring at the wrong time."""
    time, speeds = SimulatedTime(Clock()), []
    time.on_change.append(lambda: speeds.append(time.speed))
    time.change(speed=3)
    assert speeds == [3]


def test_a_virtual_clock_stops_at_each_call_on_the_way() -> None:
    """A wait that begins in one of them begins at its time, and ends within the same jump."""
    clock, rang = VirtualClock(), []
    clock.callLater(1, lambda: clock.callLater(1, lambda: rang.append(clock.seconds())))
    clock.advance(5)
    assert rang == [2]
    assert clock.seconds() == 5


def test_calls_for_the_same_moment_come_in_the_order_they_were_made() -> None:
    """Also if the fractions of their waits do not add up exactly."""
    clock, rang = VirtualClock(), list[str]()
    clock.callLater(0.3, rang.append, "first")
    clock.advance(0.1)
    clock.callLater(0.2, rang.append, "second")
    clock.advance(0.1)
    clock.callLater(0.1, rang.append, "third")
    clock.advance(0.1)
    assert rang == ["first", "second", "third"]


def test_small_steps_of_a_virtual_clock_do_not_drift() -> None:
    """A thousand tenths are a hundred seconds."""
    clock = VirtualClock()
    for _ in range(1000):
        clock.advance(0.1)
    assert clock.seconds() == 100
