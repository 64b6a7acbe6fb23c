"""ComfyUI's API nodes, which call paid services: known by name and shape, and never called."""

from collections.abc import Callable
from typing import Any

import pytest

from comfyfarm.config.recorded import recorded
from comfyfarm.config.recorded.api_nodes import api_nodes
from comfyfarm.testing import MemoryFarm

Start = Callable[[Any], MemoryFarm]

GEMINI = {"prompt": "a barn", "model": "gemini-2.5-flash-image", "seed": 42}
PROMPT: dict[str, Any] = {
    "1": {"class_type": "GeminiImageNode", "inputs": GEMINI},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "out"}},
}


def start(memory_farm: Start, **settings: Any) -> MemoryFarm:
    return memory_farm({"instance": [{"name": "gpu", "mode": "dynamic", **settings}]})


def post(farm: MemoryFarm, prompt: dict[str, Any], **body: Any) -> dict[str, Any]:
    answer: dict[str, Any] = farm["gpu"].ask("POST", "/prompt", json={"prompt": prompt, **body}).json()
    return answer


def end(farm: MemoryFarm, **body: Any) -> dict[str, Any]:
    """The history entry of the job."""
    prompt_id = post(farm, PROMPT, **body)["prompt_id"]
    farm.advance(1)
    entry: dict[str, Any] = farm["gpu"].ask("GET", f"/history/{prompt_id}").json()[prompt_id]
    return entry


def test_a_stock_server_has_them(memory_farm: Start) -> None:
    farm = start(memory_farm)
    info = farm["gpu"].ask("GET", "/object_info").json()
    assert len(info) == len(recorded().object_info) + 245
    assert info["GeminiImageNode"] == farm["gpu"].ask("GET", "/object_info/GeminiImageNode").json()["GeminiImageNode"]
    assert info["GeminiImageNode"]["api_node"] is True
    assert info["GeminiImageNode"]["input_order"]["required"] == ["prompt", "model", "seed"]
    assert info["LumaReferenceNode"]["api_node"] is False
    assert "hidden" not in info["LumaReferenceNode"]["input"]


@pytest.mark.parametrize("version", ["0.25.0", "0.33.0"])
def test_their_entries_are_as_whole_as_those_of_other_newer_nodes(version: str) -> None:
    keys = set(recorded().object_info["SolidMask"])
    for name, entry in api_nodes(version).items():
        assert set(entry) == keys, name
        assert {group: list(specs) for group, specs in entry["input"].items()} == entry["input_order"]


@pytest.mark.parametrize(("version", "count"), [("0.25.0", 225), ("0.28.0", 225), ("v0.33.0", 245), ("nightly", 245)])
def test_their_number_depends_on_the_version(version: str, count: int) -> None:
    assert len(api_nodes(version)) == count


def test_a_job_with_one_succeeds_with_the_input_picture(memory_farm: Start) -> None:
    entry = end(start(memory_farm))
    assert entry["outputs"]["9"]["images"][0]["filename"] == "out_00001_.png"


def test_their_inputs_are_validated(memory_farm: Start) -> None:
    farm = start(memory_farm)
    wrong = {**PROMPT, "1": {"class_type": "GeminiImageNode", "inputs": GEMINI | {"model": "gemini-0"}}}
    assert post(farm, wrong)["node_errors"]["1"]["errors"][0]["type"] == "value_not_in_list"
    model = {"model": "Flux.2 [pro]", "model.width": 8, "model.height": 768}
    flux = {**PROMPT, "1": {"class_type": "Flux2ImageNode", "inputs": {"prompt": "a barn", "seed": 1, **model}}}
    (error,) = post(farm, flux)["node_errors"]["1"]["errors"]
    assert (error["type"], error["extra_info"]["input_name"]) == ("value_smaller_than_min", "model.width")


def test_without_them_they_are_unknown(memory_farm: Start) -> None:
    answer = post(start(memory_farm, api_nodes=False), PROMPT)
    assert answer["error"]["type"] == "missing_node_type"
    assert answer["error"]["message"] == "Node 'GeminiImageNode' not found. The custom node may not be installed."


def test_single_ones_may_be_missing(memory_farm: Start) -> None:
    answer = post(start(memory_farm, missing_nodes=["GeminiImageNode"]), PROMPT)
    assert answer["error"]["type"] == "missing_node_type"


def test_if_a_key_is_required_a_job_without_one_fails(memory_farm: Start) -> None:
    farm = start(memory_farm, api_key_required=True)
    entry = end(farm)
    kind, error = entry["status"]["messages"][-1]
    assert (kind, error["node_id"], error["exception_type"]) == ("execution_error", "1", "Exception")
    assert error["exception_message"] == "Unauthorized: Please login first to use this node.\n"
    for secret in ("api_key_comfy_org", "auth_token_comfy_org"):
        entry = end(farm, extra_data={secret: "sesame"})
        assert entry["status"]["status_str"] == "success"
        assert "sesame" not in str(entry)
