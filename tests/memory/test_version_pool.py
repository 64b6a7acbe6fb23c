"""A pool of three versions, that of examples/three_versions.toml: what a client written for one of them does wrong."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from comfyfarm.events import Exchanged
from comfyfarm.testing import MemoryFarm, MemoryInstance
from comfyfarm.workflows import text_to_image

Start = Callable[[Any], MemoryFarm]
EXAMPLE = tomllib.loads((Path(__file__).parents[2] / "examples" / "three_versions.toml").read_text("utf-8"))
NAMES = ("new", "usual", "old")


@pytest.fixture
def pool(memory_farm: Start) -> MemoryFarm:
    """The example's farm; in memory it needs no ports."""
    instances = [{key: value for key, value in instance.items() if key != "port"} for instance in EXAMPLE["instance"]]
    return memory_farm({**EXAMPLE, "instance": instances})


def submit(instance: MemoryInstance, job: str, client_id: str = "me") -> str:
    body = {"prompt": text_to_image(prefix=job), "client_id": client_id, "extra_data": {"comfyfarm_job": job}}
    prompt_id: str = instance.ask("POST", "/prompt", json=body).json()["prompt_id"]
    return prompt_id


def test_each_server_says_its_version(pool: MemoryFarm) -> None:
    told = [pool[name].ask("GET", "/system_stats").json()["system"]["comfyui_version"] for name in NAMES]
    assert told == ["0.33.0", "0.25.0", "0.3.40"]


def test_a_client_of_the_jobs_api_reports_failures_that_are_none(pool: MemoryFarm) -> None:
    """The verdict names the order and the server; the journal has the 404."""
    for name in NAMES:
        order = pool.order(f"order-{name}")
        prompt_id = submit(pool[name], order.job)
        pool.run_until_idle()
        if pool[name].ask("GET", f"/api/jobs/{prompt_id}").status != 200:
            order.failed("the job is lost")
        else:
            pool[name].ask("GET", f"/view?filename={order.job}_00001_.png")
            order.delivered()
    (finding,) = (finding for finding in pool.verdict().findings if finding.finding == "contradicted")
    assert finding.job == "order-old"
    assert "it succeeded on old" in finding.says
    missing = [event.instance for event in pool.farm.log.of(Exchanged) if event.status == 404]
    assert missing == ["old"]


def test_a_client_that_waits_for_progress_state_waits_for_ever_on_the_old_server(pool: MemoryFarm) -> None:
    """The others tell how far each node is."""
    told = {}
    for name in NAMES:
        listener = pool[name].listen("me")
        submit(pool[name], f"order-{name}")
        pool.run_until_idle()
        told[name] = {message["type"] for message in listener.heard if isinstance(message, dict)}
    assert [("progress_state" in told[name]) for name in NAMES] == [True, True, False]
    assert all({"progress", "executed", "executing"} <= told[name] for name in NAMES)


def test_an_interrupt_by_id_stops_the_job_of_another_on_the_old_server(pool: MemoryFarm) -> None:
    """Its own job waits, and runs to its end; the verdict tells whose order was stopped."""
    endings = {}
    for name in NAMES:
        pool.order(f"theirs-{name}")
        mine = pool.order(f"mine-{name}")
        theirs_id, mine_id = submit(pool[name], f"theirs-{name}", "they"), submit(pool[name], mine.job)
        pool.advance(0.01)
        mine.withdrawn()
        pool[name].ask("POST", "/interrupt", json={"prompt_id": mine_id})
        pool.run_until_idle()
        history = pool[name].ask("GET", "/history").json()
        endings[name] = [history[prompt_id]["status"]["status_str"] for prompt_id in (theirs_id, mine_id)]
    assert endings == {"new": ["success"] * 2, "usual": ["success"] * 2, "old": ["error", "success"]}
    stopped = [finding.says for finding in pool.verdict().findings if finding.job == "theirs-old"]
    assert any("interrupt" in says for says in stopped)
