"""The short lines of a saved log: nothing is lost, and a lost line is noticed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal, get_args, get_origin

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from comfyfarm import events
from comfyfarm.analysis.trials import analyse_saved
from comfyfarm.events import Event, FrameSent
from comfyfarm.events.encoding import as_json
from comfyfarm.events.line_writer import LineWriter
from comfyfarm.events.saved_log import read_events
from tests.support.logs import farm, log, ran


def written(batches: Sequence[Sequence[Event]]) -> list[bytes]:
    writer = LineWriter()
    return b"".join(map(writer.lines, batches)).splitlines(keepends=True)


def read(lines: Sequence[bytes]) -> tuple[list[Event], list[str]]:
    defects: list[str] = []
    return list(read_events(lines, lambda text, _seq: defects.append(text))), defects


def fail(text: str, _seq: int) -> None:
    pytest.fail(text)


def whole(expected: Sequence[Event]) -> list[Event]:
    """Return the events as a log gives them of which each line has all fields."""
    return read([as_json(event) for event in expected])[0]


# A job, as the log has it.

RUN: dict[str, Any] = {"instance": "a", "epoch": 1, "prompt_id": "p"}
SENT: dict[str, Any] = {"instance": "a", "epoch": 1, "to": ("me",)}
OF_JOB: dict[str, Any] = {**SENT, "prompt_id": "p"}


def numbered(*pieces: Event) -> list[Event]:
    return [replace(event, seq=seq) for seq, event in enumerate(pieces, 1)]


JOB = numbered(
    FrameSent(at_ms=5, type="status", shown=0, **SENT),
    events.Submitted(at_ms=10, number=0, job="j", client_id="me", outputs=("9",), queue_remaining=1, **RUN),
    FrameSent(at_ms=10, type="status", shown=1, **SENT),
    events.Exchanged(at_ms=10, began_ms=10, method="POST", path="/prompt", status=200, job="j", **RUN),
    events.NodeStarted(at_ms=10, node="3", class_type="KSampler", **RUN),
    FrameSent(at_ms=10, type="progress_state", **OF_JOB),
    FrameSent(at_ms=10, type="executing", **OF_JOB),
    events.Progressed(at_ms=20, node="3", value=1, max=2, **RUN),
    events.Progressed(at_ms=30, node="3", value=2, max=2, **RUN),
    FrameSent(at_ms=30, type="progress_state", **OF_JOB),
    FrameSent(at_ms=30, type="progress", **OF_JOB),
    events.NodeFinished(at_ms=30, node="3", shown_as="3", **RUN),
)


def test_a_line_says_only_what_is_new() -> None:
    assert [json.loads(line) for line in written([JOB])][2:] == [
        {"of": 2, "kind": "exchanged", "seq": 4, "method": "POST", "path": "/prompt", "status": 200},
        {"of": 2, "kind": "node_started", "seq": 5, "node": "3", "class_type": "KSampler", "frames": 2},
        {"of": 2, "kind": "progressed", "seq": 8, "at_ms": 20, "value": 1, "max": 2},
        {"step": 2, "of": 2, "seq": 9, "at_ms": 30, "frames": 2},
        {"of": 2, "kind": "node_finished", "seq": 12},
    ]
    assert read(written([JOB])) == (whole(JOB), [])


def test_a_message_that_is_not_as_usual_has_a_line_of_its_own() -> None:
    """Here it goes to another client, has another type, comes later, or has nothing before it."""
    for change in ({"to": ("you",)}, {"type": "binary-1"}, {"at_ms": 11}, {"prompt_id": None}):
        job = numbered(*JOB[1:5], replace(JOB[5], **change))
        lines = written([job])
        assert json.loads(lines[-1])["kind"] == "frame_sent"
        assert read(lines) == (whole(job), [])


def test_messages_belong_to_the_event_only_if_they_were_published_with_it() -> None:
    assert len(written([JOB])) == 7
    assert len(written([[event] for event in JOB])) == len(JOB)
    assert read(written([[event] for event in JOB])) == (whole(JOB), [])


@pytest.mark.parametrize("prompt_id", [7, ["p"], {"p": 1}])
def test_what_a_client_sent_as_a_prompt_id_is_written_whatever_it_is(prompt_id: Any) -> None:
    asked = events.InterruptAsked(seq=13, at_ms=40, instance="a", epoch=1, prompt_id=prompt_id, hit=None)
    assert json.loads(written([[*JOB, asked]])[-1])["prompt_id"] == prompt_id


def test_more_jobs_than_can_be_referred_to_are_written_all_the_same() -> None:
    submitted = [replace(JOB[1], prompt_id=f"p{n}") for n in range(1_500)]
    jobs = numbered(*submitted, *(events.Started(at_ms=20, **{**RUN, "prompt_id": f"p{n}"}) for n in range(1_500)))
    lines = written([jobs])
    assert json.loads(lines[1_500]) == json.loads(as_json(jobs[1_500]))
    assert json.loads(lines[-1]) == {"of": 1_500, "kind": "started", "seq": 3_000}
    assert read(lines) == (whole(jobs), [])


# Any events.

KINDS: list[type[Event]] = [events.Submitted, events.NodeStarted, events.Progressed, FrameSent] * 2
EVERY_KIND = sorted(Event.__subclasses__(), key=lambda kind: kind.__name__)
VALUES: dict[str, Sequence[Any]] = {
    "epoch": (0, 1),
    "prompt_id": ("p", "q"),
    "client_id": ("me", "you", "\ud800"),
    "to": (("me",), ("you",), ("me", "you")),
    "type": ("status", "progress_state", "progress", "executing"),
    "node": ("3", "4"),
    "folder": ("output", "input"),
    "state": ("asked",),
    "delivery": (None, "http"),
    "preview": (events.Preview(1, 1, "image/png"),),
    "work": (events.Work(), events.Work(saves=1)),
    "output": (None, {"images": []}),
    **dict.fromkeys(("config", "settings", "fault", "error"), ({}, {"of": "x"})),
}
BY_TYPE: dict[Any, Sequence[Any]] = {
    int: (0, 1),
    int | None: (None, 1),
    float: (0, 2.5),
    bool: (False, True),
    tuple[str, ...]: ((), ("a",)),
    dict[str, Any] | None: (None, {"a": 1}),
}


@st.composite
def any_events(draw: st.DrawFn) -> list[list[Event]]:
    """Batches of events of all kinds on one instance, whose fields often repeat."""
    pieces: list[Event] = []
    at_ms = 0
    for seq in range(1, draw(st.integers(2, 25))):
        kind = draw(st.sampled_from([*KINDS, *EVERY_KIND]))
        at_ms += draw(st.integers(0, 1))
        fields = {own.name: draw(st.sampled_from(_values(kind, own))) for own in msgspec.structs.fields(kind)}
        pieces.append(kind(**{**fields, "seq": seq, "at_ms": at_ms, "instance": "a"}))
    size = draw(st.integers(1, 4))
    return [pieces[place : place + size] for place in range(0, len(pieces), size)]


def _values(kind: type[Event], own: msgspec.structs.FieldInfo) -> Sequence[Any]:
    if own.name == "error" and own.type is str:
        return ("e",)
    choices = get_args(own.type) if get_origin(own.type) is Literal else ()
    return VALUES.get(own.name) or BY_TYPE.get(own.type) or choices or ("a", "b")


@given(any_events())
def test_any_events_are_read_as_they_were_written(batches: list[list[Event]]) -> None:
    expected = whole([event for batch in batches for event in batch])
    assert read(written(batches)) == (expected, [])


def test_only_needed_events_are_built_and_the_end_is_known_all_the_same() -> None:
    end = events.LogEnded(seq=13, at_ms=30)
    found = list(read_events(written([[*JOB, end]]), fail, needs_end=True, kinds={events.Submitted}))
    assert [(type(event), event.seq, event.at_ms) for event in found] == [
        (events.Submitted, 2, 10),
        (Event, 12, 30),
        (events.LogEnded, 13, 30),
    ]
    earlier = replace(JOB[1], seq=13, at_ms=20, prompt_id="q")
    found = list(read_events(written([[*JOB, earlier]]), fail, kinds={events.Submitted}))
    assert [(event.seq, event.at_ms) for event in found] == [(2, 10), (12, 30), (13, 20)]


@given(any_events(), st.sets(st.sampled_from(EVERY_KIND)))
def test_needed_events_are_the_same_whether_others_are_built_or_not(
    batches: list[list[Event]], kinds: set[type[Event]]
) -> None:
    needed = {*kinds, events.Configured, events.LogEnded}
    found = list(read_events(written(batches), fail, kinds=kinds))
    assert [event for event in found if type(event) in needed] == [
        event for event in whole([event for batch in batches for event in batch]) if type(event) in needed
    ]


# Damage.


def test_a_line_that_refers_to_a_missing_one_is_reported_and_the_rest_is_read() -> None:
    lines = written([JOB])
    found, defects = read([*lines[:1], *lines[2:]])
    assert found == whole(JOB)[:1]
    assert defects[:2] == [
        "seq 2 to 3 are missing",
        "seq 4 (exchanged) cannot be read: the line of its job, seq 2, is missing",
    ]
    found, defects = read([*lines[:4], *lines[5:]])
    assert [event.seq for event in found] == [1, 2, 3, 4, 5, 6, 7]
    assert defects[1] == "seq 9 (progressed) cannot be read: a line that it refers to is missing"


def test_an_event_whose_time_stood_in_a_missing_line_is_not_dated_by_another() -> None:
    lines = written([JOB])
    found, defects = read([*lines[:5], lines[6]])
    assert [event.seq for event in found] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert defects == [
        "seq 9 to 11 are missing",
        "seq 12 (node_finished) cannot be read: a line that it refers to is missing",
    ]


@pytest.mark.parametrize("frames", [7, -1, 10**30, "2", None])
def test_a_number_of_messages_that_cannot_be_is_a_defect_or_nothing(frames: Any) -> None:
    line = json.dumps({"frames": frames, "kind": "healed", "seq": 1, "at_ms": 0}).encode()
    _, defects = read([line])
    assert len(defects) == (0 if frames == -1 else 1)


# Logs of other versions.

FULL = b"""\
{"kind":"configured","seq":1,"at_ms":0,"config":{"farm":{"seed":1},"instance":[{"name":"a"},{"name":"b"}]}}
{"kind":"server_ready","seq":2,"at_ms":0,"instance":"a","epoch":1}
{"kind":"server_ready","seq":3,"at_ms":0,"instance":"b","epoch":1}
{"kind":"frame_sent","seq":4,"at_ms":5,"instance":"a","epoch":1,"type":"status","to":["me"],"shown":0}
{"kind":"submitted","seq":5,"at_ms":10,"instance":"a","epoch":1,"prompt_id":"p","number":0,"job":"j","client_id":"me",\
"outputs":["9"],"queue_remaining":1}
{"kind":"frame_sent","seq":6,"at_ms":10,"instance":"a","epoch":1,"type":"status","to":["me"],"shown":1}
{"kind":"exchanged","seq":7,"at_ms":10,"instance":"a","epoch":1,"method":"POST","path":"/prompt","status":200,\
"size_bytes":85,"began_ms":10,"prompt_id":"p","job":"j"}
{"kind":"taken","seq":8,"at_ms":10,"instance":"a","epoch":1,"prompt_id":"p","job":"j","ordinal":1,"client_id":"me",\
"queue_remaining":1}
{"kind":"frame_sent","seq":9,"at_ms":10,"instance":"a","epoch":1,"type":"status","to":["me"],"shown":1}
{"kind":"started","seq":10,"at_ms":10,"instance":"a","epoch":1,"prompt_id":"p"}
{"kind":"succeeded","seq":11,"at_ms":40,"instance":"a","epoch":1,"prompt_id":"p"}
{"kind":"finished","seq":12,"at_ms":40,"instance":"a","epoch":1,"prompt_id":"p","work":{"nodes":{"KSampler":1},\
"steps":[[1.0,2]]},"status":"success","queue_remaining":0}
"""

SHORT = b"""\
{"kind":"configured","seq":1,"at_ms":0,"config":{"farm":{"seed":1},"instance":[{"name":"a"},{"name":"b"}]}}
{"kind":"server_ready","seq":2,"at_ms":0,"instance":"a","epoch":1}
{"kind":"server_ready","seq":3,"at_ms":0,"instance":"b","epoch":1}
{"kind":"frame_sent","seq":4,"at_ms":5,"instance":"a","epoch":1,"type":"status","to":["me"],"shown":0}
{"frames":1,"kind":"submitted","seq":5,"at_ms":10,"instance":"a","epoch":1,"prompt_id":"p","number":0.0,"job":"j",\
"client_id":"me","outputs":["9"],"queue_remaining":1}
{"of":5,"kind":"exchanged","seq":7,"method":"POST","path":"/prompt","status":200,"size_bytes":85}
{"of":5,"kind":"taken","seq":8,"ordinal":1,"queue_remaining":1,"frames":1}
{"of":5,"kind":"started","seq":10}
{"of":5,"kind":"succeeded","seq":11,"at_ms":40}
{"of":5,"kind":"finished","seq":12,"work":{"nodes":{"KSampler":1},"steps":[[1.0,2]]},"status":"success",\
"queue_remaining":0}
"""


def test_a_log_of_an_earlier_version_which_has_all_fields_is_judged_as_one_with_short_lines() -> None:
    full, short = FULL.splitlines(keepends=True), SHORT.splitlines(keepends=True)
    assert read(full) == read(short)
    assert b"".join(written([read(full)[0]])) == SHORT
    analyses = [analyse_saved(lines) for lines in (full, short)]
    verdicts, placements = {as_json(a.verdict()) for a in analyses}, {as_json(a.placement()) for a in analyses}
    assert (len(verdicts), len(placements)) == (1, 1)
    assert analyses[0].verdict().succeeded == 1


def test_what_is_made_for_a_test_is_read_as_it_was_made() -> None:
    made = log(farm("a", "b"), ran("j1", on="a", at=10, until=50, file="x.png"), ran("j2", on="b", at=10, until=30))
    assert read(written([made])) == (whole(made), [])
