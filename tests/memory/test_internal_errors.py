"""Errors of comfyfarm's own while a farm runs: the verdict names comfyfarm, and the farm goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from comfyfarm.events import InternalError
from comfyfarm.server.routes import info
from comfyfarm.sim import execution
from comfyfarm.testing import MemoryFarm
from comfyfarm.workflows import text_to_image

Start = Callable[[Any], MemoryFarm]

ONE = {"farm": {"delivery": "none"}, "instance": [{"name": "gpu-1", "mode": "dynamic"}]}


def fail(*_: object) -> None:
    raise TypeError("not a picture")


def post(farm: MemoryFarm, job: str) -> Any:
    body = {"prompt": text_to_image(), "extra_data": {"comfyfarm_job": job}}
    return farm["gpu-1"].ask("POST", "/prompt", json=body).json()["prompt_id"]


def test_a_job_in_which_comfyfarm_fails_names_comfyfarm_and_the_next_one_runs(
    memory_farm: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    farm = memory_farm(ONE)
    first, second = post(farm, "order-1"), post(farm, "order-2")
    with monkeypatch.context() as patch:
        patch.setattr(execution, "run", fail)
        with pytest.raises(TypeError, match="not a picture"):
            farm.advance(1)
    farm.advance(60)
    history = farm["gpu-1"].ask("GET", "/history").json()
    assert [history[prompt_id]["status"]["status_str"] for prompt_id in (first, second)] == ["error", "success"]
    verdict = farm.verdict()
    (finding,) = (finding for finding in verdict.findings if finding.severity == "unknown")
    assert (verdict.verdict, finding.finding, finding.job) == ("unknown", "internal", "order-1")
    assert finding.says.startswith("comfyfarm itself failed in job order-1 on gpu-1 at 0.003 s: TypeError: not a pict")
    assert [finding.job for finding in verdict.findings if finding.severity == "error"] == []


def test_a_request_at_which_comfyfarm_fails_is_answered_with_500_and_named(
    memory_farm: Start, monkeypatch: pytest.MonkeyPatch, meant_errors: list[type[Exception]]
) -> None:
    meant_errors.append(TypeError)
    farm = memory_farm(ONE)
    monkeypatch.setattr(info, "send", fail)
    assert farm["gpu-1"].ask("GET", "/system_stats").status == 500
    (event,) = farm.farm.log.of(InternalError)
    assert (event.request, event.error, event.prompt_id) == ("GET /system_stats", "TypeError: not a picture", None)
    assert "at GET /system_stats on gpu-1" in "".join(finding.says for finding in farm.verdict().findings)


def test_a_job_that_fails_while_a_request_waits_for_it_is_told_once(
    memory_farm: Start, monkeypatch: pytest.MonkeyPatch, meant_errors: list[type[Exception]]
) -> None:
    """The request lets everything happen that is due, and gets a 500."""
    meant_errors.append(TypeError)
    farm = memory_farm(ONE)
    post(farm, "order-1")
    monkeypatch.setattr(execution, "run", fail)
    farm["gpu-1"].backend.driver._alarm.set(None)      # so that the request comes first
    farm.advance(0.1)
    assert farm["gpu-1"].ask("GET", "/prompt").status == 500
    assert [event.job for event in farm.farm.log.of(InternalError)] == ["order-1"]
