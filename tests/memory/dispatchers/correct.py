"""Five correct dispatchers of different styles: each of their users gets the picture, or is told that there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from comfyfarm.testing.memory_client import Reply

from .base import CarefulDispatcher, Dispatcher, Job, Node, first_image

LISTENING_MS = 10_000


class OwnQueue(CarefulDispatcher):
    """Keeps all jobs to itself: an instance gets the next one when it has none."""

    depth = 1


class Push(CarefulDispatcher):
    """Sends each job at once; the instances have the queues."""

    depth = 1_000


class Polling(CarefulDispatcher):
    """Opens no websocket."""

    listens = False


class WebsocketOnly(CarefulDispatcher):
    """Asks neither queue nor history; a job of which it hears nothing is reported as failed."""

    polls = False

    def on_accepted(self, job: Job, reply: Reply) -> None:
        self.enter(job, "sent")

    def on_job_message(self, job: Job, kind: str, data: dict[str, Any]) -> None:
        if job.state == "unsure":
            self.enter(job, "sent")
        if kind == "executed":
            job.image = job.image or first_image({"it": data.get("output")})
        elif kind == "execution_success" and job.image:
            self.enter(job, "done")
        elif kind in {"execution_error", "execution_interrupted"}:
            self.on_failure(job, {})

    def on_disconnected(self, node: Node) -> None:
        """What it misses until the websocket is open again may be the end of a job."""
        for job in self.jobs_on(node):
            self.fail(job, "the connection was lost")

    def advance(self, job: Job) -> None:
        if job.state == "unsure" and self.now_ms - job.since_ms >= LISTENING_MS and not job.is_cancelled:
            self.fail(job, "the server did not answer")
        else:
            super().advance(job)


class FolderOnly(CarefulDispatcher):
    """Looks for the pictures in the output folders, which it shares with the instances, and asks nothing."""

    listens = polls = False

    def on_accepted(self, job: Job, reply: Reply) -> None:
        self.enter(job, "sent")

    def advance(self, job: Job) -> None:
        is_sent = job.state in {"unsure", "sent"}
        if is_sent and not job.is_cancelled and (picture := self.picture_of(job)):
            self.deliver(job, picture)
        elif job.state == "unsure" and self.now_ms - job.since_ms >= LISTENING_MS and not job.is_cancelled:
            self.fail(job, "the server did not answer")
        else:
            super().advance(job)

    def picture_of(self, job: Job) -> bytes:
        """Return its whole picture; empty if there is none so far."""
        folder = self.farm[job.instance].backend.storage.disk.output_dir
        for path in sorted(Path(folder).glob(f"**/{self.prefix(job)}_*.png")):
            content = path.read_bytes()
            if self.is_right(job, content):
                return content
        return b""


CORRECT: tuple[type[Dispatcher], ...] = (OwnQueue, Push, Polling, WebsocketOnly, FolderOnly)
