"""The options of each dispatch: the true state of every instance, and what the client had been shown of it."""

from __future__ import annotations

from typing import Any

import pytest

from comfyfarm.events import Work
from tests.support.logs import (
    answered,
    asked,
    crashed,
    draining,
    farm,
    finished,
    frozen,
    loaded,
    log,
    ran,
    ready,
    refused,
    refusing,
    rejected,
    reset,
    set_to,
    showed,
    started,
    submitted,
    taken,
    taken_out,
    thawed,
    unloaded,
)
from tests.support.placing import follow, option, records

SDXL = Work(nodes={"KSampler": 1}, models=(("checkpoints", "sdxl.safetensors", 100),))


def test_the_true_depth_counts_what_waits_and_what_runs() -> None:
    """Three jobs, of which one has ended by then; the job itself is not counted."""
    before = [ran("j1", on="a", at=0, until=10), submitted("j2", on="a", at=1), submitted("j3", on="a", at=2)]
    found = option("j4", "a", farm("a", "b"), before, submitted("j4", on="a", at=20))
    assert found.depth == 2
    assert option("j4", "b", farm("a", "b"), before, submitted("j4", on="a", at=20)).depth == 0


def test_what_is_taken_out_or_lost_or_forgotten_is_no_depth() -> None:
    """One job each way, on an instance each, and a fourth that stays."""
    instances = ["a", "b", "c", "d"]
    jobs = [submitted(f"j-{name}", on=name, at=1) for name in instances]
    gone = [taken_out("j-a", on="a", at=2), crashed("b", at=2, lost=["j-b"]), reset("c", at=2)]
    record = records(follow(farm(*instances), jobs, gone, submitted("late", on="d", at=3)))[-1]
    assert [seen.depth for seen in record.options] == [0, 0, 0, 1]


def test_work_left_is_what_the_runs_took_less_what_was_served() -> None:
    """j1 runs 0..100, j2 100..150, j3 is sent at 30: 70 are left of j1, and 50 of j2."""
    jobs = [
        ran("j1", on="a", at=0, until=100),
        ran("j2", on="a", at=10, begins=100, until=150),
        ran("j3", on="a", at=30, begins=150, until=160),
    ]
    found = option("j3", "a", farm("a"), jobs)
    assert (found.work_left_ms, found.is_exact) == (120, True)
    assert option("j1", "a", farm("a"), jobs).work_left_ms == 0


def test_work_left_takes_the_usual_length_of_what_has_not_ended() -> None:
    """Runs of 40, 60 and 100 have ended on a: of j4, which still waits, 60 are expected. B's are no measure for it."""
    jobs = [
        *[ran(f"k{n}", on="b", at=n, until=n + 1) for n in range(5)],
        ran("j1", on="a", at=0, until=40),
        ran("j2", on="a", at=40, until=100),
        ran("j3", on="a", at=100, until=200),
        submitted("j4", on="a", at=200),
        submitted("j5", on="a", at=210),
    ]
    found = option("j5", "a", farm("a", "b"), jobs)
    assert (found.work_left_ms, found.is_exact) == (60, False)


def test_work_left_of_a_long_open_run_is_at_least_what_it_took_so_far() -> None:
    """j1 took 10; j2 has been running for 500 when the log ends, 100 of them when j3 is sent."""
    jobs = [
        ran("j1", on="a", at=0, until=10),
        submitted("j2", on="a", at=10),
        taken("j2", on="a", at=10),
        submitted("j3", on="b", at=110),
        submitted("j4", on="b", at=510),
    ]
    found = option("j3", "a", farm("a", "b"), jobs)
    assert (found.work_left_ms, found.is_exact) == (400, False)


def test_a_usual_length_is_the_farms_where_the_instance_has_none() -> None:
    """Only b has ended a run, in 70."""
    jobs = [ran("j1", on="b", at=0, until=70), submitted("j2", on="a", at=80), submitted("j3", on="a", at=90)]
    assert option("j3", "a", farm("a", "b"), jobs).work_left_ms == 70


def test_models_are_in_memory_loadable_or_missing() -> None:
    """A has it, b could load it, c does not have the file."""
    fleet = farm("a", "b", {"name": "c", "models": {"checkpoints": ["other.safetensors:1GB"]}})
    pieces = [fleet, loaded("a", "sdxl.safetensors", at=0), ran("j", on="a", at=5, until=9, work=SDXL)]
    found = {name: option("j", name, *pieces) for name in "abc"}
    assert {name: seen.models for name, seen in found.items()} == {"a": "in_memory", "b": "loadable", "c": "missing"}
    assert [seen.is_eligible for seen in found.values()] == [True, True, False]


