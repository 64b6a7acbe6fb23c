"""Instances of one farm that have not the same, asked as clients ask them."""

import json
from collections.abc import Callable
from typing import Any

from comfyfarm.events import Configured
from comfyfarm.testing import MemoryFarm

Start = Callable[[Any], MemoryFarm]

ZOOM = {"inputs": {"image": "IMAGE"}, "outputs": ["IMAGE"], "duration": "300ms"}
PROMPT = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 32, "batch_size": 1, "color": 0}},
    "2": {"class_type": "Zoom", "inputs": {"image": ["1", 0]}},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "z"}},
}


def test_a_job_goes_to_the_instance_that_has_its_nodes(memory_farm: Start) -> None:
    """It takes the declared time there, and is refused elsewhere."""
    able = {"name": "able", "mode": "dynamic", "node_types": {"Zoom": ZOOM}}
    farm = memory_farm({"instance": [able, {"name": "plain"}]})
    refused = farm["plain"].ask("POST", "/prompt", json={"prompt": PROMPT})
    assert refused.json()["error"]["type"] == "missing_node_type"
    prompt_id = farm["able"].ask("POST", "/prompt", json={"prompt": PROMPT}).json()["prompt_id"]
    farm.advance(1)
    entry = farm["able"].ask("GET", f"/history/{prompt_id}").json()[prompt_id]
    assert entry["outputs"]["3"]["images"][0]["filename"] == "z_00001_.png"
    times = [data["timestamp"] for _, data in entry["status"]["messages"]]
    assert times[-1] - times[0] == 3 + 300 + 3 + 10


def test_instances_show_what_they_have(memory_farm: Start) -> None:
    lacking = {"name": "lacking", "missing_nodes": ["KSampler"], "models": {"loras": ["a:5MB"]}}
    farm = memory_farm({"instance": [lacking, {"name": "plain"}]})
    assert farm["lacking"].ask("GET", "/object_info/KSampler").json() == {}
    shown = {name: farm[name].ask("GET", "/object_info").json().keys() for name in ("plain", "lacking")}
    assert shown["plain"] - shown["lacking"] == {"KSampler"}
    assert farm["lacking"].ask("GET", "/experiment/models/loras").json()[0]["size"] == 5 * 1024**2


def test_a_running_instance_can_lose_a_node_type_but_not_by_a_slip(memory_farm: Start) -> None:
    farm = memory_farm({"instance": [{"name": "gpu"}]})
    slip = farm.control("PATCH", "/api/instances/gpu", json={"missing_nodes": ["EmptyImag"]})
    assert slip.status == 422
    assert slip.json()["error"].startswith("missing_nodes[0]: there is no node type 'EmptyImag'; is 'Empty")
    assert farm["gpu"].ask("GET", "/object_info/EmptyImage").json() != {}
    assert farm.control("PATCH", "/api/instances/gpu", json={"missing_nodes": ["EmptyImage"]}).status == 200
    assert farm["gpu"].ask("GET", "/object_info/EmptyImage").json() == {}


def test_the_log_begins_with_what_the_instances_have_and_names_no_file(memory_farm: Start) -> None:
    """Models with their sizes, node types with their durations."""
    keys = {"models": {"loras": ["a:5MB"]}, "node_types": {"Zoom": ZOOM}}
    farm = memory_farm({"instance": [{"name": "gpu", **keys}]})
    (first,) = farm.farm.log.of(Configured)
    (told,) = json.loads(json.dumps(first.config["instance"]))
    assert told["models"] == {"loras": ["a:5242880B"]}
    assert told["node_types"]["Zoom"]["duration"] == "300ms"
    assert not {"captured", "object_info"} & told.keys()
