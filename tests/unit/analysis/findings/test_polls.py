"""The finding about polls: logs that prove it, and similar ones that do not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.judging import found, only, used
from tests.support.logs import Piece, asked, farm, ran


def test_asking_too_often_is_told() -> None:
    polls = [asked("/api/queue", on="a", at=each) for each in range(205)] + [asked("/history/j@a", on="a", at=500)] * 2
    finding = only(farm("a"), ran("j", on="a", at=0, until=1), polls)
    assert (finding.finding, finding.severity) == ("costly_polls", "warning")
    assert finding.says == (
        "For 1 accepted job, the state was requested 203 times (2 of /history, 201 of /queue), and the answers had "
        "20300 bytes: 203.0 requests and 20300 bytes for each job; 200 and 4194304 are allowed."
    )
    assert found(farm("a"), ran("j", on="a", at=0, until=1), polls[7:]) == []
    assert found(farm("a"), polls) == [("no_job", "", "")]


def every(gap_ms: int, path: str, **more: Any) -> list[Piece]:
    """Each of two instances gets 600 requests."""
    return [asked(path, on=on, at=n * gap_ms, **more) for on in ("a", "b") for n in range(600)]


@pytest.mark.parametrize("path", ["/", "/system_stats", "/api/queue", "/queue", "/prompt"])
def test_health_checks_are_no_polls(path: str) -> None:
    pieces = farm("a", "b"), used("a", "b")
    assert found(*pieces, every(500, path)) == []
    assert found(*pieces, every(2_000, path), every(1_000, "/system_stats"), every(10, "/object_info")) == []
    for method in ("HEAD", "OPTIONS"):
        assert found(*pieces, every(1, path, method=method)) == []


@pytest.mark.parametrize("path", ["/system_stats", "/queue", "/prompt"])
def test_a_request_that_is_large_frequent_or_a_clients_own_is_no_health_check(path: str) -> None:
    pieces = farm("a", "b"), used("a", "b")
    for polls in (every(100, path), every(2_000, path, size_bytes=4_097), every(2_000, path, client_id="c")):
        assert found(*pieces, polls) == [("costly_polls", "", "")]


@pytest.mark.parametrize("path", ["/history", "/history/j@a", "/jobs"])
def test_whoever_asks_for_history_waits_for_jobs_and_checks_no_health(path: str) -> None:
    assert ("costly_polls", "", "") in found(farm("a", "b"), used("a", "b"), every(2_000, path))


def test_asking_for_too_much_is_told() -> None:
    pieces = farm("a"), ran("j", on="a", at=0, until=1)
    assert found(*pieces, asked("/history", on="a", at=5, size_bytes=4 * 1024 * 1024 + 1)) == [("costly_polls", "", "")]
    assert found(*pieces, asked("/history", on="a", at=5, size_bytes=4 * 1024 * 1024)) == []
    assert found(*pieces, asked("/object_info", on="a", at=5, size_bytes=5 * 1024 * 1024)) == []
