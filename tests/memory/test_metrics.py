"""``GET /metrics``: what Prometheus is told of a farm (docs/metrics.md)."""

from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from comfyfarm.control.metrics import METRICS
from comfyfarm.events import Configured
from comfyfarm.server.metric_counts import OUTCOMES
from comfyfarm.testing import MemoryFarm
from comfyfarm.workflows import text_to_image

Start = Callable[..., MemoryFarm]

TWO = {"instance": [{"name": "gpu-{n}", "count": 2}]}
NAMES = ("gpu-1", "gpu-2")


class Scrape:
    """One answer, as a parser reads it that is not ours."""

    def __init__(self, farm: MemoryFarm) -> None:
        reply = farm.control("GET", "/metrics")
        assert reply.status == 200
        self.media_type, self.text = reply.headers["content-type"], reply.body.decode()
        self.families = {family.name: family for family in text_string_to_metric_families(self.text)}
        self.samples = [sample for family in self.families.values() for sample in family.samples]

    def of(self, name: str, **labels: str) -> float:
        """Return the sum of the samples of a metric that have these labels."""
        found = [sample for sample in self.samples if sample.name == name and labels.items() <= sample.labels.items()]
        assert found, (name, labels)
        return float(sum(sample.value for sample in found))


def post(farm: MemoryFarm, name: str = "gpu-1", **facts: Any) -> str:
    reply = farm[name].ask("POST", "/prompt", json={"prompt": text_to_image(**facts)})
    prompt_id: str = reply.json()["prompt_id"]
    return prompt_id


def test_every_metric_is_there_by_its_name_type_and_labels(memory_farm: Start) -> None:
    """A request was made and a fault has fired, so that each has a sample; none has a label of Prometheus's own."""
    farm = memory_farm(TWO | {"fault": [{"do": "status", "at": "reply", "status": 500}]})
    assert farm["gpu-1"].ask("GET", "/queue").status == 500
    scrape = Scrape(farm)
    assert scrape.media_type == "text/plain; version=0.0.4; charset=utf-8"
    told = {}
    for family in scrape.families.values():
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        told[family.name + ("_total" if family.type == "counter" else "")] = family.type, labels
    assert told == {metric.name: (metric.kind, set(metric.labels)) for metric in METRICS}
    assert not {"instance", "job"} & {label for metric in METRICS for label in metric.labels}
    assert "_created" not in scrape.text


def crash(farm: MemoryFarm, **body: Any) -> None:
    farm.control("POST", "/api/instances/gpu-1/crash", json=body)
    farm.control("POST", "/api/instances/gpu-1/start")


def crash_and_reset(farm: MemoryFarm) -> None:
    crash(farm, keep=["queue"])
    farm.control("POST", "/api/reset")


def interrupt(farm: MemoryFarm) -> None:
    farm["gpu-1"].ask("POST", "/interrupt")
    farm.advance("10s")


END: dict[str, tuple[Callable[[MemoryFarm], object], dict[str, int]]] = {
    "nothing": (lambda _farm: None, {}),
    "they run": (lambda farm: farm.advance("10s"), {"success": 3}),
    "interrupt": (interrupt, {"interrupted": 1, "success": 2}),
    "clear": (lambda farm: farm["gpu-1"].ask("POST", "/queue", json={"clear": True}), {"deleted": 2}),
    "crash": (crash, {"lost": 3}),
    "crash that keeps the queue": (lambda farm: crash(farm, keep=["queue"]), {}),
    "reset": (lambda farm: farm.control("POST", "/api/reset"), {"lost": 3}),
    "reset after a crash that keeps the queue": (crash_and_reset, {"lost": 3}),
}


@pytest.mark.parametrize("end", END)
def test_an_accepted_job_runs_or_waits_or_has_one_outcome(memory_farm: Start, end: str) -> None:
    farm, (act, outcomes) = memory_farm(TWO), END[end]
    for _ in range(3):
        post(farm)
    farm.advance("10ms")
    act(farm)
    scrape = Scrape(farm)
    ended = {name: scrape.of("comfyfarm_jobs_finished_total", backend="gpu-1", outcome=name) for name in OUTCOMES}
    assert ended == dict.fromkeys(OUTCOMES, 0) | outcomes
    left = scrape.of("comfyfarm_jobs_running") + scrape.of("comfyfarm_jobs_waiting")
    assert scrape.of("comfyfarm_jobs_accepted_total") == left + sum(ended.values()) == 3


def test_a_deleted_job_and_one_that_fails_have_their_outcomes(memory_farm: Start) -> None:
    farm = memory_farm(TWO | {"fault": [{"do": "error", "at": "step", "on": "gpu-1"}]})
    post(farm)
    waiting = post(farm)
    farm["gpu-1"].ask("POST", "/queue", json={"delete": [waiting]})
    farm.advance("10s")
    scrape = Scrape(farm)
    assert scrape.of("comfyfarm_jobs_finished_total", outcome="error") == 1
    assert scrape.of("comfyfarm_jobs_finished_total", outcome="deleted") == 1
    assert scrape.of("comfyfarm_job_wait_seconds_count") == 1
    assert scrape.of("comfyfarm_faults_fired_total", backend="gpu-1", effect="error") == 1


