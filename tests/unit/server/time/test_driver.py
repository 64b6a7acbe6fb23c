"""An instance is woken when something is due, and at no other time."""

from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from twisted.internet.task import Clock

from comfyfarm.events import Finished, NodeStarted
from comfyfarm.server.time.clock import SimulatedTime, VirtualClock
from comfyfarm.server.time.driver import InstanceDriver
from comfyfarm.sim.distributions import Distribution
from comfyfarm.sim.settings import Settings, Timing
from comfyfarm.workflows import text_to_image
from tests.support.instance_story import Story, picture, tell

NO_TIME = Settings(mode="dynamic", timing=Timing(node=Distribution.fixed(0), save=Distribution.fixed(0)))


@dataclass
class Driven:
    """A story whose time is that of a clock."""

    clock: VirtualClock = field(default_factory=VirtualClock)
    story: Story = field(default_factory=tell)
    speed: float = 1.0

    def __post_init__(self) -> None:
        self.driver = InstanceDriver(SimulatedTime(self.clock, self.speed), self.story.instance)
        self.driver.start()

    def post(self) -> str:
        """Submit a prompt as a route does."""
        self.story.now_ms = self.driver.catch_up()
        prompt_id = self.story.post(picture())
        self.driver.set_alarm()
        return prompt_id


def test_a_job_runs_while_the_clock_is_moved() -> None:
    """Each event has its own time, however big the jump."""
    driven = Driven()
    driven.clock.advance(5)
    driven.post()
    driven.clock.advance(0.015)
    assert [event.at_ms for event in driven.story.of(NodeStarted)] == [5000, 5003]
    assert driven.story.of(Finished) == []
    driven.clock.advance(3600)
    assert [event.at_ms for event in driven.story.of(Finished)] == [5016]


def test_speed_changes_the_time_of_the_clock_only() -> None:
    """The events are the same, in a tenth of the time."""
    driven = Driven(speed=10)
    driven.post()
    driven.clock.advance(0.0015)
    assert driven.story.of(Finished) == []
    driven.clock.advance(0.0001)
    assert [event.at_ms for event in driven.story.of(Finished)] == [16]


def test_one_alarm_waits_and_none_where_there_is_nothing_to_do() -> None:
    driven = Driven()
    assert driven.clock.getDelayedCalls() == []
    for _ in range(5):
        driven.post()
    assert len(driven.clock.getDelayedCalls()) == 1
    driven.clock.advance(60)
    assert driven.clock.getDelayedCalls() == []


def test_between_two_steps_nothing_is_woken() -> None:
    """One ring for each thing that is due: two nodes and a picture."""
    driven = Driven()
    driven.post()
    rings = 0
    while driven.clock.getDelayedCalls():
        (alarm,) = driven.clock.getDelayedCalls()
        driven.clock.advance(alarm.getTime() - driven.clock.seconds())
        rings += 1
    assert rings == 4       # the start, the first node's end, the second node, its picture


def test_a_late_request_finds_everything_done_at_its_own_time() -> None:
    """A busy reactor changes no event."""
    driven = Driven()
    driven.post()
    driven.clock.rightNow += 1      # an alarm that has not rung
    assert driven.driver.catch_up() == 1000
    assert [event.at_ms for event in driven.story.of(Finished)] == [16]
    driven.driver.set_alarm()
    assert driven.clock.getDelayedCalls() == []


def test_a_driver_that_was_stopped_wakes_nothing() -> None:
    driven = Driven()
    driven.post()
    driven.driver.stop()
    assert driven.clock.getDelayedCalls() == []
    driven.driver.set_alarm()
    driven.clock.advance(60)
    assert driven.story.of(Finished) == []
    driven.driver.start()
    driven.clock.advance(0)
    assert len(driven.story.of(Finished)) == 1


def test_an_error_in_the_simulation_does_not_stop_the_driver(meant_errors: list[type[Exception]]) -> None:
    """An error of ours is logged once; its job ends, and the next one runs."""
    meant_errors.append(RuntimeError)
    driven = Driven()
    broken, good = driven.post(), driven.post()
    publish = driven.story.instance.machine.publish

    def fail(event: object) -> None:
        driven.story.instance.machine.publish = publish
        raise RuntimeError

    driven.story.instance.machine.publish = fail
    driven.clock.advance(1)
    assert driven.story.entry(broken)["status"]["status_str"] == "error"
    assert driven.story.entry(good)["status"]["completed"]
    assert driven.clock.getDelayedCalls() == []


def test_an_hour_of_load_takes_no_time() -> None:
    """A hundred jobs run in one jump, without a wait."""
    driven = Driven()
    for _ in range(100):
        driven.story.post(text_to_image())
    driven.driver.set_alarm()
    driven.clock.advance(3600)
    assert len(driven.story.of(Finished)) == 100


class BusyClock(Clock):
    """A real clock on which each step of the work takes a millisecond."""

    def seconds(self) -> float:
        self.rightNow += 0.001
        return float(self.rightNow)


def previews(count: int) -> dict[str, Any]:
    """A prompt whose nodes take no time."""
    image = {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}}
    preview = {"class_type": "PreviewImage", "inputs": {"images": ["0", 0]}}
    return {"0": image, **{str(number): preview for number in range(1, count + 1)}}


def in_turns(prompt: dict[str, Any]) -> tuple[Story, list[int]]:
    """Run a job of no time on a busy clock; return the number of events in each turn, too."""
    clock, story = BusyClock(), tell(NO_TIME)
    driver = InstanceDriver(SimulatedTime(clock), story.instance)
    driver.start()
    story.now_ms = driver.catch_up()
    story.post(prompt)
    driver.set_alarm()
    counts = []
    while clock.calls:
        before = len(story.events)
        call: Any = clock.calls.pop(0)
        call.called = 1
        call.func()
        counts.append(len(story.events) - before)
        story.now_ms = driver.catch_up()        # a request in between does not do the work instead
        assert len(story.events) == before + counts[-1]
    return story, counts


@pytest.mark.parametrize("prompt", [previews(50), picture(batch_size=50)], ids=["many nodes", "many files"])
def test_a_long_job_of_no_time_is_cut_into_turns_and_ends_as_in_one(prompt: dict[str, Any]) -> None:
    """Of some milliseconds each; time does not go back, and but for the time the events are the same."""
    cut, counts = in_turns(prompt)
    whole = tell(NO_TIME)
    whole.post(prompt)
    whole.run()
    assert len(counts) > 10
    assert max(counts) < 25
    times = [event.at_ms for event in cut.events]
    assert times == sorted(times)
    assert [msgspec.structs.replace(event, at_ms=0) for event in cut.events] == [
        msgspec.structs.replace(event, at_ms=0) for event in whole.events
    ]
    assert {event.at_ms for event in whole.events} == {0}
