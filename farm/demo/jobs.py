"""Which jobs does the demonstration send, and what became of them?"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any
from uuid import uuid4

__all__ = ["Job", "Saved", "Target", "failure", "hear", "pictures", "plan", "saved_path"]

_SUBJECTS = ("a red barn", "a corn field", "an old tractor", "a wind wheel", "a scarecrow", "a row of server racks")
_LIGHTS = ("at dawn", "in the rain", "under the first snow", "by moonlight")
_TEXTS = [f"{subject} {light}" for light, subject in product(_LIGHTS, _SUBJECTS)]


@dataclass(frozen=True)
class Target:
    """One server that jobs go to.

    :ivar name: an instance's name, or ``host:port`` of a server that does not say one.
    :ivar checkpoint: a checkpoint that it offers.
    """

    name: str
    url: str
    checkpoint: str


@dataclass(frozen=True)
class Saved:
    """One picture that was fetched.

    :ivar filename: as history names it.
    """

    filename: str
    path: Path
    sha256: str


@dataclass(eq=False)
class Job:
    """One job of the demonstration, from plan to pictures.

    :ivar submitted_s: when the server took it; this and the other times are ``None`` until it has happened.
    :ivar step: the sampler's progress, of ``steps``.
    :ivar error: why there is no picture; ``None`` as long as all is well.
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
    saved: list[Saved] = field(default_factory=list)

    @property
    def seed(self) -> int:
        """What makes this picture differ from the others."""
        return 1000 + self.number

    @property
    def over(self) -> bool:
        """Whether nothing more is to be heard of it."""
        return self.ended_s is not None or self.error is not None

    @property
    def waited_s(self) -> float | None:
        """How long it stood in the queue; ``None`` where nobody told us that it started."""
        return None if self.submitted_s is None or self.started_s is None else self.started_s - self.submitted_s

    @property
    def ran_s(self) -> float | None:
        """How long it ran."""
        return None if self.started_s is None or self.ended_s is None else self.ended_s - self.started_s


def plan(targets: Sequence[Target], count: int) -> list[Job]:
    """``count`` jobs, round-robin over the targets, each with its own seed and text."""
    return [
        Job(number=number, target=targets[(number - 1) % len(targets)].name, text=_TEXTS[(number - 1) % len(_TEXTS)])
        for number in range(1, count + 1)
    ]


def hear(jobs: Mapping[str, Job], message: dict[str, Any] | bytes, now_s: float) -> Job | None:
    """Note what a websocket message says about one of the jobs (by prompt id), and tell which.

    ``None`` where it is about none of them, or says nothing that we show.
    """
    if isinstance(message, bytes):
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
            job.ended_s, job.error = now_s, _why(message["type"], data)
        case _:
            return None
    return job


def pictures(entry: Mapping[str, Any]) -> list[dict[str, str]]:
    """Every picture that a history entry names: ``filename``, ``subfolder``, ``type``."""
    found = [picture for output in entry["outputs"].values() for picture in output.get("images", ())]
    return [{word: picture[word] for word in ("filename", "subfolder", "type")} for picture in found]


def failure(entry: Mapping[str, Any]) -> str | None:
    """Why a job failed, as its history entry says; ``None`` for one that did not."""
    if entry["status"]["status_str"] == "success":
        return None
    reasons = (_why(kind, data) for kind, data in entry["status"]["messages"])
    return next((reason for reason in reasons if reason), "failed")


def _why(kind: str, data: Mapping[str, Any]) -> str | None:
    """What a message says about a failure, on the websocket and in history alike."""
    if kind == "execution_error":
        return f"{data['exception_type']}: {data['exception_message'].strip()}"
    return "interrupted" if kind == "execution_interrupted" else None


def saved_path(output: Path, target: str, picture: Mapping[str, str]) -> Path:
    """Where a picture is kept: in the folder of its instance, whatever the server calls it.

    A static instance names ``../input/kernie_512x768.jpg``, and a server that we do not know may name anything.
    """
    folder, name = (_parts(text) or ["unnamed"] for text in (target, picture["filename"]))
    return output.joinpath("_".join(folder), *_parts(picture.get("subfolder", "")), name[-1])


def _parts(name: str) -> list[str]:
    """The parts of a path that may be used here: none that leads upwards, to a root or to a drive."""
    parts = [re.sub(r"[^\w .()\[\]+-]", "_", part) for part in name.replace("\\", "/").split("/")]
    return [part for part in parts if part.strip(". ")]
