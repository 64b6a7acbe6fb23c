"""The script that makes the facts about constants in sockets from recorded jobs."""

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

from comfyfarm.config.recorded import recorded

ROOT = Path(__file__).resolve().parents[4]
SCRIPT: dict[str, Any] = runpy.run_path(str(ROOT / "scripts/make_socket_uses"), run_name="make_socket_uses")
CLIP = "ERROR: clip input is invalid: None"


def failed(error: str) -> dict[str, Any]:
    kind, _, message = error.partition(": ")
    return {"status": 200, "end": "execution_error", "type": kind, "message": f"{message}\n"}


def job(end: str) -> dict[str, Any]:
    return {"status": 200, "end": "execution_success"} if end == "success" else failed(end)


def missing(kind: str, name: str) -> str:
    return f"AttributeError: '{kind}' object has no attribute '{name}'"


@pytest.mark.parametrize(
    ("class_type", "jobs", "facts"),
    [
        (
            "ImageScale",
            {"None|null": "success", "image|null": missing("NoneType", "movedim"),
             "image|text": missing("str", "movedim")},
            {"uses": [["image", ".movedim"]], "function": "ImageScale.upscale()"},
        ),
        (
            "ImageStitch",
            {"None|null": "success", "image1|null": "success", "image1|text": "success", "image2|null": "success",
             "image2|text": missing("str", "shape")},
            {"uses": [["image2", ".shape", True]]},
        ),
        (
            "CLIPTextEncode",
            {"None|null": f"RuntimeError: {CLIP}", "clip|null": f"RuntimeError: {CLIP}",
             "clip|text": missing("str", "tokenize")},
            {"uses": [["clip", {"null": ["RuntimeError", CLIP]}], ["clip", ".tokenize"]],
             "function": "CLIPTextEncode.encode()"},
        ),
        (
            "VAEDecode",
            {"None|null": missing("NoneType", "decode"), "vae|null": missing("NoneType", "decode"),
             "vae|text": missing("str", "decode"),
             "samples|null": "TypeError: 'NoneType' object is not subscriptable",
             "samples|text": "TypeError: string indices must be integers, not 'str'"},
            {"uses": [["samples", "[samples]"], ["vae", ".decode"]], "function": "VAEDecode.decode()"},
        ),
        (
            "DA3Render",
            dict.fromkeys(["None|null", "da3_geometry|null", "da3_geometry|text"],
                          "TypeError: DA3Render.execute() missing 1 required positional argument: 'output'"),
            {"needs": ["output"]},
        ),
    ],
)  # fmt: skip
def test_uses_follow_from_the_errors_of_recorded_jobs(
    class_type: str, jobs: dict[str, str], facts: dict[str, Any]
) -> None:
    """Which socket is used first follows from which error hides which."""
    keys = {key: key.replace("text", json.dumps("%image%")) for key in jobs}
    recording = {f"{class_type}|{keys[key]}": job(end) for key, end in jobs.items()}
    node = SCRIPT["Node"](class_type, recorded().object_info[class_type], recording)
    derived = SCRIPT["derive"]([node])
    assert json.loads(json.dumps(derived)) == {class_type: facts}
    assert list(SCRIPT["check"]([node], derived)) == []
