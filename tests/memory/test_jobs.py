"""A job from outside, in time that the test moves."""

from collections.abc import Callable
from typing import Any

import pytest

from comfyfarm.testing import MemoryFarm
from comfyfarm.workflows import text_to_image

Start = Callable[[Any], MemoryFarm]

DYNAMIC = {"instance": [{"name": "gpu", "mode": "dynamic"}]}


def test_a_job_runs_in_virtual_time(memory_farm: Start) -> None:
    """Nothing happens before its moment; then the client hears it all and finds the history."""
    farm = memory_farm(DYNAMIC)
    listener = farm["gpu"].listen("me")
    body = {"prompt": text_to_image(), "client_id": "me"}
    prompt_id = farm["gpu"].ask("POST", "/prompt", json=body).json()["prompt_id"]
    assert farm["gpu"].ask("GET", f"/history/{prompt_id}").json() == {}
    farm.advance(1)
    entry = farm["gpu"].ask("GET", f"/history/{prompt_id}").json()[prompt_id]
    assert entry["status"]["status_str"] == "success"
    assert listener.heard[-1] == {"type": "executing", "data": {"node": None, "prompt_id": prompt_id}}
    assert listener.types().index("execution_start") < listener.types().index("executed")


@pytest.mark.parametrize(
    ("prefix", "error", "message"),
    [
        ("a/" * 1200 + "x", "RecursionError", "maximum recursion depth exceeded"),
        ("a/" * 2300 + "x", "OSError", "[Errno 36] File name too long: '/srv/comfyui/output/a/a/"),
        ("x" * 300, "OSError", "[Errno 36] File name too long: '/srv/comfyui/output/xxx"),
    ],
)
def test_a_prefix_of_too_many_or_too_long_folders_is_an_error_of_the_node(
    memory_farm: Start, prefix: str, error: str, message: str
) -> None:
    farm = memory_farm(DYNAMIC)
    prompt = text_to_image(steps=1)
    prompt["9"]["inputs"]["filename_prefix"] = prefix
    prompt_id = farm["gpu"].ask("POST", "/prompt", json={"prompt": prompt}).json()["prompt_id"]
    farm.run_until_idle()
    kind, facts = farm["gpu"].ask("GET", "/history").json()[prompt_id]["status"]["messages"][-1]
    assert (kind, facts["node_id"], facts["exception_type"]) == ("execution_error", "9", error)
    assert facts["exception_message"].startswith(message)
    assert [finding.finding for finding in farm.verdict().findings if finding.finding == "internal"] == []


def test_folders_nearly_as_deep_as_python_calls_itself_are_made_and_removed(memory_farm: Start) -> None:
    farm = memory_farm(DYNAMIC)
    prompt = text_to_image(steps=1)
    prompt["9"]["inputs"]["filename_prefix"] = "a/" * 900 + "x"
    farm["gpu"].ask("POST", "/prompt", json={"prompt": prompt})
    farm.run_until_idle()
    output = farm["gpu"].backend.disk.output_dir
    assert (output / ("a/" * 900 + "x_00001_.png")).exists()
    farm.control("POST", "/api/reset", json={"files": True})
    farm.wire.reactor.advance(0)
    assert list(output.iterdir()) == []
