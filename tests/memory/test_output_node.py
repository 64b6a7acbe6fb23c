"""``output_node``: all outputs of a job under one id, for suites written against hand-made mocks."""

from collections.abc import Callable
from typing import Any

from comfyfarm.testing import MemoryFarm
from comfyfarm.workflows import text_to_image

Start = Callable[[Any], MemoryFarm]


def run(memory_farm: Start, prompt: dict[str, Any], **settings: Any) -> tuple[dict[str, Any], list[Any]]:
    """A job's history entry, and what its client heard."""
    farm = memory_farm({"instance": [{"name": "gpu", **settings}]})
    listener = farm["gpu"].listen("me")
    reply = farm["gpu"].ask("POST", "/prompt", json={"prompt": prompt, "client_id": "me"})
    farm.advance(1)
    prompt_id = reply.json()["prompt_id"]
    return farm["gpu"].ask("GET", "/history").json()[prompt_id], listener.heard[:]


def test_a_workflow_without_node_9_answers_under_node_9(memory_farm: Start) -> None:
    """In history and over the websocket alike; the rest is told by its own ids."""
    prompt = text_to_image() | {"save": text_to_image()["9"]}
    del prompt["9"]
    entry, heard = run(memory_farm, prompt, output_node="9")
    assert list(entry["outputs"]) == ["9"]
    assert list(entry["meta"]) == ["9"]
    assert entry["prompt"][4] == ["save"]
    (executed,) = [each["data"] for each in heard if each["type"] == "executed"]
    assert (executed["node"], executed["display_node"]) == ("9", "9")
    assert executed["output"] == entry["outputs"]["9"]
    assert "save" in [each["data"]["node"] for each in heard if each["type"] == "executing"]


def test_the_pictures_of_several_outputs_come_together(memory_farm: Start) -> None:
    """In the order in which they were made."""
    prompt = text_to_image(prefix="one", batch_size=2)
    prompt["10"] = {"class_type": "SaveImage", "inputs": {"images": ["8", 0], "filename_prefix": "two"}}
    entry, heard = run(memory_farm, prompt, mode="dynamic", output_node="9")
    names = [image["filename"] for image in entry["outputs"]["9"]["images"]]
    assert sorted(names) == ["one_00001_.png", "one_00002_.png", "two_00001_.png", "two_00002_.png"]
    told = [each["data"]["output"]["images"] for each in heard if each["type"] == "executed"]
    assert [image["filename"] for images in told for image in images] == names


def test_unknown_workflows_pass_and_answer_under_one_id(memory_farm: Start) -> None:
    """With ``validation = "off"``: what a hand-made mock would take."""
    prompt = {"a": {"class_type": "MyLoader"}, "b": {"class_type": "MySaver", "inputs": {"x": ["a", 0]}}}
    entry, _ = run(memory_farm, prompt, output_node="9", validation="off")
    assert list(entry["outputs"]) == ["9"]
    assert entry["status"]["completed"]


def test_without_it_each_output_answers_for_itself(memory_farm: Start) -> None:
    prompt = text_to_image()
    prompt["10"] = {"class_type": "PreviewImage", "inputs": {"images": ["8", 0]}}
    entry, _ = run(memory_farm, prompt)
    assert sorted(entry["outputs"]) == ["10", "9"]
