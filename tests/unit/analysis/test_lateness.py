"""What the verdict says of a client while the farm itself was late."""

from __future__ import annotations

import pytest

from comfyfarm.analysis.findings import Finding
from comfyfarm.analysis.lateness import Lateness
from comfyfarm.events import FarmLate
from tests.support.judging import found, only, used, verdict_of
from tests.support.logs import (
    Piece,
    asked,
    draining,
    farm,
    farm_late,
    healed,
    order,
    ran,
    refused,
    rejected,
    submitted,
    taken,
)

UNKNOWN = "(Unknown: the farm itself was late in that time.)"

def named(name: str, *pieces: Piece) -> Finding:
    """Return the only finding of a rule."""
    (finding,) = (finding for finding in verdict_of(*pieces).findings if finding.finding == name)
    return finding


def at_last(ms: int) -> Piece:
    """Something of no interest at the time of the verdict."""
    return asked("/object_info", on="a", at=ms)

def test_the_time_in_which_the_farm_was_late_is_no_clients() -> None:
    """A job that was not accepted: its client has that much more time to send it again, and no more."""
    pieces = farm("a"), rejected("j", on="a", at=1_000, status=503), farm_late(since=2_000, until=7_000)
    finding = only(*pieces, at_last(35_999))
    assert (finding.finding, finding.severity, finding.job) == ("unfinished", "unknown", "j")
    assert finding.says == (
        "j was answered 503 by a at 1 s, and its client has had only 34.999 s to send it again; for 5 s of that time "
        "the farm itself was late."
    )
    assert found(*pieces, at_last(36_000)) == [("no_retry", "j", "a")]
    assert found(*pieces, at_last(36_000), reaction=30_001) == [("unfinished", "j", "a")]

def test_a_farm_that_was_late_before_or_long_after_excuses_nothing() -> None:
    pieces = farm("a"), rejected("j", on="a", at=10_000, status=503)
    early, late = farm_late(since=2_000, until=9_000), farm_late(since=100_000, until=105_000)
    assert found(*pieces, early, at_last(40_000)) == [("no_retry", "j", "a")]
    assert found(*pieces, late, at_last(106_000)) == [("no_retry", "j", "a")]

def test_a_short_lateness_excuses_nothing() -> None:
    """As short as ``lag`` allows."""
    pieces = farm("a"), rejected("j", on="a", at=1_000, status=503), farm_late(since=2_000, until=2_500)
    assert found(*pieces, at_last(31_000)) == [("no_retry", "j", "a")]
    assert found(*pieces, at_last(31_000), lag=499) == [("unfinished", "j", "a")]

def test_a_result_may_be_taken_later() -> None:
    pieces = farm("a"), ran("j", on="a", at=0, until=1_000), farm_late(since=2_000, until=7_000)
    assert found(*pieces, at_last(35_999), delivery="http") == [("unfinished", "j", "")]
    assert found(*pieces, at_last(36_000), delivery="http") == [("orphaned", "j", "a")]

def test_an_order_may_be_sent_later() -> None:
    pieces = farm("a"), used("a"), order("j", at=1_000), farm_late(since=2_000, until=7_000)
    finding = only(*pieces, at_last(35_999))
    assert finding.says == (
        "j was ordered at 1 s, and nothing has been sent for it so far; for 5 s of that time the farm itself was late."
    )
    assert found(*pieces, at_last(36_000)) == [("undelivered", "j", "")]

def test_what_a_late_farm_has_not_ended_is_not_stuck_yet() -> None:
    pieces = farm("a"), submitted("j", on="a", at=0), taken("j", on="a", at=1), healed(at=5_000)
    late = farm_late(since=6_000, until=16_000)
    finding = only(*pieces, late, at_last(615_000))
    assert finding.says == (
        "j still runs on a, since 0.001 s; the run was judged before its end; for 10 s of that time the farm itself "
        "was late."
    )
    assert found(*pieces, late, at_last(615_001)) == [("stuck", "j", "a")]

