"""Declared node types that show what custom nodes show, and that expand into other nodes."""

from collections.abc import Callable
from typing import Any

import pytest

from comfyfarm.config import ConfigError
from comfyfarm.testing import MemoryFarm
from comfyfarm.testing.listener import Listener

Start = Callable[[Any], MemoryFarm]

COMBINE: dict[str, Any] = {
    "inputs": {"images": "IMAGE", "frame_rate": {"type": "FLOAT", "default": 8.0}, "filename_prefix": "STRING"},
    "output_node": True,
    "shows": {
        "gifs": {
            "suffix": ".mp4",
            "animated": True,
            "underscore": False,
            "fields": {
                "format": "video/h264-mp4",
                "frame_rate": "{input.frame_rate}",
                "workflow": "{stem}.png",
                "fullpath": "{path}",
            },
        }
    },
}
SHOW: dict[str, Any] = {
    "inputs": {"text": "STRING", "audio": "AUDIO"},
    "output_node": True,
    "shows": {
        "text": {"values": ["{input.text}", "seen: {input.text}", {"size": 3}]},
        "audio": {"suffix": ".mp3", "folder": "temp"},
        "previews": {"suffix": ".png", "folder": "temp", "prefix": "look/{input.text}"},
    },
}
LOOP: dict[str, Any] = {
    "inputs": {"latent": "LATENT", "model": "MODEL", "cond": "CONDITIONING", "vae": "VAE"},
    "outputs": ["LATENT"],
    "expands": {
        "428": {
            "class_type": "KSampler",
            "inputs": {
                "model": "{input.model}", "positive": "{input.cond}", "negative": "{input.cond}",
                "latent_image": "{input.latent}", "seed": 1, "steps": 2, "cfg": 1.0, "sampler_name": "euler",
                "scheduler": "normal", "denoise": 1.0,
            },
        },
        "429": {"class_type": "VAEDecode", "inputs": {"samples": ["428", 0], "vae": "{input.vae}"}},
        "430": {"class_type": "PreviewImage", "inputs": {"images": ["429", 0]}},
    },
}  # fmt: skip
PICTURE = {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 32, "batch_size": 3, "color": 0}}


def start(memory_farm: Start, mode: str = "dynamic", **node_types: Any) -> MemoryFarm:
    return memory_farm({"instance": [{"name": "gpu", "mode": mode, "node_types": node_types}]})


def job(farm: MemoryFarm, prompt: dict[str, Any], **body: Any) -> tuple[str, dict[str, Any]]:
    """Run a job; return its id and its history entry."""
    answer = farm["gpu"].ask("POST", "/prompt", json={"prompt": prompt, **body}).json()
    farm.advance(5)
    entry = farm["gpu"].ask("GET", f"/history/{answer['prompt_id']}").json()[answer["prompt_id"]]
    return answer["prompt_id"], entry


def of(listener: Listener, kind: str) -> list[dict[str, Any]]:
    """The data of the messages of one type."""
    messages = [message for message in listener.heard if not isinstance(message, bytes)]
    return [message["data"] for message in messages if message["type"] == kind]


def combine(**inputs: Any) -> dict[str, Any]:
    usual = {"images": ["1", 0], "frame_rate": 12, "filename_prefix": "clips/AnimateDiff"}
    return {"1": PICTURE, "2": {"class_type": "VHS_VideoCombine", "inputs": {**usual, **inputs}}}


def test_a_declared_node_shows_a_film_with_the_fields_of_its_pack(memory_farm: Start) -> None:
    farm = start(memory_farm, VHS_VideoCombine=COMBINE)
    _, entry = job(farm, combine())
    (shown,) = entry["outputs"]["2"]["gifs"]
    assert list(entry["outputs"]["2"]) == ["gifs"]
    assert shown == {
        "filename": "AnimateDiff_00001.mp4",
        "subfolder": "clips",
        "type": "output",
        "format": "video/h264-mp4",
        "frame_rate": 12.0,
        "workflow": "AnimateDiff_00001.png",
        "fullpath": "/srv/comfyui/output/clips/AnimateDiff_00001.mp4",
    }
    film = farm["gpu"].ask("GET", "/view?filename=AnimateDiff_00001.mp4&subfolder=clips")
    assert film.status == 200
    assert film.body[4:8] == b"ftyp"


def test_a_static_instance_shows_its_picture_with_the_fields(memory_farm: Start) -> None:
    _, entry = job(start(memory_farm, "static", VHS_VideoCombine=COMBINE), combine())
    (shown,) = entry["outputs"]["2"]["gifs"]
    assert shown["fullpath"] == f"/srv/comfyui/output/{shown['filename']}"
    assert shown["format"] == "video/h264-mp4"


