"""Findings about routing: each with a log that proves it, and a similar one that does not."""

from __future__ import annotations

import pytest
from msgspec import structs

from comfyfarm.events import FaultExpired
from tests.support.judging import found, only, used
from tests.support.logs import (
    Piece,
    answered,
    armed,
    asked,
    crashed,
    draining,
    farm,
    fired,
    frozen,
    healed,
    ran,
    ready,
    refused,
    refusing,
    rejected,
    started,
    submitted,
)


def test_sending_more_work_where_the_model_is_known_to_be_missing_is_told() -> None:
    first = refused("j", on="a", at=1_000, missing=["flux"])
    pieces = farm("a", "b"), used("b"), first, refused("k", on="a", at=2_000, missing=["vae", "flux"])
    finding = only(*pieces, refused("l", on="a", at=3_000, missing=["flux"]))
    assert (finding.finding, finding.severity, finding.job, finding.instance) == ("ineligible", "error", "k", "a")
    assert finding.says == (
        "k was sent to a at 2 s, and 1 more like it, though a had refused j at 1 s because it lacks flux."
    )


def test_every_thing_that_is_missing_may_be_found_out_once_on_each_instance() -> None:
    finds = refused("j", on="a", at=1_000, missing=["flux"]), refused("k", on="a", at=2_000, missing=["vae"])
    assert found(farm("a", "b"), *finds, refused("l", on="b", at=3_000, missing=["flux"])) == []


def test_what_was_under_way_when_it_was_found_out_is_innocent() -> None:
    first = refused("j", on="a", at=1_000, missing=["flux"])
    assert found(farm("a"), first, refused("k", on="a", at=1_500, missing=["flux"], began=999)) == []


def test_two_jobs_that_are_sent_in_one_moment_tell_each_other_nothing_about_what_is_missing() -> None:
    first, beside = (refused(name, on="a", at=at, missing=["m"]) for name, at in (("j", 1_000), ("k", 1_050)))
    assert found(farm("a", "b"), used("a", "b"), first, beside) == []
    after = refused("k", on="a", at=1_051, missing=["m"])
    assert found(farm("a", "b"), used("a", "b"), first, after) == [("ineligible", "k", "a")]


@pytest.mark.parametrize("do", ["garbage", "truncate"])
def test_a_refusal_that_nobody_could_read_discovers_nothing(do: str) -> None:
    first, second, third = (refused(name, on="a", at=at, missing=["m"])
                            for name, at in (("j", 1_000), ("k", 2_000), ("l", 3_000)))
    spoilt = fired("f", on="a", at=999, do=do, job="j", phase="reply", route="/prompt", prompt_id=None)
    assert found(farm("a", "b"), used("a", "b"), spoilt, first, second) == []
    assert found(farm("a", "b"), used("a", "b"), spoilt, first, second, third) == [("ineligible", "l", "a")]
    assert found(farm("a", "b"), used("a", "b"), first, second) == [("ineligible", "k", "a")]


def test_a_refusal_that_is_still_on_its_way_has_told_nobody() -> None:
    decided, answer = refused("j", on="a", at=1_000, missing=["m"])
    beside = refused("k", on="a", at=2_000, missing=["m"])
    assert found(farm("a", "b"), used("a", "b"), decided, beside) == []
    assert found(farm("a", "b"), used("a", "b"), decided, refused("j", on="a", at=2_000, missing=["m"])) == []
    assert found(farm("a", "b"), used("a", "b"), decided, answer, beside) == [("ineligible", "k", "a")]


def test_a_question_whose_answer_was_spoilt_spoils_no_refusal() -> None:
    elsewhere = fired("f", on="a", at=999, do="garbage", job="j", phase="reply", route="/queue", prompt_id=None)
    cases = [refused(name, on="a", at=at, missing=["m"]) for name, at in (("j", 1_000), ("k", 2_000))]
    other = answered("other", on="a", at=999)
    assert found(farm("a", "b"), used("a", "b"), elsewhere, other, cases) == [("ineligible", "k", "a")]


def test_new_work_for_an_instance_that_is_drained_is_told() -> None:
    pieces = farm("a"), ran("i", on="a", at=500, until=2_000), draining("a", at=1_000)
    finding = only(*pieces, ran("j", on="a", at=1_500, until=3_000), ran("k", on="a", at=1_600, until=4_000))
    assert (finding.finding, finding.severity, finding.job, finding.instance) == ("sent_to_draining", "error", "j", "a")
    assert finding.says == (
        "j was sent to a at 1.5 s, and 1 more after it, though a was draining from 1 s on, and was to get no new jobs."
    )


