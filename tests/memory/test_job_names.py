"""Farms that find the names of jobs where software that cannot be changed has them (docs/job-names.md)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from comfyfarm.events import Configured, Exchanged, FaultFired, InterruptAsked, PromptRefused, Submitted
from comfyfarm.testing import MemoryFarm
from comfyfarm.workflows import text_to_image

Start = Callable[[Any], MemoryFarm]


def named_by(job_name: str, *faults: dict[str, Any]) -> dict[str, Any]:
    instances = [{"name": "gpu-{n}", "count": 2, "mode": "dynamic"}]
    return {"farm": {"job_name": job_name}, "instance": instances, "fault": list(faults)}


def post(farm: MemoryFarm, on: str, request_id: str = "", **body: Any) -> int:
    headers = {"X-Request-Id": request_id} if request_id else {}
    return farm[on].ask("POST", "/prompt", json={"prompt": text_to_image(), **body}, headers=headers).status


def names(farm: MemoryFarm) -> list[str]:
    return [event.job for event in farm.farm.log.of(Submitted)]


def errors(farm: MemoryFarm) -> list[tuple[str, str]]:
    return [(finding.finding, finding.job) for finding in farm.verdict().findings if finding.severity == "error"]


def test_a_request_id_names_the_job_in_every_event_of_the_submission(memory_farm: Start) -> None:
    """On any instance, also if it is refused, or a fault answers in place of the server."""
    fault = {"on": "gpu-2", "at": {"phase": "submit", "job": "r-1"}, "do": "status", "status": 503, "times": 1}
    farm = memory_farm(named_by("header:X-Request-Id", fault))
    assert post(farm, "gpu-1", "r-1", prompt={"1": {"class_type": "Nope", "inputs": {}}}) == 400
    assert post(farm, "gpu-2", "r-1") == 503
    assert post(farm, "gpu-2", "r-1") == 200
    log = farm.farm.log
    about_it: list[Any] = [*log.of(PromptRefused), *log.of(FaultFired), *log.of(Submitted), *log.of(Exchanged)]
    assert [event.job for event in about_it] == ["r-1"] * 6
    (first,) = log.of(Configured)
    assert first.config["farm"]["job_name"] == "header:X-Request-Id"


def test_a_job_that_runs_twice_under_one_order_id_is_found(memory_farm: Start) -> None:
    farm = memory_farm(named_by("extra_data.order_id"))
    for seed, name in enumerate(("gpu-1", "gpu-2")):
        post(farm, name, prompt=text_to_image(seed=seed), extra_data={"order_id": 17})
    farm.advance(10)
    assert errors(farm) == [("ran_twice", "17")]


def test_an_interrupt_with_the_request_id_of_another_job_is_a_wrong_cancel(memory_farm: Start) -> None:
    """A request id that no submission had names no job."""
    farm = memory_farm(named_by("header:X-Request-Id"))
    post(farm, "gpu-1", "r-1")
    post(farm, "gpu-2", "r-2")
    farm.advance(0.05)
    for name, request_id in (("gpu-1", "r-3"), ("gpu-2", "r-1")):
        farm[name].ask("POST", "/interrupt", json={}, headers={"X-Request-Id": request_id})
    farm.advance(10)
    assert [event.job for event in farm.farm.log.of(InterruptAsked)] == ["", "r-1"]
    assert errors(farm) == [("wrong_cancel", "r-2")]


def test_with_each_the_same_prompt_wanted_three_times_is_three_jobs_and_a_retry_is_none(memory_farm: Start) -> None:
    fault = {"at": "submit", "do": "status", "status": 503, "on": "gpu-1", "times": 1}
    farm = memory_farm(named_by("each", fault))
    assert [post(farm, name) for name in ("gpu-1", "gpu-2", "gpu-1", "gpu-2")] == [503, 200, 200, 200]
    farm.advance(10)
    verdict = farm.verdict()
    assert len(set(names(farm))) == verdict.jobs == verdict.succeeded == 3
    assert verdict.attempts == 4
    assert errors(farm) == []


def test_with_each_a_lost_submission_may_have_been_sent_again(memory_farm: Start) -> None:
    """As with every job that has no name of its own."""
    farm = memory_farm(named_by("each"))
    post(farm, "gpu-1")
    farm.control("POST", "/api/instances/gpu-1/crash", json={})
    farm.control("POST", "/api/instances/gpu-1/start", json={})
    farm.advance(10)
    post(farm, "gpu-2")
    farm.advance(60)
    verdict = farm.verdict()
    unnamed = [finding for finding in verdict.findings if finding.finding == "unnamed"]
    assert (verdict.verdict, [finding.job for finding in unnamed]) == ("unknown", names(farm)[:1])


def test_a_job_is_named_by_the_text_that_it_shows_else_by_its_hash(memory_farm: Start) -> None:
    farm = memory_farm(named_by("input:6.text"))
    prompt = text_to_image()
    prompt["6"]["inputs"]["text"] = "a barn"
    post(farm, "gpu-1", prompt=prompt)
    del prompt["6"]
    post(farm, "gpu-1", prompt=prompt)
    assert names(farm) == ["a barn"]
    (refused,) = farm.farm.log.of(PromptRefused)
    assert len(refused.job) == 16
