"""Is the verdict right about clients?  One that does everything right, and some that do one thing wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from comfyfarm.analysis.findings import RULES, Finding
from comfyfarm.analysis.verdict import Verdict
from comfyfarm.testing import MemoryFarm
from tests.memory.clients.broken import BROKEN, BrokenClient
from tests.memory.clients.drawn import drawn_stage
from tests.memory.clients.perfect import PerfectClient
from tests.memory.clients.stage import Stage, play
from tests.memory.clients.staged import staged

ABOUT_THE_FARM = {
    *("fault_never_fired", "instance_never_used", "internal", "log_incomplete", "no_job", "nothing_taken"),
    *("stuck", "unfinished", "unnamed"),
}


def about_the_client(verdict: Verdict) -> list[Finding]:
    """All but the notes, which are about the test."""
    return [each for each in verdict.findings if each.severity != "note"]


def said(verdict: Verdict) -> str:
    """What was found, for the report."""
    return "\n".join(f"{each.finding}: {each.says}" for each in about_the_client(verdict))


def expect_nothing(stage: Stage) -> PerfectClient:
    """Let the perfect client play; nothing may be found."""
    client, verdict = play(stage, PerfectClient)
    assert client.is_done
    assert (verdict.verdict, said(verdict)) == ("pass", ""), stage
    return client


@pytest.mark.parametrize("seed", range(80))
def test_a_perfect_client_passes_whatever_goes_wrong(seed: int) -> None:
    """A load, an assortment of faults and a farm, all by chance; every job that can be done is delivered."""
    client = expect_nothing(drawn_stage(seed))
    undone = {each.name for each in client.orders if each.state != "done"}
    assert undone <= {"wrong", "unwanted"} or any(each.failures or each.kills for each in client.orders)


def test_a_perfect_client_meets_almost_every_fault() -> None:
    """The stages by chance are no idle ones: together they have faults of many kinds, and many fire."""
    kinds = {fault["do"] for seed in range(80) for fault in drawn_stage(seed).faults}
    assert len(kinds) > 20
    fire_faults = [play(drawn_stage(seed), PerfectClient)[1] for seed in range(10)]
    assert sum(verdict.attempts > verdict.jobs for verdict in fire_faults) > 3


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_client_gets_the_finding_that_it_earned_and_no_other(kind: type[BrokenClient], seed: int) -> None:
    """One thing is wrong with it, and that is found, for the jobs that it did wrong by."""
    client, verdict = play(staged(kind, seed), kind)
    found = about_the_client(verdict)
    assert {each.finding for each in found} == {kind.earns}, said(verdict)
    jobs = {each.job for each in found if each.job}
    assert jobs == client.wronged if kind.tells_all else set() < jobs <= client.wronged


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", BROKEN)
def test_where_a_broken_client_fails_a_perfect_one_passes(kind: type[BrokenClient], seed: int) -> None:
    expect_nothing(staged(kind, seed))


def test_a_body_that_was_too_large_is_not_to_be_sent_again(memory_farm: Callable[[Any], MemoryFarm]) -> None:
    """The body is dropped unread, so that the header has to say whose it is."""
    farm = memory_farm({"instance": [{"name": "gpu-{n}", "count": 2, "max_upload_size": "1KB"}]})
    for name in ("gpu-1", "gpu-2"):
        reply = farm[name].ask("POST", "/prompt", data=bytes(2_000), headers={"X-Comfyfarm-Job": "poster"})
        assert reply.status == 413
    finding, unknown = farm.verdict().findings
    assert (finding.finding, finding.job, finding.instance) == ("resubmitted", "poster", "gpu-2")
    assert (unknown.finding, unknown.severity) == ("undelivered", "unknown")


def test_there_is_a_broken_client_for_every_finding_about_clients() -> None:
    assert {kind.earns for kind in BROKEN} == set(RULES) - ABOUT_THE_FARM
