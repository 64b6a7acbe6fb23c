"""What a client asks in most checks, in a line each."""

from __future__ import annotations

import json
from typing import Any

from comfyfarm.events import FaultFired
from comfyfarm.testing import MemoryFarm
from comfyfarm.testing.listener import Listener
from comfyfarm.testing.memory_client import Asking, Reply
from comfyfarm.workflows import text_to_image

__all__ = [
    "USUAL",
    "begin",
    "data_of",
    "entry_of",
    "fired",
    "heard",
    "neighbours",
    "post",
    "queue",
    "submit",
    "upload",
    "view",
]

USUAL = (
    *("status 1", "status 1", "execution_start", "execution_cached"),
    *("executing 4", "executing 5", "executing 7", "executing 6"),
    *("executing 3", "progress 1", "progress 8", "progress 15", "progress 20"),
    *("executing 8", "executing 9", "executed 9"),
    *("execution_success", "status 0", "executing"),
)
"""What a client that is connected hears of the standard workflow on an idle instance, as :func:`heard` tells it."""


def submit(
    farm: MemoryFarm, name: str = "gpu-1", *, seed: int = 0, steps: int = 20, client_id: str = "me", **body: Any
) -> Reply:
    """Send the standard workflow, and give whatever the answer is."""
    whole = {"prompt": text_to_image(seed, steps=steps), "client_id": client_id, **body}
    return farm[name].ask("POST", "/prompt", json=whole)


def post(farm: MemoryFarm, name: str = "gpu-1", **more: Any) -> str:
    """Send the standard workflow, have it taken on, and give its ``prompt_id``."""
    reply = submit(farm, name, **more)
    assert reply.status == 200, reply.body
    return str(reply.json()["prompt_id"])


def begin(farm: MemoryFarm, method: str, path: str, body: object = None, name: str = "gpu-1") -> Asking:
    """Begin an exchange that may not be answered at once: ``.reply()`` is ``None`` until then."""
    content = b"" if body is None else json.dumps(body).encode()
    return farm.wire.begin(farm[name].backend.site, method, path, content)


def entry_of(farm: MemoryFarm, prompt_id: str, name: str = "gpu-1") -> Any:
    """What history says of a job, or ``None``."""
    return farm[name].ask("GET", f"/history/{prompt_id}").json().get(prompt_id)


def queue(farm: MemoryFarm, name: str = "gpu-1") -> tuple[list[str], list[str]]:
    """The ``prompt_id`` of what runs and of what waits."""
    told = farm[name].ask("GET", "/queue").json()
    running, pending = ([job[1] for job in told[key]] for key in ("queue_running", "queue_pending"))
    return running, pending


def neighbours(farm: MemoryFarm, name: str = "gpu-1") -> list[int]:
    """How requests are answered that are nearly a submit: of its path, and of its method."""
    asked = (farm[name].ask("GET", "/prompt"), farm[name].ask("POST", "/queue", json={}))
    return [reply.status for reply in asked]


def view(farm: MemoryFarm, image: dict[str, str], name: str = "gpu-1") -> Reply:
    """Fetch a picture as history lists it."""
    query = "&".join(f"{key}={value}" for key, value in image.items())
    return farm[name].ask("GET", f"/view?{query}")


def upload(farm: MemoryFarm, name: str = "gpu-1", content: bytes = b"bytes") -> Reply:
    """Send an input picture called ``mine.png``."""
    head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="mine.png"\r\n\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    return farm[name].ask("POST", "/upload/image", data=head + content + b"\r\n--x--\r\n", headers=headers)


def data_of(listener: Listener, *kinds: str) -> list[dict[str, Any]]:
    """What the messages of some types said, in order."""
    return [each["data"] for each in listener.heard if not isinstance(each, bytes) and each["type"] in kinds]


def heard(listener: Listener) -> tuple[str, ...]:
    """The types of the messages in order, each with what matters most of it; ``progress_state`` is left out."""
    told = [each for each in listener.heard if isinstance(each, bytes) or each["type"] != "progress_state"]
    return tuple("binary" if isinstance(each, bytes) else _in_short(each["type"], each["data"]) for each in told)


def _in_short(kind: str, data: dict[str, Any]) -> str:
    match kind:
        case "status":
            return f"status {data['status']['exec_info']['queue_remaining']}"
        case "progress":
            return f"progress {data['value']}"
        case _:
            return f"{kind} {data.get('node') or ''}".strip()


def fired(farm: MemoryFarm) -> list[tuple[int, str, str]]:
    """When which fault fired on which instance."""
    return [(each.at_ms, each.instance, each.id) for each in farm.farm.log.of(FaultFired)]
