"""The jobs of the demonstration, and what servers say about them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

__all__ = ["Job", "Target", "choose_checkpoint", "failure", "on_message", "pictures", "plan", "saved_path"]

_SUBJECTS = ("a red barn", "a corn field", "an old tractor", "a wind wheel", "a scarecrow", "a row of server racks")
_LIGHTS = ("at dawn", "in the rain", "under the first snow", "by moonlight")
_TEXTS = [f"{subject} {light}" for light, subject in product(_LIGHTS, _SUBJECTS)]
_CHECKPOINT = "v1-5-pruned-emaonly-fp16.safetensors"


class Target(NamedTuple):
    """A server that jobs go to; ``checkpoint`` is one that it offers."""

    name: str
    url: str
    checkpoint: str


@dataclass(eq=False)
class Job:
    """One job, from plan to pictures.

    :ivar submitted_s: when it was sent; this and the other times are ``None`` until it has happened.
    :ivar step: the sampler's progress, of ``steps``.
    :ivar error: why there is no picture; ``None`` as long as all is well.
    :ivar saved: the pictures that were fetched: each one's name in history, and its SHA-256.
    """

    number: int
    target: str
    text: str
    # We choose the id, so that a message which overtakes the answer to our POST finds its job.
    prompt_id: str = field(default_factory=lambda: str(uuid4()))
    submitted_s: float | None = None
    started_s: float | None = None
    ended_s: float | None = None
    step: float = 0
    steps: float = 1
    error: str | None = None
    saved: list[tuple[str, str]] = field(default_factory=list)

    @property
    def seed(self) -> int:
        """A different one for each job, so that the pictures differ."""
        return 1000 + self.number

    @property
    def over(self) -> bool:
        """Whether the server is done with it."""
        return self.ended_s is not None or self.error is not None


def plan(targets: Sequence[Target], count: int) -> list[Job]:
    """Give ``count`` jobs, round-robin over the targets, each with its own seed and text."""
    return [
        Job(number, targets[(number - 1) % len(targets)].name, _TEXTS[(number - 1) % len(_TEXTS)])
        for number in range(1, count + 1)
    ]


def on_message(jobs: Mapping[str, Job], message: dict[str, Any] | bytes, now_s: float) -> Job | None:
    """Note what a websocket message says about one of the jobs (by prompt id), and return that job.

    ``None`` if it is about none of them, or says nothing that is shown.
    """
    if isinstance(message, bytes):      # a preview
        return None
    data = message["data"]
    job = jobs.get(data.get("prompt_id", ""))
    if job is None:
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
    """Every picture that a history entry names: ``filename``, ``subfolder``, ``type``."""
    found = [picture for output in entry["outputs"].values() for picture in output.get("images", ())]
    return [{word: picture[word] for word in ("filename", "subfolder", "type")} for picture in found]


def failure(entry: Mapping[str, Any]) -> str | None:
    """Why a job failed, as its history entry says; ``None`` if it did not."""
    if entry["status"]["status_str"] == "success":
        return None
    for kind, data in entry["status"]["messages"]:
        if kind == "execution_error":
            return f"{data['exception_type']}: {data['exception_message'].strip()}"
        if kind == "execution_interrupted":
            return "interrupted"
    return "failed"


def choose_checkpoint(object_info: Mapping[str, Any]) -> str:
    """The usual checkpoint if the server has it, else its first."""
    kind, *options = object_info["CheckpointLoaderSimple"]["input"]["required"]["ckpt_name"]
    offered = kind if isinstance(kind, list) else options[0]["options"]
    return _CHECKPOINT if _CHECKPOINT in offered or not offered else str(offered[0])


def saved_path(output: Path, target: str, picture: Mapping[str, str]) -> Path:
    """Where a picture is kept: in the folder of its instance, whatever the server calls it.

    A static instance names ``../input/kernie_512x768.jpg``, and an unknown server may name anything.
    """
    folder, name = (_parts(text) or ["unnamed"] for text in (target, picture["filename"]))
    return output.joinpath("_".join(folder), *_parts(picture.get("subfolder", "")), name[-1])


def _parts(name: str) -> list[str]:
    """The parts of a path that are safe here: none leads upwards, to a root or to a drive."""
    parts = [re.sub(r"[^\w .()\[\]+-]", "_", part) for part in name.replace("\\", "/").split("/")]
    return [part for part in parts if part.strip(". ")]
