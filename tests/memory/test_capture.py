"""What a server tells is written down, and another farm serves the same."""

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from comfyfarm.clients import HttpStatusError
from comfyfarm.clients.capture import NotComfyUI, take, write
from comfyfarm.config import load
from comfyfarm.config.captured import CapturedServer
from comfyfarm.testing import MemoryFarm, MemoryInstance
from comfyfarm.versions import RECORDED
from comfyfarm.workflows import text_to_image

Start = Callable[[Any], MemoryFarm]

SERVER = {
    "name": "origin",
    "comfyui_version": "0.28.0",
    "max_upload_size": "7MB",
    "models": {
        "checkpoints": ["own.safetensors:23GB", "sd_xl_base_1.0.safetensors"],
        "vae": [],
        "embeddings": ["good.pt", "bad.safetensors"],
        "a folder/of one's own": ["x?.bin:5MB"],
    },
    "missing_nodes": ["KSampler"],
    "node_types": {
        "Zoom": {
            "inputs": {"image": "IMAGE", "by": {"type": "FLOAT", "default": 1.0, "tooltip": "größer"}},
            "outputs": ["IMAGE"],
        },
    },
}


def get(instance: MemoryInstance) -> Callable[[str], bytes]:
    """Ask an instance as ``comfyfarm capture`` asks a server."""

    def body(path: str) -> bytes:
        reply = instance.ask("GET", path)
        if reply.status >= 400:
            raise HttpStatusError(reply.status, reply.body)
        return reply.body

    return body


def everything(instance: MemoryInstance) -> dict[str, bytes]:
    """What the promise is about, byte for byte."""
    names = ("checkpoints", "vae", "loras", "configs", "a%20folder%2Fof%20one's%20own")
    folders = [f"/models/{name}" for name in names]
    paths = ["/object_info", "/object_info/Zoom", "/models", "/system_stats", "/features", "/embeddings", *folders]
    return {path: instance.ask("GET", path).body for path in paths}


def recaptured(server: MemoryInstance, directory: Path, start: Start, **keys: Any) -> MemoryInstance:
    """An instance that serves what was captured of another, as its fragment says it."""
    write(take(get(server)), directory, "http://origin:8188")
    (table,) = tomllib.loads((directory / "instance.toml").read_text())["instance"]
    assert table == {"name": "captured", "captured": "."}
    return start({"instance": [{**table, "captured": str(directory), **keys}]})["captured"]


def test_a_second_farm_serves_what_was_captured_of_the_first(memory_farm: Start, tmp_path: Path) -> None:
    origin = memory_farm({"instance": [SERVER]})["origin"]
    copy = recaptured(origin, tmp_path, memory_farm)
    assert everything(copy) == everything(origin)
    assert copy.ask("GET", "/experiment/models/checkpoints").json()[0]["size"] == 23 * 1024**3


def test_a_plain_server_can_be_captured_too(memory_farm: Start, tmp_path: Path) -> None:
    """All core nodes, the customary models, the recorded machine; and a copy of the copy is the same again."""
    origin = memory_farm({})["comfyui"]
    copy = recaptured(origin, tmp_path / "one", memory_farm)
    again = recaptured(copy, tmp_path / "two", memory_farm)
    assert everything(again) == everything(copy) == everything(origin)
    assert (tmp_path / "one" / "object_info.json").read_bytes() == (tmp_path / "two" / "object_info.json").read_bytes()


@pytest.mark.parametrize("version", RECORDED)
def test_a_captured_server_behaves_like_the_version_that_it_was(
    memory_farm: Start, tmp_path: Path, version: str
) -> None:
    """It has the routes, the flags and the messages of that version, and no others."""
    origin = memory_farm({"instance": [{"name": "origin", "comfyui_version": version}]})["origin"]
    copy = recaptured(origin, tmp_path, memory_farm)
    assert everything(copy) == everything(origin)
    for path in ("/api/jobs", "/global_subgraphs", "/node_replacements", "/api/assets"):
        assert copy.ask("GET", path).status == origin.ask("GET", path).status
    cancel = "/api/jobs/00000000-0000-4000-8000-000000000000/cancel"
    assert copy.ask("POST", cancel).status == origin.ask("POST", cancel).status
    assert copy.ask("GET", "/features").status == (404 if version == "0.3.40" else 200)


