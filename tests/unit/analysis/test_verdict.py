"""The verdict, and the page that defines it."""

from __future__ import annotations

import re
from pathlib import Path
from pickle import dumps
from random import Random

from comfyfarm.analysis.findings import RULES
from comfyfarm.analysis.verdict import VerdictBuilder
from comfyfarm.events import Event
from tests.support.judging import verdict_of
from tests.support.logs import (
    Piece,
    armed,
    asked,
    configured,
    crashed,
    delivered,
    draining,
    farm,
    fetched,
    fired,
    forgot_history,
    frozen,
    healed,
    interrupt,
    loaded,
    log,
    ran,
    ready,
    refused,
    refusing,
    rejected,
    reset,
    seen,
    set_to,
    showed,
    socket_closed,
    socket_opened,
    started,
    submitted,
    taken,
    taken_out,
    thawed,
    unloaded,
    written,
)

PAGE = (Path(__file__).parents[3] / "docs" / "verdict.md").read_text(encoding="utf-8")


def test_a_perfect_run_passes() -> None:
    runs = ran("j", on="a", at=0, until=9, file="j"), ran("k", on="b", at=0, until=9, file="k")
    taken_all = fetched("j", on="a", at=10), fetched("k", on="b", at=12)
    verdict = verdict_of(farm("a", "b"), runs, taken_all)
    assert (verdict.verdict, verdict.findings) == ("pass", ())
    assert (verdict.jobs, verdict.attempts, verdict.succeeded) == (2, 2, 2)
    assert (verdict.at_ms, verdict.seq) == (12, 19)


def test_errors_come_first_and_decide() -> None:
    runs = ran("j", on="a", at=0, until=9), ran("j", on="a", at=20, until=29), submitted("k", on="a", at=30)
    verdict = verdict_of(farm("a", "b"), runs)
    assert [each.finding for each in verdict.findings] == ["ran_twice", "unfinished", "instance_never_used"]
    assert verdict.verdict == "fail"


def test_a_run_without_a_job_is_no_pass() -> None:
    assert verdict_of().verdict == "unknown"
    assert verdict_of(configured("a")).verdict == "unknown"


def test_the_page_defines_every_finding_and_no_other() -> None:
    assert sorted(re.findall(r"^### (\w+)$", PAGE, re.MULTILINE)) == sorted(RULES)


def test_the_page_names_the_errors_that_rest_on_absence() -> None:
    listed = PAGE.rpartition("rest on absence (")[2].partition(")")[0]
    errors = set(re.findall(r"\*(\w+)\*", listed))
    others = {"failing_server", "fault_never_fired", "instance_never_used", "no_job", "nothing_taken"}
    assert {name for name, kind in RULES.items() if kind.by_absence} == errors | others


def everything() -> list[Event]:
    """Return a log with many kinds of events."""
    return log(
        configured("a", "b", "c"),
        [ready(each, at=0) for each in "abc"],
        socket_opened(on="a", at=1),
        loaded("a", "m", at=5, job="j1"),
        ran("j1", on="a", at=2, until=90, file="x.png"),
        ran("j2", on="b", at=3, until=80, ends="error"),
        ran("j2", on="a", at=81, begins=91, until=120, ends="interrupted"),
        interrupt(on="a", at=100, hit="j2", job="j1"),
        ran("j2", on="c", at=130, until=140),
        refused("j3", on="a", at=10, missing=["m"]),
        refused("j3", on="a", at=11, missing=["m"]),
        [rejected("j4", on="c", at=at, status=503, retry_after_ms=1_000) for at in range(20, 26)],
        submitted("j5", on="b", at=150),
        taken("j5", on="b", at=151),
        written("j5", on="b", at=152, name="y.png"),
        armed("f", on=["b"], at=0),
        fired("f", on="b", at=155, job="j5"),
        crashed("b", at=155, lost=["j5"]),
        started("b", at=160),
        ready("b", at=161, epoch=2),
        frozen("c", at=170),
        thawed("c", at=171),
        refusing("c", at=172),
        refusing("c", at=173, ends=True),
        draining("a", at=120),
        submitted("j6", on="a", at=175),
        taken_out("j6", on="a", at=176),
        set_to("a", at=177, vram=5),
        unloaded("a", "m", at=178),
        showed(2, on="a", at=179),
        socket_closed(on="a", at=180),
        seen("j1", on="a", at=181),
        fetched("x.png", on="a", at=182),
        forgot_history("j1", on="a", at=183),
        delivered("j1", at=184, prompt_id="j1@a", stamp_job="j2"),
        delivered("j5", at=185),
        reset("c", at=186),
        healed(at=190),
        asked("/history", on="a", at=900_000),
    )


def builder_of(events: list[Event]) -> VerdictBuilder:
    builder = VerdictBuilder()
    for event in events:
        builder.on_event(event)
    return builder


def test_a_log_may_begin_late_end_early_and_have_holes() -> None:
    events, chance = everything(), Random(5)
    for _ in range(300):
        share = chance.random()
        part = [each for each in events if chance.random() < share]
        builder_of(part).verdict()
    for cut in range(len(events)):
        builder_of(events[:cut]).verdict()
        builder_of(events[cut:]).verdict()


def test_a_log_may_be_out_of_order() -> None:
    events, chance = everything(), Random(6)
    for _ in range(100):
        chance.shuffle(events)
        builder_of(events).verdict()


def test_judging_in_between_changes_nothing() -> None:
    events = everything()
    often = VerdictBuilder()
    for event in events:
        often.on_event(event)
        often.verdict()
    assert often.verdict() == builder_of(events).verdict()
    assert len(often.verdict().findings) > 8


def test_questions_and_messages_without_end_take_no_memory() -> None:
    """What is kept is bounded by jobs and clients, not by events."""
    builder = builder_of(log(farm("a"), ran("j", on="a", at=0, until=1, file="x.png"), submitted("k", on="a", at=2)))
    for _ in range(2):
        noise: list[Piece] = [
            [seen("j", on="a", at=2), fetched("x.png", on="a", at=2), asked("/queue", on="a", at=2)],
            [socket_opened(on="a", at=2), showed(1, on="a", at=2), frozen("a", at=2), thawed("a", at=2)],
            interrupt(on="a", at=2, meant="j", hit="k"),
        ]
        before = len(dumps(builder))
        for event in log([noise] * 1_000):
            builder.on_event(event)
        grown_bytes = len(dumps(builder)) - before
    assert abs(grown_bytes) < 100