def test_the_load_of_a_scenario_may_go_to_an_instance_that_is_drained() -> None:
    load = structs.replace(submitted("load-1", on="a", at=1_500), is_load=True)
    assert found(farm("a"), used("a"), draining("a", at=1_000), load) == []


def test_work_from_before_or_after_a_drain_is_no_fault() -> None:
    pieces = farm("a", "b"), draining("a", at=1_000), draining("a", at=2_000, ends=True)
    work = ran("i", on="a", at=999, until=1_500), ran("j", on="a", at=2_000, until=3_000)
    assert found(*pieces, *work, ran("k", on="b", at=1_500, until=3_000)) == []
    slow = submitted("l", on="a", at=1_001), answered("l", on="a", at=1_001, began=999)
    assert found(*pieces, *work, used("b"), slow, ran("l", on="a", at=1_001, until=3_000)[2:]) == []


def test_work_that_was_under_way_when_a_drain_was_announced_is_no_fault() -> None:
    pieces = farm("a"), used("a"), draining("a", at=1_000)
    assert found(*pieces, ran("j", on="a", at=1_001, until=2_000)) == []
    assert found(*pieces, ran("j", on="a", at=1_050, until=2_000)) == []
    assert found(*pieces, ran("j", on="a", at=1_051, until=2_000)) == [("sent_to_draining", "j", "a")]
    assert found(*pieces, ran("j", on="a", at=1_050, until=2_000), wire=49) == [("sent_to_draining", "j", "a")]


def sent_in_vain(status: int, *, times: int, gap: int = 1_000) -> list[Piece]:
    """Send different jobs to instance ``b``, each after the one before has failed, and later to ``a``."""
    fails = [rejected(f"j{each}", on="b", at=1_000 + each * gap, status=status) for each in range(times)]
    return [fails, [ran(f"j{each}", on="a", at=20_000 + each, until=30_000) for each in range(times)]]


def test_sending_on_and_on_to_an_instance_that_fails_is_told() -> None:
    finding = only(farm("a", "b"), sent_in_vain(0, times=6))
    assert (finding.finding, finding.severity, finding.instance) == ("sent_to_down", "error", "b")
    assert finding.says == (
        "6 submissions one after another failed at b (5xx or no answer), from 1 s to 6 s, while a was available."
    )
    assert found(farm("a", "b"), sent_in_vain(0, times=5)) == []
    assert found(farm("a", "b"), sent_in_vain(502, times=6)) == [("sent_to_down", "j0", "b")]
    assert found(farm("a", "b"), sent_in_vain(429, times=6)) == []


def test_an_answer_in_between_shows_that_it_is_not_down() -> None:
    assert found(farm("a", "b"), sent_in_vain(500, times=6), ran("k", on="b", at=3_500, until=9_000)) == []


def test_there_has_to_be_another_to_send_to() -> None:
    assert found(farm("a", "b"), frozen("a", at=0), sent_in_vain(500, times=6)) == []
    assert found(farm("a", "b"), draining("a", at=0, ends=True), sent_in_vain(500, times=6)) != []
    lacking = [refused(f"j{each}", on="a", at=900, missing=["m"]) for each in range(6)]
    fails = [rejected(f"j{each}", on="b", at=1_000 + each * 1_000, status=500) for each in range(6)]
    ends = [ran(f"j{each}", on="b", at=20_000 + each, until=30_000) for each in range(6)]
    assert found(farm("a", "b"), [each for piece in lacking[:1] for each in piece], fails[:1], ends[:1]) == []
    assert ("sent_to_down", "j0", "b") not in found(farm("a", "b"), lacking, fails, ends)


SIX_FAIL_AT_B = [rejected(f"j{n}", on="b", at=1_000 + n * 1_000, status=503) for n in range(6)]
ALL_END_AT_B = [ran(f"j{n}", on="b", at=20_000 + n, until=30_000) for n in range(6)]
DOWN = [("sent_to_down", "j0", "b")]


def test_an_instance_that_fails_itself_is_not_available() -> None:
    pieces = farm("a", "b"), SIX_FAIL_AT_B, ALL_END_AT_B
    healthy = ran("k", on="a", at=500, until=600), ran("l", on="a", at=10_000, until=10_001)
    assert found(*pieces, healthy) == DOWN
    for status in (0, 429, 500, 503):
        failed = [rejected(name, on="a", at=at, status=status) for name, at in (("k", 500), ("l", 8_000))]
        assert found(*pieces, healthy[1], failed[0], ran("k", on="b", at=20_000, until=20_001)) == []
        assert found(*pieces, healthy[0], failed[1], ran("l", on="b", at=20_000, until=20_001)) == []


