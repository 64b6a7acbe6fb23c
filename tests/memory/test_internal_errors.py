"""Errors of comfyfarm's own while a farm runs: the verdict names comfyfarm, and the farm goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from comfyfarm.events import InternalError
from comfyfarm.server.http.response_writer import ResponseWriter
from comfyfarm.server.routes import info
from comfyfarm.server.websocket.notifier import WebSocketNotifier
from comfyfarm.sim.durations import JobDurations
from comfyfarm.sim.execution import job_nodes, node_runner
from comfyfarm.sim.saving import Saver
from comfyfarm.testing import MemoryFarm
from comfyfarm.workflows import text_to_image

Start = Callable[[Any], MemoryFarm]

ONE = {"farm": {"delivery": "none"}, "instance": [{"name": "gpu-1", "mode": "dynamic"}]}


def fail(*_: object, **__: object) -> None:
    raise TypeError("not a picture")


def post(farm: MemoryFarm, job: str, client_id: str | None = None) -> Any:
    body = {"prompt": text_to_image(), "extra_data": {"comfyfarm_job": job}, "client_id": client_id}
    return farm["gpu-1"].ask("POST", "/prompt", json=body).json()["prompt_id"]


def test_a_job_in_which_comfyfarm_fails_names_comfyfarm_and_the_next_one_runs(
    memory_farm: Start, monkeypatch: pytest.MonkeyPatch, meant_errors: list[type[Exception]]
) -> None:
    meant_errors.append(TypeError)
    farm = memory_farm(ONE)
    with monkeypatch.context() as patch:
        patch.setattr(node_runner, "run", fail)
        first = post(farm, "order-1")
        farm.advance(1)
    second = post(farm, "order-2")
    farm.advance(60)
    history = farm["gpu-1"].ask("GET", "/history").json()
    assert [history[prompt_id]["status"]["status_str"] for prompt_id in (first, second)] == ["error", "success"]
    verdict = farm.verdict()
    (finding,) = (finding for finding in verdict.findings if finding.severity == "unknown")
    assert (verdict.verdict, finding.finding, finding.job) == ("unknown", "internal", "order-1")
    assert finding.says.startswith("comfyfarm itself failed in job order-1 on gpu-1 at 0 s: TypeError: not a picture")
    assert [finding.job for finding in verdict.findings if finding.severity == "error"] == []


@pytest.mark.parametrize(
    ("place", "name"),
    [
        (job_nodes, "links_of"),
        (node_runner, "run"),
        (JobDurations, "node_ms"),
        (Saver, "write"),
        (WebSocketNotifier, "_send_progress_state"),
    ],
)
def test_a_client_sees_an_error_of_comfyfarm_as_that_of_a_node(
    memory_farm: Start, monkeypatch: pytest.MonkeyPatch, meant_errors: list[type[Exception]], place: Any, name: str
) -> None:
    """Wherever it is raised: while the prompt is looked at, in a node, when it saves, when its messages are made."""
    meant_errors.append(TypeError)
    farm = memory_farm(ONE)
    listener = farm["gpu-1"].listen("order-1")
    with monkeypatch.context() as patch:
        patch.setattr(place, name, fail)
        prompt_id = post(farm, "order-1", client_id="order-1")
        farm.advance(60)
    entry = farm["gpu-1"].ask("GET", "/history").json()[prompt_id]
    kind, facts = entry["status"]["messages"][-1]
    assert (kind, facts["exception_type"]) == ("execution_error", "TypeError")
    assert facts["exception_message"] == "not a picture\n"
    assert listener.types()[-3:] == ["execution_error", "status", "executing"]
    assert listener.heard[-3]["data"] == facts
    assert farm["gpu-1"].ask("GET", "/queue").json() == {"queue_running": [], "queue_pending": []}
    assert farm.farm.analysis.finished["gpu-1"] == 1


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


def test_a_request_whose_fault_fails_is_reset_and_named(
    memory_farm: Start, monkeypatch: pytest.MonkeyPatch, meant_errors: list[type[Exception]]
) -> None:
    """Its client would wait for ever."""
    meant_errors.append(TypeError)
    farm = memory_farm(ONE)
    monkeypatch.setattr(ResponseWriter, "send", fail)
    with farm.fault(do="delay", at="reply", duration="1s"):
        exchange = farm.wire.begin(farm["gpu-1"].backend.site, "GET", "/queue")
        farm.advance(2)
    assert exchange.transport.disconnected
    assert exchange.reply() is None
    assert farm["gpu-1"].backend.process.parts.fault_injector.open_exchanges == {}
    (event,) = farm.farm.log.of(InternalError)
    assert (event.request, event.error) == ("GET /queue", "TypeError: not a picture")


def test_a_request_is_answered_though_a_job_that_was_due_failed(
    memory_farm: Start, monkeypatch: pytest.MonkeyPatch, meant_errors: list[type[Exception]]
) -> None:
    meant_errors.append(TypeError)
    farm = memory_farm(ONE)
    post(farm, "order-1")
    monkeypatch.setattr(node_runner, "run", fail)
    farm["gpu-1"].backend.driver._alarm.set(None)      # so that the request comes first
    farm.advance(0.1)
    assert farm["gpu-1"].ask("GET", "/prompt").json() == {"exec_info": {"queue_remaining": 0}}
    assert [event.job for event in farm.farm.log.of(InternalError)] == ["order-1"]
