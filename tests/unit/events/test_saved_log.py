"""Reading and judging of saved logs, including damaged ones."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import count, islice
from typing import Any

import pytest
from msgspec.structs import replace

from comfyfarm.analysis.log_analysis import LogAnalysis
from comfyfarm.analysis.trials import analyse_saved
from comfyfarm.events import Configured, Event, Healed, LogEnded
from comfyfarm.events.encoding import as_json
from comfyfarm.events.saved_log import read_events
from tests.support.logs import farm, log, ran


def line(**fields: Any) -> bytes:
    return json.dumps({"kind": "healed", "at_ms": 0, **fields}).encode() + b"\n"


def lines(events: Iterable[Event]) -> list[bytes]:
    return [as_json(event) + b"\n" for event in events]


def read(content: Iterable[bytes]) -> tuple[list[int], list[str]]:
    """Return the numbers of the readable events, and the defects."""
    defects: list[str] = []
    events = list(read_events(content, lambda text, _seq: defects.append(text)))
    return [event.seq for event in events], defects


def test_a_saved_log_gives_the_events_that_were_saved() -> None:
    events = log(farm("a", "b"), ran("j1", on="a", at=10, until=50, file="x.png"))
    defects: list[str] = []
    assert list(read_events(lines(events), lambda text, _seq: defects.append(text))) == events
    assert defects == []


def test_fields_that_a_later_version_adds_are_no_defect() -> None:
    assert read([line(seq=1, colour="red", more={"a": [1]})]) == ([1], [])


def test_line_ends_may_be_missing_and_empty_lines_are_ignored() -> None:
    assert read([line(seq=1), b"\n", b"\r\n", line(seq=2).rstrip()]) == ([1, 2], [])


@pytest.mark.parametrize(
    ("content", "seqs", "defects"),
    [
        ([line(seq=1), line(seq=2)[:20]], [1], ["line 2 is torn"]),
        ([line(seq=1), b"hello\n", line(seq=2)], [1, 2], ["line 2 is no JSON"]),
        ([line(seq=1), b"\xff\xfe\0\n", line(seq=2)], [1, 2], ["line 2 is no JSON"]),
        ([line(seq=1), b"[" * 50_000 + b"\n"], [1], ["line 2 is no JSON"]),
        ([line(seq=1), b"[1]\n", b"7\n", b"{}\n"], [1], [f"line {n} is no event" for n in (2, 3, 4)]),
        ([line(seq=1, kind=5), line(seq=2)], [2], ["line 1 is no event", "seq 1 is missing"]),
        (
            [line(seq=1), line(seq=2, kind="teleported"), line(seq=3)],
            [1, 3],
            ["seq 2 is of a kind that is not known here, 'teleported'"],
        ),
        (
            [line(seq=1), line(seq=2, at_ms="noon"), line(seq=3)],
            [1, 3],
            ["seq 2 (healed) cannot be read: Expected int, got str - at $.at_ms"],
        ),
        ([line(seq=1), line(seq=4), line(seq=6)], [1, 4, 6], ["seq 2 to 3 are missing", "seq 5 is missing"]),
        ([line(seq=17), line(seq=18)], [17, 18], ["seq 1 to 16 are missing"]),
        ([line(seq=1), line(seq=1), line(seq=2)], [1, 2], ["seq 1 stands again, or too late, and is left out"]),
        (
            [line(seq=1), line(seq=3), line(seq=2)],
            [1, 3],
            ["seq 2 is missing", "seq 2 stands again, or too late, and is left out"],
        ),
        ([line(seq=1), line()], [1], ["line 2 has no seq, and is left out"]),
        ([line(seq=1), line(seq=10**30), line(seq=2)], [1, 2], ["line 2 has a seq or a moment that cannot be"]),
        ([line(seq=1, at_ms=10**30), line(seq=1)], [1], ["line 1 has a seq or a moment that cannot be"]),
        ([], [], ["there is no event in it"]),
    ],
)
def test_defects_of_a_log_are_reported_and_the_rest_is_read(
    content: list[bytes], seqs: list[int], defects: list[str]
) -> None:
    assert read(content) == (seqs, defects)


def test_a_log_is_read_line_by_line() -> None:
    """An endless log yields its first events at once."""

    def endless() -> Iterator[bytes]:
        yield from (line(seq=seq) for seq in count(1))

    events = read_events(endless(), lambda text, _seq: pytest.fail(text))
    assert [event.seq for event in islice(events, 3)] == [1, 2, 3]


# Verdicts on saved logs.


TWICE = log(farm("a", "b"), ran("j1", on="a", at=0, until=5), ran("j1", on="b", at=10, until=15))


def verdict_of(content: Iterable[bytes]) -> Any:
    return analyse_saved(content).verdict()


def test_a_log_with_a_torn_end_is_no_pass() -> None:
    whole = lines(log(farm("a", delivery="none"), ran("j1", on="a", at=0, until=5)))
    assert verdict_of(whole).verdict == "pass"
    assert verdict_of([*whole, b'{"kind":"fini']).verdict == "unknown"


NO_END = "the log has no end: the farm was killed, or still runs"


@pytest.mark.parametrize(
    ("version", "last", "needs_end", "defects"),
    [
        ("0.2", Healed(at_ms=9), True, [NO_END]),
        ("0.2", LogEnded(at_ms=9), True, []),
        ("0.2", Healed(at_ms=9), False, []),
        ("", Healed(at_ms=9), True, []),
    ],
    ids=["torn", "whole", "live", "of a version without ends"],
)
def test_a_log_whose_version_writes_an_end_needs_one(
    version: str, last: Event, needs_end: bool, defects: list[str]
) -> None:
    found: list[str] = []
    content = lines(log(Configured(at_ms=0, config={}, version=version), last))
    assert len(list(read_events(content, lambda text, _seq: found.append(text), needs_end=needs_end))) == 2
    assert found == defects


def test_the_end_of_a_log_does_not_change_what_is_said_of_it() -> None:
    ended = [*TWICE, LogEnded(seq=TWICE[-1].seq + 1, at_ms=TWICE[-1].at_ms)]
    whole, open_end = analyse_saved(lines(ended), needs_end=True), analyse_saved(lines(TWICE))
    assert as_json(whole.verdict()) == as_json(open_end.verdict())
    assert as_json(whole.placement()) == as_json(open_end.placement())


def test_an_empty_log_is_no_pass() -> None:
    found = [(finding.finding, finding.severity) for finding in verdict_of([]).findings]
    assert found == [("log_incomplete", "unknown"), ("no_job", "unknown")]


def test_a_damaged_log_still_proves_that_a_job_ran_twice() -> None:
    verdict = verdict_of([*lines(TWICE), b"torn"])
    assert verdict.verdict == "fail"
    assert [finding.finding for finding in verdict.findings if finding.severity == "error"] == ["ran_twice"]


@pytest.mark.parametrize("config", [{"instance": 5}, {"instance": [{}]}, {"farm": 1.5}, {"instance": ["a"]}])
def test_an_invalid_configuration_event_is_a_defect_and_later_events_are_judged(config: Any) -> None:
    twice = ran("j1", on="a", at=0, until=5), ran("j1", on="b", at=9, until=12)
    events = log(Configured(at_ms=0, config=config), *twice)
    verdict = verdict_of(lines(events))
    assert {finding.finding for finding in verdict.findings} >= {"ran_twice", "log_incomplete"}


def test_a_live_farm_and_its_saved_log_give_the_same_bytes() -> None:
    """Also if a client sent a lone surrogate, which UTF-8 cannot encode."""
    events = [*TWICE, *log(farm("a"), ran("\ud800", on="a", at=20, until=25))[2:]]
    events = [replace(event, seq=seq) for seq, event in enumerate(events, 1)]
    live = LogAnalysis()
    for event in events:
        live.on_event(event)
    saved = analyse_saved(lines(events))
    assert as_json(live.verdict()) == as_json(saved.verdict())
    assert as_json(live.placement()) == as_json(saved.placement())


def test_a_verdict_alone_is_the_same_as_one_with_everything_else() -> None:
    alone = analyse_saved(lines(TWICE), parts=())
    assert as_json(alone.verdict()) == as_json(verdict_of(lines(TWICE)))


def test_an_analysis_handles_events_in_batches_without_losing_any() -> None:
    analysis = LogAnalysis()
    for seq in range(1, 901):
        analysis.on_event(Healed(seq=seq, at_ms=seq))
    assert analysis._verdict.tracker.at_ms == 750
    assert analysis.verdict().seq == 900
    assert analysis.placement().seq == 900
