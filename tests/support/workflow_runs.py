"""What the farm says of the workflows of ``tests/workflows/``, in the form of the table ``expected.json``.

``PYTHONPATH=farm python -m tests.support.workflow_runs`` writes the table again.  The table holds what a real server
says, so each line that changes has to be checked against that before it is kept.  By workflow and mode of validation:

``refused``: the type of the error, or the status 500; ``errors`` or ``ignored``: the errors by node.
``ran``: the nodes as ``executing`` named them; ``end``: ``success``, or the exception, its node and its first line.
``shows``: by node and key, the files with their media types and sizes, other values as they are; ``websocket``: the
pictures that were sent instead.
``rerun_...``: what is different when the same body is sent again; ``rerun_cached``: the nodes that need not run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from PIL import Image

from comfyfarm.server.media.audio import flac
from comfyfarm.server.media.video import mp4
from comfyfarm.sim.files import FileContent
from comfyfarm.sim.values import Picture
from comfyfarm.testing import MemoryFarm, MemoryInstance
from comfyfarm.testing.in_process import as_config

FOLDER = Path(__file__).parents[1] / "workflows"
EXPECTED = FOLDER / "expected.json"
MODES = ("strict", "lenient")

_CLIENT = "corpus"
_LONG = 8       # lists of files
_SERVER: dict[str, Any] = {
    "mode": "dynamic",
    "cache": "ram",
    "comfyui_version": "0.25.0",
    "api_key_required": True,
    "models": {     # any name is a model of the other folders
        "checkpoints": [
            "512-inpainting-ema.safetensors", "ace_step_v1_3.5b.safetensors", "flux1-schnell-fp8.safetensors",
            "hunyuan3d-dit-v2.safetensors", "ltx-video-2b-v0.9.5.safetensors", "sd3.5_large_fp8_scaled.safetensors",
            "sd_xl_base_1.0.safetensors", "sd_xl_refiner_1.0.safetensors", "stable_audio_open_1.0.safetensors",
            "v1-5-pruned-emaonly-fp16.safetensors",
        ],
        "loras": [
            "Hyper-SDXL-8steps-lora.safetensors", "Qwen-Image-Edit-2509-Lightning-4steps.safetensors",
            "add_detail.safetensors", "detail/add_detail.safetensors", "pixel-art-xl.safetensors",
        ],
    },
}  # fmt: skip


def workflows() -> dict[str, dict[str, Any]]:
    """Return the bodies of ``POST /prompt``, by name."""
    files = sorted(FOLDER.glob("*.json"))
    return {file.stem: json.loads(file.read_text()) for file in files if file != EXPECTED}


def run(body: Mapping[str, Any]) -> dict[str, Any]:
    """Submit a workflow twice to a strict and twice to a lenient server; return what each of them says.

    ``lenient`` is left out if it is the same.
    """
    servers = [{"name": mode, "port": 0, "validation": mode, **_SERVER} for mode in MODES]
    farm = MemoryFarm.start(as_config({"instance": servers}))
    try:
        strict, lenient = (_run_on(farm, farm[mode], body) for mode in MODES)
    finally:
        farm.stop()
    return {"strict": strict} if strict == lenient else {"strict": strict, "lenient": lenient}


def _run_on(farm: MemoryFarm, server: MemoryInstance, body: Mapping[str, Any]) -> dict[str, Any]:
    _upload_inputs(server)
    first = _submit(farm, server, body)
    if "end" not in first:
        return first
    again = _submit(farm, server, body)
    changed = {f"rerun_{key}": again[key] for key in ("cached", "ran", "end", "shows") if again[key] != first[key]}
    del first["cached"]     # nothing
    return {key: value for key, value in first.items() if value} | changed


def _upload_inputs(server: MemoryInstance) -> None:
    _upload(server, "photo.jpg", _picture("RGB", (512, 384), "JPEG"))
    _upload(server, "cutout.png", _picture("RGBA", (256, 320), "PNG"))
    _upload(server, "mask.png", _picture("L", (512, 384), "PNG"))
    _upload(server, "painted.png", _picture("RGBA", (96, 64), "PNG"), subfolder="clipspace")
    _upload(server, "earlier.png", _picture("RGB", (64, 64), "PNG"), type="output")
    nothing = FileContent(Picture(1, 1), {}, "")
    _upload(server, "song.flac", flac(nothing))
    _upload(server, "clip.mp4", mp4(nothing))


def _picture(mode: str, size: tuple[int, int], kind: str) -> bytes:
    file = BytesIO()
    Image.new(mode, size).save(file, kind)
    return file.getvalue()


def _upload(server: MemoryInstance, name: str, content: bytes, **fields: str) -> None:
    parts = [f'--b\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{text}\r\n' for key, text in fields.items()]
    head = f'{"".join(parts)}--b\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    reply = server.ask("POST", "/upload/image", data=head.encode() + content + b"\r\n--b--\r\n", headers=headers)
    assert reply.status == 200


def _submit(farm: MemoryFarm, server: MemoryInstance, body: Mapping[str, Any]) -> dict[str, Any]:
    listener = server.listen(_CLIENT)
    reply = server.ask("POST", "/prompt", json={**body, "client_id": _CLIENT})
    if reply.status == 500:
        return {"refused": "500"}
    if reply.status == 400:
        return _refusal(reply.json())
    farm.run_until_idle()
    answer, heard = reply.json(), list(listener.heard)
    entry = server.ask("GET", f"/history/{answer['prompt_id']}").json()[answer["prompt_id"]]
    messages = {message["type"]: message["data"] for message in heard if not isinstance(message, bytes)}
    shown = {node: _shown(server, output) for node, output in entry["outputs"].items()}
    pictures = [_sent(message) for message in heard if isinstance(message, bytes)]
    return {
        "ignored": _errors(answer["node_errors"]),
        "ran": " ".join(_ran(heard)),
        "end": _end(messages),
        "shows": shown | ({"websocket": pictures} if any(pictures) else {}),
        "cached": " ".join(messages["execution_cached"]["nodes"]),
    }


def _refusal(answer: dict[str, Any]) -> dict[str, Any]:
    kind, facts = answer["error"]["type"], answer["error"]["extra_info"]
    if kind == "missing_node_type":
        return {"refused": f"{kind}: {facts['class_type']} at {facts['node_id']}"}
    return {"refused": kind} | ({"errors": _errors(answer["node_errors"])} if answer["node_errors"] else {})


def _errors(node_errors: dict[str, Any]) -> dict[str, list[str]]:
    return {
        node: [f"{entry['type']}: {entry['details']}" for entry in found["errors"]]
        for node, found in node_errors.items()
    }


def _ran(heard: list[Any]) -> Iterator[str]:
    for message in heard:
        if not isinstance(message, bytes) and message["type"] == "executing" and message["data"]["node"]:
            yield message["data"]["node"]


def _end(messages: dict[str, Any]) -> str:
    if error := messages.get("execution_error"):
        text = error["exception_message"].partition("\n")[0]
        return f"{error['exception_type']} at {error['node_id']}: {text}"
    return "success" if "execution_success" in messages else "none"


def _shown(server: MemoryInstance, output: dict[str, Any]) -> dict[str, Any]:
    """Return what a node shows: by key, each file with its folder, media type and size, other values as they are."""
    return {
        key: _folded([_file(server, item) if isinstance(item, dict) and "filename" in item else item for item in items])
        for key, items in output.items()
    }


def _folded(items: list[Any]) -> list[Any]:
    """Return the first and the last item of a long list, and how many are between."""
    return items if len(items) <= _LONG else [items[0], f"{len(items) - 2} more", items[-1]]


def _file(server: MemoryInstance, file: dict[str, str]) -> str:
    reply = server.ask("GET", f"/view?{urlencode(file)}")
    kind = reply.headers["content-type"] if reply.status == 200 else reply.status
    place = "/".join(part for part in (file["type"], file["subfolder"], file["filename"]) if part)
    return f"{re.sub('_temp_[a-z]{5}_', '_temp_*_', place)} {kind}{_size(reply.body)}"


def _sent(message: bytes) -> str:
    """Return the size of a picture that was sent; empty for other binary messages."""
    return f"picture{_size(message[8:])}" if message[:4] == b"\0\0\0\1" else ""


def _size(content: bytes) -> str:
    """Return width, height and number of pictures of a file, as far as it has them."""
    try:
        picture = Image.open(BytesIO(content))
    except OSError:
        return ""
    frames = getattr(picture, "n_frames", 1)
    return f" {picture.width}x{picture.height}" + (f" {frames} frames" if frames > 1 else "")


def _written(name: str, says: Mapping[str, Mapping[str, Any]]) -> str:
    modes = (
        f'"{mode}": {{\n  ' + ",\n  ".join(f'"{key}": {json.dumps(value)}' for key, value in facts.items()) + "}"
        for mode, facts in says.items()
    )
    return f'"{name}": {{\n ' + ",\n ".join(modes) + "}"


if __name__ == "__main__":
    table = ",\n".join(_written(name, run(body)) for name, body in workflows().items())
    EXPECTED.write_text(f"{{\n{table}\n}}\n")
