"""Simulated time on a Twisted clock, the changes of its speed, and the clock that a test moves."""

from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock

from comfyfarm.server.time.clock import Alarm, AlarmHeap, SimulatedTime, VirtualClock

speeds = st.sampled_from([0.1, 1.0, 2.0, 10.0, 100.0, 1 / 3])


def test_simulated_time_begins_when_the_farm_does() -> None:
    clock = Clock()
    clock.advance(100)
    time = SimulatedTime(clock)
    assert time.now_ms() == 0
    clock.advance(1.5)
    assert time.now_ms() == 1500


def test_time_passes_as_fast_as_its_speed() -> None:
    clock = Clock()
    time = SimulatedTime(clock, speed=10)
    clock.advance(1.5)
    assert time.now_ms() == 15_000
    assert time.seconds_until(20_000) == pytest.approx(0.5)
    assert time.seconds_until(1) == 0


@given(st.floats(0, 2e9), st.lists(st.integers(0, 10_000), max_size=20), speeds)
@settings(deadline=None)
def test_an_alarm_never_rings_too_early(begin: float, waits: list[int], speed: float) -> None:
    """When it rings its time has come, although sums of seconds are not exact (within the precision of a float)."""
    clock = Clock()
    clock.advance(begin)
    time = SimulatedTime(clock, speed)
    resolution_ms = begin * 2**-52 * 1000 * speed * 4
    due_ms = 0
    for wait in waits:
        due_ms += wait
        clock.advance(time.seconds_until(due_ms) or 0.0)
        assert time.now_ms() >= due_ms or resolution_ms > 5e-4
        assert time.now_ms() <= due_ms + 1


def test_whole_milliseconds_add_up_for_a_day() -> None:
    """10,000 waits of 8,640 ms."""
    clock = VirtualClock()
    time = SimulatedTime(clock)
    for number in range(1, 10_001):
        clock.advance(8.64)
        assert time.now_ms() == number * 8640


def test_waits_that_follow_each_other_add_up_within_one_jump() -> None:
    """Twisted's own clock would begin the second wait at the end of the jump."""
    clock = VirtualClock()
    rang: list[float] = []

    def ring() -> None:
        rang.append(clock.seconds())
        if len(rang) < 5:
            clock.callLater(2, ring)

    clock.callLater(1, ring)
    clock.advance(60)
    assert rang == [1, 3, 5, 7, 9]
    assert clock.seconds() == 60


def test_calls_for_one_time_are_made_in_the_order_in_which_they_were_scheduled() -> None:
    """Calls that are scheduled by one of them come last, in the same jump."""
    clock = VirtualClock()
    rang: list[str] = []
    clock.callLater(1, rang.append, "a")
    clock.callLater(1, rang.append, "b")
    clock.callLater(1, clock.callLater, 0, rang.append, "d")
    clock.callLater(1, rang.append, "c")
    clock.advance(1)
    assert rang == ["a", "b", "c", "d"]


def test_a_jump_ends_just_at_a_call() -> None:
    clock = VirtualClock()
    rang: list[int] = []
    clock.callLater(1, rang.append, 1)
    clock.callLater(1.001, rang.append, 2)
    clock.advance(1)
    assert rang == [1]
    clock.advance(0)
    assert rang == [1]


def test_a_call_that_was_cancelled_on_the_way_is_not_made() -> None:
    clock = VirtualClock()
    later = clock.callLater(2, pytest.fail)
    clock.callLater(1, later.cancel)
    clock.advance(5)


def test_a_call_can_be_put_off_on_the_way() -> None:
    clock = VirtualClock()
    rang: list[float] = []
    later = clock.callLater(2, lambda: rang.append(clock.seconds()))
    clock.callLater(1, lambda: later.reset(3))
    clock.advance(5)
    assert rang == [4]


def test_a_call_that_fails_raises_and_the_clock_can_be_moved_on() -> None:
    clock = VirtualClock()
    rang: list[int] = []
    clock.callLater(1, [].pop)
    clock.callLater(2, rang.append, 2)
    with pytest.raises(IndexError):
        clock.advance(5)
    clock.advance(5)
    assert rang == [2]


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


def test_an_alarm_follows_changes_of_the_speed() -> None:
    """One that was set for the old speed rings at its simulated time; while time is frozen it does not ring."""
    clock, rang = Clock(), list[float]()
    time = SimulatedTime(clock)
    Alarm(time, lambda: rang.append(clock.seconds())).set(60_000)
    time.change(is_frozen=True)
    clock.advance(600)
    assert rang == []
    time.change(is_frozen=False, speed=10)
    clock.advance(5.9)
    assert rang == []
    clock.advance(0.2)
    assert rang == [606.1]


def test_all_alarms_of_a_farm_need_one_timer() -> None:
    """It is set for the first of them, and there is none if no alarm is set."""
    clock, rang = Clock(), list[int]()
    time = SimulatedTime(clock)
    alarms = [Alarm(time, partial(rang.append, number)) for number in range(5)]
    for number, alarm in enumerate(alarms):
        alarm.set(1000 * (5 - number))
    assert [call.getTime() for call in clock.getDelayedCalls()] == [1]
    alarms[4].set(None)
    alarms[3].set(7000)
    assert [call.getTime() for call in clock.getDelayedCalls()] == [3]
    clock.pump([1] * 10)
    assert rang == [2, 1, 0, 3]
    assert clock.getDelayedCalls() == []


def test_an_alarm_that_is_set_a_thousand_times_leaves_nothing_behind() -> None:
    clock, rang = Clock(), list[float]()
    time = SimulatedTime(clock)
    alarm = Alarm(time, lambda: rang.append(clock.seconds()))
    for number in range(1000):
        alarm.set(3_600_000 - number)
    assert len(clock.getDelayedCalls()) == 1
    assert isinstance(time.alarms, AlarmHeap)
    assert len(time.alarms._heap) < 100
    clock.advance(3600)
    assert rang == [3600]


def test_an_alarm_that_is_set_again_when_it_rings_lets_the_reactor_have_a_turn() -> None:
    """Also if it is due at once, and others are due, too: each rings once in a turn."""
    clock, rang = Clock(), list[str]()
    time = SimulatedTime(clock)

    def ring_again() -> None:
        rang.append("again")
        again.set(0)

    again = Alarm(time, ring_again)
    again.set(0)
    Alarm(time, lambda: rang.append("once")).set(0)
    for _ in range(2):
        (call,) = clock.calls
        clock.calls.clear()
        call.func()
    assert rang == ["again", "once", "again"]


def test_alarms_ring_for_a_short_turn_only() -> None:
    """The rest rings in the next ones, so that the sockets are served in between."""
    clock, rang = Clock(), list[int]()
    time = SimulatedTime(clock)

    def ring(number: int) -> None:
        clock.rightNow += 0.002
        rang.append(number)

    for number in range(10):
        Alarm(time, partial(ring, number)).set(1000)
    clock.rightNow = 1
    counts = []
    while clock.calls:
        before = len(rang)
        clock.calls.pop(0).func()
        counts.append(len(rang) - before)
    assert rang == list(range(10))
    assert counts == [3, 3, 3, 1]


def test_an_alarm_that_fails_does_not_keep_others_from_ringing() -> None:
    clock, rang = Clock(), list[int]()
    time = SimulatedTime(clock)
    Alarm(time, [].pop).set(1000)
    Alarm(time, lambda: rang.append(1)).set(1000)
    with pytest.raises(IndexError):
        clock.advance(1)
    clock.advance(0)
    assert rang == [1]


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
