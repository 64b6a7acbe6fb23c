"""The timeline as a trace, checked against the fields that the Trace Event Format documents."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from itertools import combinations
from typing import Any

import msgspec
import pytest

from comfyfarm.analysis.timeline.perfetto import as_trace
from comfyfarm.events import Paused, Progressed
from tests.support.logs import (
    Piece,
    configured,
    crashed,
    delivered,
    farm,
    finished,
    fired,
    frozen,
    healed,
    loaded,
    ran,
    ready,
    refused,
    submitted,
    taken,
    thawed,
    written,
)
from tests.support.timelines import HOSTILE, timeline_of

Record = dict[str, Any]

EVERYTHING: list[Piece] = [
    *(configured("a", "b"), ready("a", at=100), ready("b", at=150)),
    *(submitted("j1", on="a", at=200), taken("j1", on="a", at=300), loaded("a", "m", at=500, job="j1")),
    Progressed(at_ms=600, instance="a", epoch=1, prompt_id="j1@a", node="3", value=1, max=1),
    *(written("j1", on="a", at=650, name="x.png"), finished("j1", on="a", at=650), delivered("j1", at=800)),
    *(submitted("j2", on="a", at=400), taken("j2", on="a", at=700), fired("f", on="a", at=900, job="j2")),
    *(crashed("a", at=900, kept=("queue",)), ready("a", at=1200, epoch=2), taken("j2", on="a", at=1200, epoch=2)),
    *(finished("j2", on="a", at=1500, epoch=2), refused("j3", on="b", at=300), submitted("j3", on="b", at=400)),
    *(frozen("b", at=500), Paused(at_ms=600, instance="b", epoch=1), thawed("b", at=800), healed(at=1600)),
]
REQUIRED = {        # by phase: what must be there; what may be there besides
    "M": ({"name", "ph", "pid", "args"}, {"tid", "ts"}),
    "X": ({"name", "cat", "ph", "ts", "dur", "pid", "tid"}, {"args"}),
    "b": ({"name", "cat", "ph", "ts", "id", "pid", "tid"}, {"args"}),
    "e": ({"name", "cat", "ph", "ts", "id", "pid", "tid"}, {"args"}),
    "i": ({"name", "ph", "ts", "pid", "tid", "s"}, {"cat", "args"}),
    "C": ({"name", "ph", "ts", "pid", "args"}, {"tid"}),
}
META = {"process_name": str, "process_sort_index": int, "thread_name": str}


def trace(*pieces: Piece) -> list[Record]:
    """Return the records as parsed from the file."""
    whole = json.loads(msgspec.json.encode(as_trace(timeline_of(*pieces))))
    assert set(whole) == {"traceEvents", "displayTimeUnit"}
    assert whole["displayTimeUnit"] in ("ms", "ns")
    records: list[Record] = whole["traceEvents"]
    return records


def of(records: list[Record], phase: str, **facts: Any) -> list[Record]:
    return [each for each in records if each["ph"] == phase and all(each.get(key) == facts[key] for key in facts)]


def test_every_record_has_the_fields_of_its_phase() -> None:
    """Each record has all required fields and no unknown ones, of the right types; every phase occurs."""
    records = trace(*EVERYTHING)
    assert {each["ph"] for each in records} == set(REQUIRED)
    for each in records:
        required, optional = REQUIRED[each["ph"]]
        assert required <= set(each) <= required | optional, each
        assert isinstance(each["name"], str)
        assert each["name"]
        assert all(type(each[key]) is int and each[key] >= 0 for key in {"pid", "tid", "ts", "dur"} & set(each)), each
        assert isinstance(each.get("args", {}), dict)


def test_metadata_names_every_process_and_thread() -> None:
    records = trace(*EVERYTHING)
    for each in of(records, "M"):
        (value,) = each["args"].values()
        assert isinstance(value, META[each["name"]]), each
    named = Counter((each["name"], each["pid"], each["tid"]) for each in of(records, "M"))
    assert set(named.values()) == {1}
    used = {(each["pid"], each["tid"]) for each in records if each["ph"] in "Xb"}
    assert used <= {(each["pid"], each["tid"]) for each in of(records, "M", name="thread_name")}
    assert {each["pid"] for each in records} == {each["pid"] for each in of(records, "M", name="process_name")}
    names = {each["args"]["name"] for each in of(records, "M", name="process_name")}
    assert names == {"farm", "a", "b"}


def test_asynchronous_spans_are_pairs() -> None:
    """One beginning and one end of the same category, id and name, in this order; no id stands for two."""
    pairs = defaultdict(list)
    for each in trace(*EVERYTHING):
        if each["ph"] in "be":
            pairs[each["cat"], each["id"], each["name"]].append((each["ph"], each["ts"]))
    for (begun, from_us), (ended, to_us) in pairs.values():
        assert (begun, ended) == ("b", "e")
        assert from_us < to_us
    assert len({name for _, name, _ in pairs}) == len(pairs) == 4


def test_spans_of_one_thread_lie_within_each_other_or_apart() -> None:
    threads = defaultdict(list)
    for each in of(trace(*EVERYTHING), "X"):
        threads[each["pid"], each["tid"]].append((each["ts"], each["ts"] + each["dur"]))
    assert len(threads) == 5
    for spans in threads.values():
        spans.sort(key=lambda each: (each[0], -each[1]))
        for (_, ended), (other_begun, other_ended) in combinations(spans, 2):
            assert other_begun >= ended or other_ended <= ended


def test_moments_are_microseconds() -> None:
    """A run, what it spent on a model and on its file, and both runs of a job that outlasted a crash."""
    records = trace(*EVERYTHING)
    spans = {
        name: [(each["ts"], each["dur"]) for each in of(records, "X", name=name)]
        for name in ("j1", "loading", "saving", "j2", "down")
    }
    assert spans == {
        "j1": [(300_000, 350_000)],
        "loading": [(300_000, 200_000)],
        "saving": [(600_000, 50_000)],
        "j2": [(700_000, 200_000), (1_200_000, 300_000)],
        "down": [(0, 100_000), (900_000, 300_000), (0, 150_000)],
    }


def test_a_run_tells_how_it_ended() -> None:
    (run,) = of(trace(*EVERYTHING), "X", name="j1")
    assert run["args"] == {"job": "j1", "prompt_id": "j1@a", "attempt": 1, "end": "success"}
    (open_one,) = of(trace(*EVERYTHING), "b", name="j3")
    assert open_one["args"] == {"job": "j3", "prompt_id": "j3@b", "attempt": 2, "end": "open"}


def test_marks_are_instants_of_their_process() -> None:
    instants = of(trace(*EVERYTHING), "i")
    assert [(each["cat"], each["ts"], each["s"], each["pid"]) for each in instants] == [
        ("heal", 1_600_000, "g", 0),
        ("delivered", 800_000, "p", 1),
        ("fault", 900_000, "p", 1),
        ("refused", 300_000, "p", 2),
        ("retry", 400_000, "p", 2),
    ]


def test_the_queue_is_a_counter() -> None:
    counted = [(each["ts"], each["args"]["jobs"]) for each in of(trace(*EVERYTHING), "C", pid=1)]
    assert counted == [(200_000, 1), (300_000, 0), (400_000, 1), (700_000, 0), (900_000, 1), (1_200_000, 0)]


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_can_be_read_back(name: str) -> None:
    """The file is valid UTF-8 and JSON, and long names are cut."""
    records = trace(farm(f"a{name}"), ran(f"j{name}", on=f"a{name}", at=0, until=10))
    assert len(of(records, "X")) == 1
    assert max(len(each["name"]) for each in records) <= 200


def test_an_empty_run_is_a_trace() -> None:
    assert trace() == []