def test_a_model_that_went_out_of_memory_is_loadable_again() -> None:
    """Loaded, and out again before the job was sent."""
    pieces = [loaded("a", "sdxl.safetensors", at=0), unloaded("a", "sdxl.safetensors", at=4)]
    assert option("j", "a", farm("a"), pieces, ran("j", on="a", at=5, until=9, work=SDXL)).models == "loadable"


def test_models_are_reported_as_they_were_at_each_dispatch() -> None:
    """The first of two jobs brings the model in."""
    jobs = [ran(f"j{n}", on="a", at=at, until=at + 5, work=SDXL) for n, at in ((1, 10), (2, 20))]
    pieces = [farm("a"), loaded("a", "sdxl.safetensors", at=12, job="j1"), jobs]
    assert [option(f"j{n}", "a", *pieces).models for n in (1, 2)] == ["loadable", "in_memory"]


def test_the_needs_of_a_job_that_never_ran_are_unknown() -> None:
    """Then every instance is believed to be able."""
    found = option("j", "a", farm("a"), submitted("j", on="a", at=1))
    assert (found.models, found.is_eligible) == (None, True)


@pytest.mark.parametrize(
    ("settings", "is_eligible"),
    [
        ({}, True),
        ({"missing_nodes": ["KSampler"]}, False),
        ({"missing_nodes": ["KSampler"], "validation": "lenient"}, True),
        ({"missing_nodes": ["SaveImage"]}, True),
        ({"models": {"checkpoints": ["sdxl.safetensors:6.9GB"]}}, True),
        ({"models": {"checkpoints": []}}, False),
        ({"models": {"loras": []}}, True),
        ({"models": {"loras": []}, "open_models": False}, False),
        ({"vram": "99B"}, False),
        ({"vram": "100B"}, True),
        ({"vram": "99B", "validation": "off"}, False),
        ({"vram": "much", "models": "all", "missing_nodes": 3}, True),
    ],
)
def test_eligible_is_who_has_the_nodes_and_models_and_the_memory(settings: dict[str, Any], is_eligible: bool) -> None:
    """The job ran on a: KSampler, with a model of 100 bytes; what cannot be read counts as not written."""
    fleet = farm("a", {"name": "b", **settings})
    assert option("j", "b", fleet, ran("j", on="a", at=1, until=9, work=SDXL)).is_eligible is is_eligible


def test_who_does_not_declare_a_node_type_that_others_declare_lacks_it() -> None:
    """B declares it too, c does not."""
    own: dict[str, Any] = {"node_types": {"Mine": {}}}
    fleet = farm({"name": "a", **own}, {"name": "b", **own}, "c")
    pieces = [fleet, ran("j", on="a", at=1, until=9, work=Work(nodes={"Mine": 1}))]
    assert [option("j", name, *pieces).is_eligible for name in "abc"] == [True, True, False]


def test_settings_count_as_they_were_when_the_job_was_sent() -> None:
    """B gets the node between two jobs."""
    fleet = farm("a", {"name": "b", "missing_nodes": ["KSampler"]})
    pieces = [ran("early", on="a", at=1, until=2, work=SDXL), ran("late", on="a", at=9, until=10, work=SDXL)]
    change = set_to("b", at=5, missing_nodes=[])
    assert not option("early", "b", fleet, pieces, change).is_eligible
    assert option("late", "b", fleet, pieces, change).is_eligible


def test_who_took_a_job_on_is_eligible_whatever_its_settings_say() -> None:
    """What was seen counts more than what is written: b took the first attempt on, but did not end it."""
    fleet = farm("a", {"name": "b", "missing_nodes": ["KSampler"]})
    pieces = [submitted("j", on="b", at=1), taken_out("j", on="b", at=2), ran("j", on="a", at=3, until=9, work=SDXL)]
    assert option("j", "b", fleet, pieces).is_eligible
    assert not option("j", "b", fleet, pieces[2:]).is_eligible


def test_who_refused_a_job_for_what_it_lacks_is_not_eligible() -> None:
    """The settings do not say so; the refusal does. One for another reason says nothing of that."""
    pieces = [refused("j", on="b", at=1, missing=["Rare"]), refused("j", on="c", at=2), submitted("j", on="a", at=3)]
    last = records(follow(farm("a", "b", "c"), pieces))[-1]
    assert [seen.is_eligible for seen in last.options] == [True, False, True]