def test_durations_and_waits_are_those_of_each_profile(memory_farm: Start) -> None:
    """Whatever a profile is called; instances without one have an empty label."""
    slow = 'the "slow"\\ ones'
    farm = memory_farm({
        "profile": {"fast": {"timing": {"step": "10ms"}}, slow: {"timing": {"step": "1s"}}},
        "instance": [
            {"name": "gpu-1", "profile": "fast"},
            {"name": "gpu-2", "profile": slow},
            {"name": "gpu-3"},
        ],
    })
    for name in ("gpu-1", "gpu-1", "gpu-2", "gpu-2"):
        post(farm, name, steps=20)
    farm.advance("60s")
    scrape = Scrape(farm)
    for profile, least_s in (("fast", 0.2), (slow, 20)):
        of = {"profile": profile}
        assert scrape.of("comfyfarm_job_duration_seconds_count", **of) == 2
        duration_s = scrape.of("comfyfarm_job_duration_seconds_sum", **of) / 2
        assert least_s < duration_s < least_s + 1
        assert scrape.of("comfyfarm_job_wait_seconds_count", **of) == 2
        assert scrape.of("comfyfarm_job_wait_seconds_sum", **of) == duration_s
        assert scrape.of("comfyfarm_job_wait_seconds_bucket", **of, le="0.05") == 1
        assert scrape.of("comfyfarm_job_wait_seconds_bucket", **of, le="+Inf") == 2
    assert scrape.of("comfyfarm_job_duration_seconds_count", profile="") == 0
    assert scrape.of("comfyfarm_backend_info", backend="gpu-2", profile=slow, mode="static") == 1


def test_a_profile_is_no_part_of_the_log(memory_farm: Start) -> None:
    """It says nothing of what happens: the same farm without profiles has the same log."""
    farm = memory_farm({"profile": {"fast": {}}, "instance": [{"name": "gpu-1", "profile": "fast"}]})
    (configured,) = farm.farm.log.of(Configured)
    assert configured.config.keys() == {"farm", "instance"}


@pytest.mark.parametrize(
    ("act", "is_up"),
    [
        (lambda farm: farm.control("POST", "/api/instances/gpu-1/pause"), 1),
        (lambda farm: farm.control("POST", "/api/instances/gpu-1/crash"), 0),
        (lambda farm: farm.control("POST", "/api/faults", json={"do": "freeze", "at": "process", "on": "gpu-1"}), 0),
        (lambda farm: farm.control("POST", "/api/faults", json={"do": "refuse", "at": "process", "on": "gpu-1"}), 0),
    ],
    ids=["pause", "crash", "freeze", "refuse"],
)
def test_an_instance_that_serves_nobody_is_down(
    memory_farm: Start, act: Callable[[MemoryFarm], object], is_up: int
) -> None:
    farm = memory_farm(TWO)
    assert [Scrape(farm).of("comfyfarm_backend_up", backend=name) for name in NAMES] == [1, 1]
    act(farm)
    farm.advance("1ms")
    assert [Scrape(farm).of("comfyfarm_backend_up", backend=name) for name in NAMES] == [is_up, 1]
    farm.control("POST", "/api/heal")
    scrape = Scrape(farm)
    assert scrape.of("comfyfarm_backend_up", backend="gpu-1") == 1
    assert scrape.of("comfyfarm_backend_starts_total") == sum(backend.epoch for backend in farm.farm.backends.values())


def test_requests_websockets_and_models_are_counted_by_instance(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    before = Scrape(farm)
    farm["gpu-1"].listen("me")
    body = farm["gpu-1"].ask("GET", "/queue").body
    farm["gpu-1"].ask("GET", "/nowhere")
    farm["gpu-1"].ask("POST", "/prompt", json={"prompt": {}})
    post(farm)
    farm.advance("10s")
    scrape, one = Scrape(farm), {"backend": "gpu-1"}
    assert scrape.of("comfyfarm_websockets", **one) == 1
    assert scrape.of("comfyfarm_http_requests_total", **one, code="200") == 2
    assert scrape.of("comfyfarm_http_requests_total", **one, code="404") == 1
    assert scrape.of("comfyfarm_prompts_refused_total", **one) == 1
    assert scrape.of("comfyfarm_http_response_bytes_total", **one) > len(body)
    assert scrape.of("comfyfarm_model_loads_total", **one) == 1
    loaded_bytes = scrape.of("comfyfarm_model_loaded_bytes_total", **one)
    assert loaded_bytes == scrape.of("comfyfarm_model_memory_bytes", **one) > 1e9
    for name in ("websockets", "http_response_bytes_total", "model_loads_total", "prompts_refused_total"):
        assert scrape.of(f"comfyfarm_{name}", backend="gpu-2") == before.of(f"comfyfarm_{name}", **one) == 0
    farm.control("POST", "/api/instances/gpu-1/crash")
    farm.advance("1ms")
    assert Scrape(farm).of("comfyfarm_websockets", **one) == 0


def test_a_scrape_is_no_event_and_tells_of_all_that_there_were(memory_farm: Start) -> None:
    farm = memory_farm(TWO)
    farm.advance("1500ms")
    seq = farm.farm.log.seq
    scrape = Scrape(farm)
    assert scrape.of("comfyfarm_events_total") == seq == farm.farm.log.seq
    assert scrape.of("comfyfarm_simulated_seconds_total") == 1.5
    assert scrape.text == Scrape(farm).text