def test_failures_while_the_farm_was_late_do_not_show_that_an_instance_is_down() -> None:
    """The client may have given up waiting for the farm."""
    fails = [rejected(f"j{number}", on="b", at=1_000 + number * 1_000, status=0) for number in range(6)]
    again = [ran(f"j{number}", on="a", at=20_000 + number, until=30_000) for number in range(6)]
    pieces = farm("a", "b"), fails, again
    finding = only(*pieces, farm_late(since=2_500, until=3_500))
    assert (finding.finding, finding.severity) == ("sent_to_down", "unknown")
    assert finding.says.endswith(UNKNOWN)
    assert verdict_of(*pieces, farm_late(since=2_500, until=3_500)).verdict == "unknown"
    assert only(*pieces, farm_late(since=7_000, until=8_000)).severity == "error"
    assert only(*pieces, farm_late(since=2_500, until=3_000)).severity == "error"

def test_a_storm_at_a_late_farm_is_unknown() -> None:
    tries = [rejected("j", on="a", at=each * 1_000, status=503) for each in range(11)]
    pieces = farm("a", "b"), used("b"), tries, ran("j", on="b", at=20_000, until=20_001)
    assert named("retry_storm", *pieces).severity == "error"
    assert named("retry_storm", *pieces, farm_late(since=2_500, until=3_500)).severity == "unknown"

@pytest.mark.parametrize(
    ("name", "pieces"),
    [
        ("sent_to_draining", [used("a"), draining("a", at=1_000), ran("j", on="a", at=1_200, until=2_000)]),
        ("ineligible", [
            used("b"), refused("k", on="a", at=1_000, missing=["m"]), refused("j", on="a", at=1_200, missing=["m"]),
        ]),
        ("retry_after_ignored", [
            rejected("k", on="a", at=1_000, status=429, retry_after_ms=300),
            ran("j", on="a", at=1_200, until=2_000),
            ran("k", on="a", at=3_000, until=3_001),
        ]),
        ("resubmitted", [
            order("j", at=0), order("j", at=1_000, state="withdrawn"), ran("j", on="a", at=1_200, until=2_000),
        ]),
    ],
)
def test_a_late_farm_may_have_read_a_request_long_after_it_came(name: str, pieces: list[Piece]) -> None:
    """It may have been sent before its client could know better; not if it came long enough after the lateness."""
    finding = named(name, farm("a", "b"), *pieces)
    assert finding.severity == "error"
    doubtful = named(name, farm("a", "b"), *pieces, farm_late(since=1_040, until=1_200))
    assert (doubtful.severity, doubtful.says) == ("unknown", f"{finding.says} {UNKNOWN}")
    assert named(name, farm("a", "b"), *pieces, farm_late(since=1_050, until=1_190)).severity == "error"


def test_a_job_that_comes_back_at_once_is_not_excused_without_lateness() -> None:
    pieces = farm("a"), rejected("j", on="a", at=1_000, status=429, retry_after_ms=5_000)
    assert named("retry_after_ignored", *pieces, ran("j", on="a", at=1_010, until=6_500)).severity == "error"

def test_times_that_overlap_count_once() -> None:
    """Those that nearly touch are one, so that a farm that is always late needs no memory."""
    lateness = Lateness()
    times = (100, 200, 60), (300, 500, 200), (450, 560, 80), (580, 600, 20), (900, 1_000, 100)
    for since_ms, at_ms, late_ms in times:
        lateness.on_event(FarmLate(at_ms=at_ms, since_ms=since_ms, late_ms=late_ms))
    assert lateness.within_ms(0, 2_000) == 100 + 300 + 100
    assert lateness.within_ms(150, 350) == 50 + 50
    assert lateness.within_ms(200, 300) == lateness.within_ms(600, 900) == lateness.within_ms(1_000, 2_000) == 0
    assert lateness.within_ms(0, 2_000, above_ms=100) == 300
    for number in range(1_000):
        lateness.on_event(FarmLate(at_ms=3_000 + number * 1_000, since_ms=2_040 + number * 1_000, late_ms=90))
    assert len(lateness._spans) == 4
