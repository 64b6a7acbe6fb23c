"""The jobs of a load, and what servers say about them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

_CHECKPOINT = "v1-5-pruned-emaonly-fp16.safetensors"


class Target(NamedTuple):
    """A server that jobs go to.

    :ivar checkpoint: one that it offers; ``None`` if it cannot be told.
    """

    name: str
    url: str
    checkpoint: str | None


@dataclass(eq=False)
class LoadJob:
    """One job, from plan to pictures.

    :ivar due_s: when it is to be sent, from the start of the load.
    :ivar workflow: the name of its workflow.
    :ivar text: its prompt, or the name of its workflow's file.
    :ivar target: the name of its server; empty before it is sent.
    :ivar submitted_s: when it was sent; this and the other times are ``None`` until it has happened.
    :ivar fetched_s: when the last of its pictures had arrived.
    :ivar step: the sampler's progress, of ``steps``.
    :ivar error: why it is not delivered; ``None`` as long as all is well.
    :ivar saved: the pictures that were fetched: each one's name in history, and its SHA-256.
    """

    number: int
    due_s: float
    workflow: str
    text: str
    target: str = ""
    # We choose the id, so that a message which overtakes the answer to our POST finds its job.
    prompt_id: str = field(default_factory=lambda: str(uuid4()))
    submitted_s: float | None = None
    started_s: float | None = None
    ended_s: float | None = None
    fetched_s: float | None = None
    step: float = 0
    steps: float = 1
    error: str | None = None
    saved: list[tuple[str, str]] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        """Whether the server is done with it."""
        return self.ended_s is not None or self.error is not None

    @property
    def is_delivered(self) -> bool:
        """Whether it has succeeded, and all its pictures have arrived."""
        return self.fetched_s is not None and self.error is None


def on_message(jobs: Mapping[str, LoadJob], message: dict[str, Any] | bytes, now_s: float) -> LoadJob | None:
    """Note what a websocket message says about one of the jobs (by prompt id), and return that job.

    ``None`` if it is about none of them, or says nothing that is shown.  What comes after the history has shown the end
    is late: the times of such messages would be wrong.
    """
    if isinstance(message, bytes):      # a preview
        return None
    data = message["data"]
    job = jobs.get(data.get("prompt_id", ""))
    if job is None or job.ended_s is not None:
        return None
    match message["type"]:
        case "execution_start":
            job.started_s = now_s
        case "progress":
            job.step, job.steps = data["value"], data["max"]
        case "execution_success" | "execution_error" | "execution_interrupted":
            job.ended_s = now_s     # history says how
        case _:
            return None
    return job


def pictures(entry: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return every picture that a history entry names: ``filename``, ``subfolder``, ``type``."""
    found = [picture for output in entry["outputs"].values() for picture in output.get("images", ())]
    return [{word: picture[word] for word in ("filename", "subfolder", "type")} for picture in found]


def failure(entry: Mapping[str, Any]) -> str | None:
    """Return why a job failed, as its history entry says; ``None`` if it did not."""
    if entry["status"]["status_str"] == "success":
        return None
    for kind, data in entry["status"]["messages"]:
        if kind == "execution_error":
            return f"{data['exception_type']}: {data['exception_message'].strip()}"
        if kind == "execution_interrupted":
            return "interrupted"
    return "failed"


def choose_checkpoint(object_info: Mapping[str, Any]) -> str | None:
    """Return the usual checkpoint if the server has it, else its first; ``None`` if it does not say."""
    try:
        kind, *options = object_info["CheckpointLoaderSimple"]["input"]["required"]["ckpt_name"]
        offered = kind if isinstance(kind, list) else options[0]["options"]
        return _CHECKPOINT if _CHECKPOINT in offered or not offered else str(offered[0])
    except (LookupError, TypeError, ValueError):
        return None


def saved_path(output: Path, target: str, picture: Mapping[str, str]) -> Path:
    """Return where a picture is kept: in the folder of its server, whatever the server calls it.

    A static instance names ``../input/kernie_512x768.jpg``, and an unknown server may name anything.
    """
    folder, name = (_parts(text) or ["unnamed"] for text in (target, picture["filename"]))
    return output.joinpath("_".join(folder), *_parts(picture.get("subfolder", "")), name[-1])


def _parts(name: str) -> list[str]:
    """Return the parts of a path that are safe here: none leads upwards, to a root or to a drive."""
    parts = [re.sub(r"[^\w .()\[\]+-]", "_", part) for part in name.replace("\\", "/").split("/")]
    return [part for part in parts if part.strip(". ")]
