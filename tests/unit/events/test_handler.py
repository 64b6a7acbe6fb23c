"""Events passed to the methods of their types."""

from __future__ import annotations

from comfyfarm.events import Event, Healed, Paused, Resumed
from comfyfarm.events.handler import EventHandler, by_type, on


class Recorder(EventHandler):
    def __init__(self, name: str, calls: list[tuple[str, int]]) -> None:
        self.name = name
        self.calls = calls

    @on(Paused, Resumed)
    def _on_paused(self, event: Paused | Resumed) -> None:
        self.calls.append((self.name, event.seq))


class HealRecorder(Recorder):
    @on(Paused, Healed)
    def _on_healed(self, event: Paused | Healed) -> None:
        self.calls.append((self.name, event.seq))


def test_a_handler_gets_the_events_of_the_types_that_its_methods_name() -> None:
    calls: list[tuple[str, int]] = []
    recorder = Recorder("a", calls)
    for event in (Paused(seq=1, at_ms=0), Healed(seq=2, at_ms=0), Resumed(seq=3, at_ms=0)):
        recorder.on_event(event)
    assert calls == [("a", 1), ("a", 3)]


def test_several_handlers_get_an_event_in_their_order_and_only_those_that_handle_it() -> None:
    calls: list[tuple[str, int]] = []
    methods = by_type(HealRecorder("a", calls), Recorder("b", calls))
    for event in (Paused(seq=1, at_ms=0), Healed(seq=2, at_ms=0), Resumed(seq=3, at_ms=0)):
        for method in methods[type(event)]:
            method(event)
    assert calls == [("a", 1), ("b", 1), ("a", 2), ("b", 3)]
    assert Event not in methods