def test_a_declared_node_shows_several_lists(memory_farm: Start) -> None:
    prompt = {
        "1": {"class_type": "EmptyAudio", "inputs": {"duration": 1.0, "sample_rate": 44100, "channels": 2}},
        "2": {"class_type": "PrimitiveString", "inputs": {"value": "barn"}},
        "3": {"class_type": "ShowAll", "inputs": {"text": ["2", 0], "audio": ["1", 0]}},
    }
    _, entry = job(start(memory_farm, ShowAll=SHOW), prompt)
    shown = entry["outputs"]["3"]
    assert shown["text"] == ["barn", "seen: barn", {"size": 3}]
    assert (shown["audio"][0]["type"], shown["audio"][0]["filename"][-11:]) == ("temp", "_00001_.mp3")
    assert shown["previews"] == [{"filename": "barn_00001_.png", "subfolder": "look", "type": "temp"}]


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        ({}, "expected either suffix or values"),
        ({"suffix": ".png", "values": []}, "expected either suffix or values"),
        ({"suffix": "png"}, 'suffix: expected one such as ".mp4", got \'png\''),
        ({"suffix": ".png", "folder": "input"}, "folder: expected one of 'output', 'temp', got 'input'"),
    ],
)
def test_a_mistake_in_what_is_shown_is_refused(memory_farm: Start, shown: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError, match=r"node_types\.Show\.shows") as caught:
        start(memory_farm, Show={"output_node": True, "shows": {"images": shown}})
    assert expected in str(caught.value)


def expansion(**loop: Any) -> dict[str, Any]:
    load = {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "any.safetensors"}}
    text = {"class_type": "CLIPTextEncode", "inputs": {"text": "a barn", "clip": ["4", 1]}}
    size = {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}}
    inputs = {"latent": ["5", 0], "model": ["4", 0], "cond": ["6", 0], "vae": ["4", 2], **loop}
    return {
        "4": load, "5": size, "6": text,
        "406": {"class_type": "Loop", "inputs": inputs},
        "9": {"class_type": "PreviewAny", "inputs": {"source": ["406", 0]}},
    }  # fmt: skip


def test_an_expanded_graph_runs_under_the_jobs_own_id(memory_farm: Start) -> None:
    farm = start(memory_farm, Loop=LOOP)
    listener = farm["gpu"].listen("me")
    prompt_id, entry = job(farm, expansion(), client_id="me")
    executing = of(listener, "executing")
    assert [message["node"] for message in executing][-6:] == [
        "406", "406.0.0.428", "406.0.0.429", "406.0.0.430", "9", None
    ]  # fmt: skip
    assert {message["prompt_id"] for message in executing} == {prompt_id}
    assert [message["display_node"] for message in executing[-5:-2]] == ["406"] * 3
    assert [message["value"] for message in of(listener, "progress") if message["node"] == "406.0.0.428"] == [1, 2]
    (shown, _) = of(listener, "executed")
    assert (shown["node"], shown["display_node"]) == ("406.0.0.430", "406")
    assert list(entry["outputs"]) == ["406.0.0.430", "9"]
    assert entry["meta"]["406.0.0.430"] == {
        "node_id": "406.0.0.430", "display_node": "406", "parent_node": "406", "real_node_id": "406",
    }  # fmt: skip
    last = of(listener, "progress_state")[-1]["nodes"]
    assert last["406.0.0.428"]["real_node_id"] == last["406.0.0.428"]["parent_node_id"] == "406"
    assert {state["state"] for state in last.values()} == {"finished"}
    assert list(entry["prompt"][2]) == ["4", "5", "6", "406", "9"]


def test_an_error_in_an_expanded_graph_names_the_node_of_the_prompt(memory_farm: Start) -> None:
    broken = {"428": {"class_type": "SaveImage", "inputs": {"images": "{input.latent}", "filename_prefix": "../x"}}}
    _, entry = job(start(memory_farm, Loop={**LOOP, "expands": broken}), expansion())
    kind, error = entry["status"]["messages"][-1]
    assert (kind, error["node_id"], error["node_type"]) == ("execution_error", "406", "Loop")


def test_a_node_that_expands_into_itself_does_so_once(memory_farm: Start) -> None:
    again = {"1": {"class_type": "Loop", "inputs": {"latent": "{input.latent}"}}}
    _, entry = job(start(memory_farm, Loop={**LOOP, "expands": again}), expansion())
    assert entry["status"]["completed"]