def test_a_captured_server_takes_what_the_real_one_took_and_nothing_else(memory_farm: Start, tmp_path: Path) -> None:
    """Its models are exact, its node types too, and its limit holds."""
    copy = recaptured(memory_farm({"instance": [SERVER]})["origin"], tmp_path, memory_farm, mode="dynamic")
    prompt = text_to_image()
    assert copy.ask("POST", "/prompt", json={"prompt": prompt}).json()["error"]["type"] == "missing_node_type"
    prompt["8"]["inputs"]["samples"] = ["5", 0]
    del prompt["3"]
    prompt["4"]["inputs"]["ckpt_name"] = "elsewhere.safetensors"
    reply = copy.ask("POST", "/prompt", json={"prompt": prompt})
    assert reply.json()["node_errors"]["4"]["errors"][0]["type"] == "value_not_in_list"
    prompt["4"]["inputs"]["ckpt_name"] = "own.safetensors"
    assert copy.ask("POST", "/prompt", json={"prompt": prompt}).status == 200
    assert copy.ask("POST", "/prompt", data=b" " * (7 * 1024**2 + 1)).status == 413


def test_what_the_configuration_says_goes_before_what_was_captured(memory_farm: Start, tmp_path: Path) -> None:
    origin = memory_farm({"instance": [SERVER]})["origin"]
    keys = {"models": {"vae": ["new.safetensors"]}, "comfyui_version": "0.27.0", "max_upload_size": "1MB"}
    copy = recaptured(origin, tmp_path, memory_farm, **keys)
    assert copy.ask("GET", "/models/vae").json() == ["new.safetensors"]
    assert copy.ask("GET", "/models/checkpoints").body == origin.ask("GET", "/models/checkpoints").body
    assert copy.ask("GET", "/system_stats").json()["system"]["comfyui_version"] == "0.27.0"
    assert copy.ask("GET", "/features").json()["max_upload_size"] == 1024**2
    entry = copy.ask("GET", "/object_info/VAELoader").json()["VAELoader"]
    assert entry["input"]["required"]["vae_name"] == [["new.safetensors", "pixel_space"]]


def test_the_fragment_is_a_whole_configuration(memory_farm: Start, tmp_path: Path) -> None:
    """It is read as it stands; the version is that of the server."""
    write(take(get(memory_farm({"instance": [SERVER]})["origin"])), tmp_path, "http://origin:8188", "twin")
    (config,) = load(tmp_path / "instance.toml").instance
    assert (config.name, config.comfyui_version, config.max_upload_size) == ("twin", "0.28.0", 7 * 1024**2)


def test_a_new_capture_replaces_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    entry = {"A": {"input": {"required": {}}, "output": []}}
    write(CapturedServer(entry, {}, {"system": {}}, {"x": 1}), tmp_path, "http://a")
    write(CapturedServer(entry, None, {"system": {}}, None), tmp_path, "http://b")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "captured.sha256",
        "instance.toml",
        "notes.txt",
        "object_info.json",
        "system_stats.json",
    ]


def test_an_older_server_that_does_not_tell_its_features_can_be_captured() -> None:
    """Nor do its folders tell sizes."""
    told = {
        "/system_stats": {"system": {"os": "nt"}, "devices": []},
        "/object_info": {"A": {"input": {}, "output": []}},
        "/models": ["loras"],
        "/models/loras": ["a.safetensors"],
    }

    def old(path: str) -> bytes:
        if path not in told:
            raise HttpStatusError(404, b"404: Not Found")
        return json.dumps(told[path]).encode()

    captured = take(old)
    assert captured.features is None
    assert captured.models == {"loras": {"a.safetensors": None}}
    assert captured.defaults() == {}


@pytest.mark.parametrize(
    ("path", "answer", "why"),
    [
        ("/system_stats", b"<html>", "/system_stats answered no JSON"),
        ("/system_stats", b"[]", "/system_stats does not describe a system"),
        ("/object_info", b"{}", "/object_info: it holds no node type"),
        ("/object_info", None, "/object_info answered 404"),
    ],
)
def test_a_server_that_is_no_comfyui_is_told_from_one(
    memory_farm: Start, path: str, answer: bytes | None, why: str
) -> None:
    real = get(memory_farm({})["comfyui"])

    def other(asked: str) -> bytes:
        if asked != path:
            return real(asked)
        if answer is None:
            raise HttpStatusError(404, b"")
        return answer

    with pytest.raises(NotComfyUI, match=why):
        take(other)
