"""A story that pauses, told in simulated time."""

from twisted.internet.task import Clock

from farm.clock import SimulatedTime
from farm.sim.faults.strikes import UNTIL_WOKEN, Story
from farm.telling import Telling


def telling_of(story: Story, clock: Clock, ends: list[int]) -> Telling:
    time = SimulatedTime(clock)
    return Telling(clock, time, story, lambda: ends.append(time.now_ms()), lambda _: None)


def test_a_story_goes_on_when_its_time_has_passed_or_somebody_wakes_it() -> None:
    """A pause of a set length is not cut short by that."""
    clock, ends, open_now = Clock(), list[int](), list[bool]()

    def story() -> Story:
        yield 1000
        while not open_now:
            yield UNTIL_WOKEN

    telling = telling_of(story(), clock, ends)
    telling.go_on()
    open_now.append(True)
    telling.wake()
    assert ends == []
    clock.advance(1)
    assert ends == [1000]


def test_a_story_may_wake_itself() -> None:
    """What it does may change something, of which all are told."""
    clock, ends = Clock(), list[int]()

    def story() -> Story:
        telling.wake()
        yield 500

    telling = telling_of(story(), clock, ends)
    telling.go_on()
    clock.advance(0.5)
    assert ends == [500]


def test_a_story_may_be_the_end_of_itself() -> None:
    """Nothing more is told of it, and nothing is left on the clock."""
    clock, ends = Clock(), list[int]()

    def story() -> Story:
        telling.stop()
        yield 500

    telling = telling_of(story(), clock, ends)
    telling.go_on()
    assert clock.getDelayedCalls() == []
    telling.wake()
    assert ends == []