def test_an_instance_that_answers_everything_with_5xx_is_not_available() -> None:
    pieces = farm("a", "b"), used("a"), SIX_FAIL_AT_B, ALL_END_AT_B
    assert found(*pieces, asked("/system_stats", on="a", at=500, status=502)) == []
    assert found(*pieces, asked("/system_stats", on="a", at=500, status=404)) == DOWN
    back = asked("/system_stats", on="a", at=999)
    assert found(*pieces, asked("/system_stats", on="a", at=500, status=502), back) == DOWN


def test_an_instance_that_is_frozen_boots_or_refuses_connections_is_not_available() -> None:
    pieces = farm("a", "b"), used("a"), SIX_FAIL_AT_B, ALL_END_AT_B
    assert found(*pieces, frozen("a", at=500)) == []
    assert found(*pieces, refusing("a", at=500)) == []
    boot = crashed("a", at=500), started("a", at=600)
    assert found(*pieces, *boot) == []
    assert found(*pieces, *boot, ready("a", at=700, epoch=2)) == DOWN


def test_an_instance_that_was_healed_is_available_again() -> None:
    pieces = farm("a", "b"), used("a"), SIX_FAIL_AT_B, ALL_END_AT_B, rejected("k", on="a", at=500, status=503)
    end = ran("k", on="a", at=20_000, until=20_001)
    assert found(*pieces, end) == []
    assert found(*pieces, end, healed(at=600)) == DOWN


def fail_by_fault(count: int = 6) -> list[Piece]:
    """Send jobs to ``b``, on each of which the fault ``f`` fires."""
    return [
        piece
        for number in range(count)
        for piece in (
            fired("f", on="b", at=1_000 + number * 1_000, do="status", route="/prompt", job=f"j{number}"),
            rejected(f"j{number}", on="b", at=1_000 + number * 1_000, status=503),
        )
    ]


def test_an_instance_on_which_the_same_fault_is_armed_is_not_available_until_it_is_tried() -> None:
    pieces = farm("a", "b"), used("a"), fail_by_fault(), ALL_END_AT_B
    assert found(*pieces, armed("f", on=["b"], at=500)) == DOWN
    both = armed("f", on=["a", "b"], at=500)
    assert found(*pieces, both) == []
    assert found(*pieces, both, ran("k", on="a", at=600, until=700)) == DOWN


def test_an_instance_on_which_another_fault_or_none_is_armed_any_more_is_available() -> None:
    pieces = farm("a", "b"), used("a"), fail_by_fault(), ALL_END_AT_B
    other = armed("f", on=["b"], at=500), armed("g", on=["a"], at=500), fired("g", on="a", at=600)
    assert found(*pieces, other) == DOWN
    spent = FaultExpired(at_ms=900, id="f", reason="spent")
    assert found(*pieces, armed("f", on=["a", "b"], at=500), spent) == DOWN


def test_an_instance_that_refused_the_same_job_as_invalid_is_not_available_to_it() -> None:
    fails = [rejected("j", on="b", at=1_000 + n * 1_000, status=503) for n in range(6)]
    end = ran("j", on="b", at=20_000, until=20_001)
    assert found(farm("a", "b"), used("a"), fails, end) == [("sent_to_down", "j", "b")]
    assert ("sent_to_down", "j", "b") not in found(farm("a", "b"), used("a"), refused("j", on="a", at=500), fails, end)


def test_what_was_sent_all_at_once_fails_once() -> None:
    fails = [rejected(f"j{each}", on="b", at=9_000, status=0, began=1_000) for each in range(9)]
    ends = [ran(f"j{each}", on="a", at=20_000 + each, until=30_000) for each in range(9)]
    assert found(farm("a", "b"), fails, ends) == []


@pytest.mark.parametrize("status", [0, 503])
def test_jobs_that_are_sent_in_one_moment_are_no_row_of_failures(status: int) -> None:
    def burst(apart_ms: int) -> list[tuple[str, str, str]]:
        failed = [rejected(f"j{n}", on="a", at=1_000 + n * apart_ms, status=status) for n in range(6)]
        well = [ran(f"j{n}", on="b", at=5_000, until=5_001) for n in range(6)]
        return found(farm("a", "b"), used("a", "b"), failed, well)

    assert burst(0) == []
    assert burst(50) == []
    assert burst(51) == [("sent_to_down", "j0", "a")]
