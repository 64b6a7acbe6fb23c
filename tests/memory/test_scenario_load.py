"""The jobs that a scenario sends stand in the way of the system under test; nobody else answers for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from comfyfarm.testing import MemoryFarm
from comfyfarm.workflows import text_to_image

Start = Callable[[Any], MemoryFarm]
JAM = {
    "farm": {"seed": 1, "delivery": "none"},
    "instance": [{"name": "gpu-{n}", "count": 2}],
    "scenario": [{"name": "jam", "step": [{"at": "0s", "load": {"on": "gpu-1", "jobs": 4}}]}],
}


def post(farm: MemoryFarm, name: str, job: str) -> None:
    body = {"prompt": text_to_image(), "client_id": "me", "extra_data": {"comfyfarm_job": job}}
    assert farm[name].ask("POST", "/prompt", json=body).status == 200


def test_a_load_that_dies_with_its_server_is_lost_by_nobody(memory_farm: Start) -> None:
    farm = memory_farm(JAM)
    farm.control("POST", "/api/instances/gpu-1/crash", json={"restart_after": "1s"})
    post(farm, "gpu-2", "mine")
    farm.advance("60s")
    verdict = farm.verdict()
    assert (verdict.jobs, verdict.attempts, verdict.succeeded) == (1, 1, 1)
    assert [each.finding for each in verdict.findings if each.severity in ("error", "unknown")] == []


def test_a_job_of_ones_own_in_the_same_crash_is_lost_by_its_client(memory_farm: Start) -> None:
    farm = memory_farm(JAM)
    post(farm, "gpu-1", "mine")
    farm.control("POST", "/api/instances/gpu-1/crash", json={"restart_after": "1s"})
    farm.advance("60s")
    assert [(each.finding, each.job) for each in farm.verdict().findings if each.severity == "error"] == [
        ("lost", "mine"),
    ]


def test_who_sends_a_job_behind_a_load_has_chosen_badly_and_the_load_has_not(memory_farm: Start) -> None:
    farm = memory_farm(JAM)
    post(farm, "gpu-1", "mine")
    farm.run_until_idle()
    placement = farm.placement()
    assert (placement.jobs, placement.dispatches, placement.depth_error.worst) == (1, 1, 4)
    assert placement.utilisation.by_instance == {"gpu-1": 1.0, "gpu-2": 0.0}
    regret = placement.regret
    assert regret is not None
    saved_ms = 5 * (regret.tested.mean_wait_ms - regret.policies["shortest_queue"].mean_wait_ms)
    assert round(saved_ms) == placement.waits.worst_ms      # "mine" need not have waited; the load has no choice


def test_an_interrupt_that_stops_a_load_stopped_a_strangers_job(memory_farm: Start) -> None:
    farm = memory_farm(JAM)
    farm.advance("20ms")
    farm["gpu-1"].ask("POST", "/interrupt", json={}, headers={"X-Comfyfarm-Job": "mine"})
    farm.run_until_idle()
    assert [(each.finding, each.job) for each in farm.verdict().findings if each.severity == "error"] == [
        ("wrong_cancel", "load-1"),
    ]
