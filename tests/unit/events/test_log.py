"""The event log in memory and on disk."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from comfyfarm import events
from comfyfarm.events import Event, FrameSent, Started, Submitted, Succeeded
from comfyfarm.events import log as log_module
from comfyfarm.events.log import Log
from comfyfarm.server.log_file import LogFile


def started(number: int = 0) -> Event:
    return Started(at_ms=number, prompt_id=f"p{number}")


def test_every_event_gets_its_number_instance_and_epoch() -> None:
    log = Log()
    log.publish(started(), "gpu", 2)
    log.publish(started(), "gpu", 2)
    log.publish(Event(at_ms=5))
    assert list(log.events) == [
        Started(seq=1, at_ms=0, instance="gpu", epoch=2, prompt_id="p0"),
        Started(seq=2, at_ms=0, instance="gpu", epoch=2, prompt_id="p0"),
        Event(seq=3, at_ms=5),
    ]


def test_every_listener_gets_every_event_in_order_also_those_that_a_listener_publishes() -> None:
    """An event published by a listener follows after all listeners have handled the current one."""
    log = Log()
    one: list[Event] = []
    two: list[Event] = []

    def publish_more(event: Event) -> None:
        one.append(event)
        if isinstance(event, Started):
            log.publish(FrameSent(at_ms=event.at_ms, type="x", to=("me",)), "gpu")
            log.publish(Succeeded(at_ms=event.at_ms, prompt_id=event.prompt_id), "gpu")

    log.listen(publish_more)
    log.listen(two.append)
    for number in range(3):
        log.publish(started(number), "gpu")
    assert one == two == list(log.events)
    assert [event.seq for event in two] == list(range(1, 10))
    assert [type(event) for event in two] == [Started, FrameSent, Succeeded] * 3


def test_a_listener_to_one_instance_gets_no_events_of_others() -> None:
    log = Log()
    received: list[Event] = []
    log.listen(received.append, "gpu-1")
    for name in ("gpu-1", "gpu-2", "", "gpu-1"):
        log.publish(started(), name)
    assert [event.seq for event in received] == [1, 4]


def test_a_listener_to_some_types_gets_no_others() -> None:
    """Also if it is added, or removed, after events of these types were published."""
    log = Log()
    all_events: list[Event] = []
    some: list[Event] = []
    log.listen(all_events.append)
    log.publish(started(), "gpu-1")
    stop = log.listen(some.append, "gpu-1", {Succeeded})
    for event in (started(), Succeeded(at_ms=1, prompt_id="a")):
        log.publish(event, "gpu-1")
        log.publish(event, "gpu-2")
    stop()
    log.publish(Succeeded(at_ms=2, prompt_id="b"), "gpu-1")
    assert [event.seq for event in some] == [4]
    assert [event.seq for event in all_events] == list(range(1, 7))


def test_a_removed_listener_gets_no_more_events() -> None:
    """Also if it is removed while it handles an event; the other listeners still get it."""
    log = Log()
    calls: list[str] = []

    def handle_once(_: Event) -> None:
        calls.append("one")
        stop_one()

    stop_one = log.listen(handle_once)
    stop_two = log.listen(lambda _: calls.append("two"))
    log.publish(started())
    log.publish(started())
    stop_two()
    log.publish(started())
    assert calls == ["one", "two", "two"]


def test_a_listener_gets_only_events_after_it_was_added() -> None:
    log = Log()
    log.publish(started())
    received: list[Event] = []
    log.listen(received.append)
    log.publish(started())
    assert [event.seq for event in received] == [2]


def test_only_the_latest_events_stay_in_memory() -> None:
    log = Log()
    for number in range(log_module.KEPT + 5):
        log.publish(started(number))
    assert len(log.events) == log_module.KEPT
    assert (log.events[0].seq, log.events[-1].seq) == (6, log_module.KEPT + 5)


def test_events_are_found_by_kind() -> None:
    log = Log()
    log.publish(started(1))
    log.publish(Event(at_ms=2))
    log.publish(started(3))
    assert [event.at_ms for event in log.of(Started)] == [1, 3]


def test_listeners_get_later_events_after_one_has_raised() -> None:
    log = Log()
    seqs: list[int] = []

    def fail(event: Event) -> None:
        seqs.append(event.seq)
        if event.seq == 1:
            raise RuntimeError

    log.listen(fail)
    with pytest.raises(RuntimeError):
        log.publish(started())
    log.publish(started())
    assert seqs == [1, 2]


def test_an_event_on_which_a_listener_raises_reaches_the_listeners_after_it() -> None:
    """Also those to one instance, and also the events that were published meanwhile; the error is raised after that."""
    log = Log()
    seqs: list[int] = []
    of_instance: list[int] = []

    def fail(event: Event) -> None:
        if event.seq == 1:
            log.publish(started(), "gpu")
            raise KeyError("the first")

    log.listen(fail)
    log.listen(lambda event: seqs.append(event.seq))
    log.listen(lambda event: of_instance.append(event.seq), "gpu")
    with pytest.raises(KeyError, match="the first"):
        log.publish(started(), "gpu")
    assert seqs == of_instance == [1, 2]


def test_no_error_is_lost_if_several_listeners_raise() -> None:
    log = Log()
    failures = (KeyError("one"), ValueError("two"))
    for failure in failures:
        log.listen(partial(raise_error, failure))
    with pytest.raises(ExceptionGroup) as raised:
        log.publish(started())
    assert raised.value.exceptions == failures


def raise_error(error: Exception, _: Event) -> None:
    raise error


# On disk.


def test_a_log_file_holds_every_event_as_a_line_of_json(tmp_path: Path) -> None:
    """With its kind, and without default values."""
    log, path = Log(), tmp_path / "run.jsonl"
    file = LogFile.open(path, log, Clock())
    log.publish(started(), "gpu", 1)
    file.close()
    log.publish(started())
    assert [json.loads(line) for line in path.read_bytes().splitlines()] == [
        {"kind": "started", "seq": 1, "at_ms": 0, "instance": "gpu", "epoch": 1, "prompt_id": "p0"},
    ]


def test_a_log_file_has_an_event_after_50_ms_or_when_it_is_flushed(tmp_path: Path) -> None:
    log, clock, path = Log(), Clock(), tmp_path / "run.jsonl"
    file = LogFile.open(path, log, clock)
    log.publish(started())
    clock.advance(0.04)
    log.publish(started())
    assert path.read_bytes() == b""
    clock.advance(0.01)
    assert len(path.read_bytes().splitlines()) == 2
    log.publish(started())
    file.flush()
    assert len(path.read_bytes().splitlines()) == 3
    assert clock.getDelayedCalls() == []
    log.publish(started())
    file.close()
    assert len(path.read_bytes().splitlines()) == 4
    assert clock.getDelayedCalls() == []


def test_a_flush_while_events_are_published_is_made_when_they_all_are(tmp_path: Path) -> None:
    """So that an event and the messages that it causes are one line, and both are there before anybody is told."""
    log, clock, path = Log(), Clock(), tmp_path / "run.jsonl"
    file = LogFile.open(path, log, clock)

    def send(event: Event) -> None:
        file.flush()
        if isinstance(event, Submitted):
            log.publish(FrameSent(at_ms=event.at_ms, type="status", to=("me",), shown=event.queue_remaining), "gpu", 1)

    log.listen(send, "gpu")
    for number in range(2):
        log.publish(
            Submitted(at_ms=5, prompt_id=f"p{number}", number=1, job="j", outputs=(), queue_remaining=1), "gpu", 1
        )
        lines = path.read_bytes().splitlines()
    assert [json.loads(line)["kind"] for line in lines] == ["submitted", "frame_sent", "submitted"]
    assert json.loads(lines[2])["frames"] == 1
    file.close()


def test_listeners_to_batches_get_an_event_with_all_that_it_caused_also_if_a_listener_fails() -> None:
    log = Log()
    batches: list[list[Event]] = []
    stop = log.listen_to_batches(lambda batch: batches.append(list(batch)))

    def fail(event: Event) -> None:
        if isinstance(event, Started):
            log.publish(Succeeded(at_ms=event.at_ms, prompt_id=event.prompt_id))
            raise TypeError

    log.listen(fail)
    with pytest.raises(TypeError):
        log.publish(started(7))
    log.publish(Event(at_ms=8))
    stop()
    log.publish(Event(at_ms=9))
    assert [[type(event) for event in batch] for batch in batches] == [[Started, Succeeded], [Event]]


def test_a_disk_that_is_full_when_the_log_file_is_flushed_ends_it() -> None:
    log, clock = Log(), Clock()
    with capturedLogs() as logged:
        LogFile.open(Path("/dev/full"), log, clock)
        log.publish(started())
        clock.advance(0.05)
        log.publish(started())
    assert clock.getDelayedCalls() == []
    assert [event["log_format"] for event in logged] == ["the log file is not whole: {why}"]


KINDS = [getattr(events, name) for name in events.__all__ if name not in ("Event", "Preview", "Work", "snake_case")]


def test_every_kind_of_event_has_a_name_of_its_own() -> None:
    tags = [kind.__struct_config__.tag for kind in KINDS]
    assert len(tags) == len(set(tags)) > 25
    assert "node_started" in tags
    assert all(issubclass(kind, Event) for kind in KINDS)


def test_a_saved_event_is_read_back_unchanged(tmp_path: Path) -> None:
    log, path = Log(), tmp_path / "run.jsonl"
    file = LogFile.open(path, log, Clock())
    event = Submitted(
        at_ms=5, prompt_id="p", number=-1.5, job="ä", client_id={"a": [1]}, outputs=("9",), queue_remaining=2
    )
    log.publish(event, "gpu", 1)
    file.close()
    assert msgspec.json.decode(path.read_bytes(), type=Submitted) == log.events[0]


@pytest.mark.parametrize("client_id", ["\ud800", "x\udfffy", {"\ud800": 1}, ["\ud800", 10**40, float("nan")]])
def test_a_lone_surrogate_from_a_client_does_not_end_the_log(tmp_path: Path, client_id: Any) -> None:
    """JSON can contain one, UTF-8 cannot; the line stays readable."""
    log, path = Log(), tmp_path / "run.jsonl"
    file = LogFile.open(path, log, Clock())
    event = Submitted(
        at_ms=5, prompt_id="p", number=1, job="\ud800", client_id=client_id, outputs=(), queue_remaining=2
    )
    log.publish(event)
    log.publish(started())
    file.close()
    first, second = path.read_bytes().splitlines()
    assert msgspec.json.decode(first, type=Submitted).job == "?"
    assert msgspec.json.decode(second)["kind"] == "started"


def test_a_log_file_that_cannot_be_created_raises_at_once(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        LogFile.open(tmp_path / "missing" / "run.jsonl", Log(), Clock())


def test_a_full_disk_ends_the_log_file_and_nothing_else() -> None:
    """The error is logged once."""
    log = Log()
    received: list[Event] = []
    with capturedLogs() as logged:
        file = LogFile.open(Path("/dev/full"), log, Clock())
        log.listen(received.append)
        for number in range(2000):
            log.publish(started(number), "x" * 100)
        file.close()
    assert len(received) == 2000
    (line,) = [event["log_format"] for event in logged if event["log_namespace"] == "comfyfarm.server.log_file"]
    assert line == "the log file is not whole: {why}"