def test_health_is_reported_as_it_was() -> None:
    """Down until it is ready; then frozen, refusing and drained, each for a while."""
    pieces = [
        frozen("b", at=10),
        thawed("b", at=20),
        refusing("b", at=30),
        refusing("b", at=40, ends=True),
        draining("b", at=50),
        draining("b", at=60, ends=True),
        crashed("b", at=70),
        started("b", at=80),
        ready("b", at=90, epoch=2),
    ]
    jobs = [submitted(f"j{at}", on="a", at=at) for at in range(5, 105, 10)]
    found = [option(f"j{at}", "b", farm("a", "b"), pieces, jobs) for at in range(5, 105, 10)]
    expected = ["up", "frozen", "up", "refusing", "up", "draining", "up", "down", "down", "up"]
    assert [seen.health for seen in found] == expected


def test_what_the_client_was_shown_has_its_age() -> None:
    """Its own websocket's last word, not another client's."""
    pieces = [showed(1, on="a", at=10), showed(4, on="a", at=20, to=["other"]), submitted("j", on="a", at=25)]
    found = option("j", "a", farm("a"), pieces)
    assert (found.shown, found.shown_age_ms) == (1, 15)


def test_what_was_asked_over_http_counts_where_it_is_later() -> None:
    """A poll after the websocket's last word."""
    pieces = [showed(1, on="a", at=10), asked("/prompt", on="a", at=12, shown=3), submitted("j", on="a", at=25)]
    found = option("j", "a", farm("a"), pieces)
    assert (found.shown, found.shown_age_ms) == (3, 13)
    later = option("j", "a", farm("a"), showed(2, on="a", at=20), pieces)
    assert (later.shown, later.shown_age_ms) == (2, 5)


def test_nothing_is_shown_of_who_was_never_asked_or_began_again() -> None:
    """What was shown of the epoch before means nothing."""
    pieces = [showed(1, on="a", at=10), crashed("a", at=20), started("a", at=21), ready("a", at=22, epoch=2)]
    sent = submitted("before", on="a", at=15)
    found = option("j", "a", farm("a", "b"), pieces, sent, submitted("j", on="b", at=25))
    assert (found.shown, found.shown_age_ms, found.sent_since) == (None, None, 0)


def test_a_client_knows_what_it_has_sent_itself_since_it_was_shown_a_depth() -> None:
    """Two jobs of its own, one of another's; then it is shown the depth again."""
    pieces = [
        showed(0, on="a", at=1),
        submitted("j1", on="a", at=2),
        submitted("x", on="a", at=3, client="other"),
        submitted("j2", on="a", at=4),
        submitted("j3", on="a", at=5),
        showed(4, on="a", at=6),
        submitted("j4", on="a", at=7),
    ]
    assert option("j3", "a", farm("a"), pieces).sent_since == 2
    assert option("j4", "a", farm("a"), pieces).sent_since == 0


def test_refusals_are_dispatches_too() -> None:
    """A 400, a 503 that came before anybody looked, and one that was taken on; one record each."""
    pieces = [
        refused("j", on="a", at=1),
        rejected("j", on="b", at=2, status=503),
        submitted("j", on="a", at=3),
        answered("j", on="a", at=3),
    ]
    found = records(follow(farm("a", "b"), pieces))
    assert [(record.attempt, record.instance, record.is_accepted, record.at_ms) for record in found] == [
        (1, "a", False, 1),
        (2, "b", False, 2),
        (3, "a", True, 3),
    ]


def test_a_run_that_a_stop_broke_off_waits_again_where_the_queue_is_kept() -> None:
    """j1 ran 0..40, was kept, and ran again 60..160: when j2 was sent at 50, all 100 were left."""
    pieces = [
        submitted("j1", on="a", at=0),
        taken("j1", on="a", at=0),
        crashed("a", at=40, kept=("queue",)),
        started("a", at=41),
        ready("a", at=42, epoch=2),
        submitted("j2", on="a", at=50, epoch=2),
        taken("j1", on="a", at=60, epoch=2),
        finished("j1", on="a", at=160, epoch=2),
    ]
    found = option("j2", "a", farm("a"), pieces)
    assert (found.depth, found.work_left_ms) == (1, 100)


def test_a_log_that_begins_late_is_followed_as_far_as_it_goes() -> None:
    """No configuration, and runs whose beginning is missing."""
    pieces = [finished("old", on="a", at=1), taken("older", on="b", at=2), ran("j", on="a", at=3, until=9)]
    placed = follow(pieces)
    (record,) = records(placed)
    assert [(seen.instance, seen.health, seen.depth) for seen in record.options] == [("a", "up", 0), ("b", "up", 0)]


def test_two_equal_logs_give_equal_records() -> None:
    """However often they are computed."""
    pieces: list[Any] = [farm("a", "b"), [ran(f"j{n}", on="ab"[n % 2], at=n, until=n + 30) for n in range(6)]]
    first, second = follow(*pieces), follow(*pieces)
    assert records(first) == records(second) == records(first)
    assert len(log(*pieces)) > len(records(first)) == 6
