"""Events passed to the methods of their types."""

from __future__ import annotations

from comfyfarm.events import Event, Exchanged, Healed, Paused, Resumed
from comfyfarm.events.handler import EventHandler, by_type, methods_of, on


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


class HistoryRecorder(Recorder):
    @on("GET /history")
    def _on_history(self, event: Exchanged) -> None:
        self.calls.append((self.name, event.seq))


class ExchangeRecorder(Recorder):
    @on(Exchanged)
    def _on_exchanged(self, event: Exchanged) -> None:
        self.calls.append((self.name, event.seq))


def exchanges() -> list[Exchanged]:
    requests = ("GET", "/history/a"), ("GET", "/api/history"), ("POST", "/history"), ("GET", "/historyx"), ("", "")
    return [
        Exchanged(seq=seq, at_ms=0, method=method, path=path, status=200) for seq, (method, path) in enumerate(requests)
    ]


def test_a_handler_may_name_the_requests_whose_exchanges_it_gets() -> None:
    calls: list[tuple[str, int]] = []
    for event in exchanges():
        HistoryRecorder("history", calls).on_event(event)
        ExchangeRecorder("all", calls).on_event(event)
    assert calls == [("history", 0), ("all", 0), ("history", 1), ("all", 1), ("all", 2), ("all", 3), ("all", 4)]


def test_several_handlers_get_an_exchange_in_their_order_whether_they_name_its_request_or_not() -> None:
    calls: list[tuple[str, int]] = []
    methods = by_type(ExchangeRecorder("a", calls), HistoryRecorder("b", calls), ExchangeRecorder("c", calls))
    for event in exchanges()[:3]:
        for method in methods_of(event, methods):
            method(event)
    assert calls == [("a", 0), ("b", 0), ("c", 0), ("a", 1), ("b", 1), ("c", 1), ("a", 2), ("c", 2)]
