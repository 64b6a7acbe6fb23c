"""Incidents of servers that do not have the same, and of prompts that are right only here, or only by half."""

from typing import Any

from comfyfarm.testing import MemoryFarm
from comfyfarm.testing.memory_client import Reply
from comfyfarm.workflows import text_to_image
from tests.memory.incidents.asking import data_of, entry_of
from tests.memory.incidents.table import Start, incident, stage

USUAL_MODEL = "v1-5-pruned-emaonly-fp16.safetensors"


def submit_with(farm: MemoryFarm, name: str, model: str = USUAL_MODEL, *, lora: bool = False) -> Reply:
    """The standard workflow with another checkpoint, or with a LoRA behind it."""
    prompt = text_to_image()
    prompt["4"]["inputs"]["ckpt_name"] = model
    if lora:
        given = {"lora_name": "any.safetensors", "strength_model": 1.0, "strength_clip": 1.0}
        prompt["10"] = {"class_type": "LoraLoader", "inputs": {"model": ["4", 0], "clip": ["4", 1], **given}}
        prompt["3"]["inputs"]["model"] = ["10", 0]
    return farm[name].ask("POST", "/prompt", json={"prompt": prompt, "client_id": "me"})


def refused_model(listed: list[str], model: str) -> dict[str, Any]:
    """What ComfyUI answers where a checkpoint is not in its list."""
    info = {"input_name": "ckpt_name", "input_config": [listed, {}], "received_value": model}
    error = {
        "type": "value_not_in_list",
        "message": "Value not in list",
        "details": f"ckpt_name: {model!r} not in {listed!r}",
        "extra_info": info,
    }
    failed = {"errors": [error], "dependent_outputs": ["9"], "class_type": "CheckpointLoaderSimple"}
    said = {"message": "Prompt outputs failed validation", "details": "", "extra_info": {}}
    return {"error": {"type": "prompt_outputs_failed_validation", **said}, "node_errors": {"4": failed}}


@incident("F19")
def a_model_and_a_node_are_missing_on_one(memory_farm: Start) -> None:
    """Refused there, in ComfyUI's words, and taken on elsewhere; what each has is told by itself."""
    farm = stage(memory_farm, "F19", validation="lenient")
    reply = submit_with(farm, "gpu-1")
    assert (reply.status, reply.headers["content-type"]) == (400, "application/json; charset=utf-8")
    assert reply.json() == refused_model(["only-here.safetensors"], USUAL_MODEL)
    reply = submit_with(farm, "gpu-1", "only-here.safetensors", lora=True)
    assert (reply.status, reply.json()) == (
        400,
        {
            "error": {
                "type": "missing_node_type",
                "message": "Node 'LoraLoader' not found. The custom node may not be installed.",
                "details": "Node ID '#10'",
                "extra_info": {"node_id": "10", "class_type": "LoraLoader", "node_title": "LoraLoader"},
            },
            "node_errors": {},
        },
    )
    assert farm["gpu-1"].ask("GET", "/models/checkpoints").json() == ["only-here.safetensors"]
    assert farm["gpu-1"].ask("GET", "/object_info/LoraLoader").json() == {}
    assert list(farm["gpu-2"].ask("GET", "/object_info/LoraLoader").json()) == ["LoraLoader"]
    assert submit_with(farm, "gpu-1", "only-here.safetensors").status == 200
    assert submit_with(farm, "gpu-2", lora=True).status == 200


@incident("F20")
def the_same_model_under_another_separator(memory_farm: Start) -> None:
    """The name of the others is refused there; whoever translates into what a server lists is taken on by both."""
    slash, backslash = f"SD1.5/{USUAL_MODEL}", f"SD1.5\\{USUAL_MODEL}"
    farm = stage(memory_farm, "F20", validation="lenient", models={"checkpoints": [slash]})
    lists = {name: farm[name].ask("GET", "/models/checkpoints").json() for name in ("gpu-1", "gpu-2")}
    assert lists == {"gpu-1": [backslash], "gpu-2": [slash]}
    reply = submit_with(farm, "gpu-1", slash)
    assert (reply.status, reply.json()) == (400, refused_model([backslash], slash))
    for name, listed in lists.items():
        (own,) = (each for each in listed if each.replace("\\", "/") == slash)
        reply = submit_with(farm, name, own)
        assert (reply.status, reply.json()["node_errors"]) == (200, {})


@incident("F21")
def half_invalid_and_accepted(memory_farm: Start) -> None:
    """Status 200, with the error of the bad half; the other half runs, and history has its outputs alone."""
    farm = stage(memory_farm, "F21", validation="off", mode="dynamic")
    me = farm["gpu-1"].listen("me")
    prompt = text_to_image()
    small = {"width": 64, "height": 0, "batch_size": 1, "color": 0}
    prompt["20"] = {"class_type": "EmptyImage", "inputs": small}
    prompt["21"] = {"class_type": "SaveImage", "inputs": {"filename_prefix": "half", "images": ["20", 0]}}
    reply = farm["gpu-1"].ask("POST", "/prompt", json={"prompt": prompt, "client_id": "me"})
    assert reply.status == 200
    ((node, failed),) = reply.json()["node_errors"].items()
    assert (node, failed["class_type"], failed["dependent_outputs"]) == ("20", "EmptyImage", ["21"])
    (error,) = failed["errors"]
    assert [error[key] for key in ("type", "message", "details")] == [
        "value_smaller_than_min",
        "Value 0 smaller than min of 1",
        "height",
    ]
    farm.advance("331ms")
    entry = entry_of(farm, reply.json()["prompt_id"])
    assert (entry["status"]["status_str"], list(entry["outputs"])) == ("success", ["9"])
    assert {each["node"] for each in data_of(me, "executing")} == {"3", "4", "5", "6", "7", "8", "9", None}
