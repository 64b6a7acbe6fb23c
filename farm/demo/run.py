"""How does the demonstration wait: for places in the queue, messages and pictures?"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.error import ConnectError, ConnectionClosed
from twisted.internet.task import LoopingCall
from twisted.web.client import RequestTransmissionFailed, ResponseFailed

from farm.client import ComfyClient, Message, Refused
from farm.workflows import text_to_image

from .jobs import Job, Saved, Target, failure, hear, pictures, saved_path
from .show import Board

__all__ = ["run"]

_JOB_TIMEOUT_S = 300.0
_REFRESH_S = 0.1
_WENT_WRONG = (Refused, ConnectError, ConnectionClosed, RequestTransmissionFailed, ResponseFailed, TimeoutError)


async def run(reactor: Any, targets: Sequence[Target], jobs: Sequence[Job], output: Path, board: Board) -> None:
    """Send all jobs, wait until each has ended and its pictures are below ``output``.

    What goes wrong with a job stands in it afterwards; the others go on.

    :raises ConnectError: where a server can no longer be reached at the start.
    """
    async with AsyncExitStack() as stack:
        lanes = {target.name: await _open(stack, reactor, target, jobs, board) for target in targets}
        looking = LoopingCall(board.refresh)
        looking.clock = reactor
        looking.start(_REFRESH_S)
        stack.callback(looking.stop)
        for job in jobs:
            await lanes[job.target].submit(job)
        await gatherResults([Deferred.fromCoroutine(lane.collect(output)) for lane in lanes.values()])


async def _open(stack: AsyncExitStack, reactor: Any, target: Target, jobs: Sequence[Job], board: Board) -> _Lane:
    """A lane that listens already: what is said before the socket is open is lost."""
    client = ComfyClient(target.url, reactor=reactor)
    stack.push_async_callback(client.close)
    lane = _Lane(reactor, target, client, [job for job in jobs if job.target == target.name], board)
    ear = await stack.enter_async_context(client.listening())
    hearing = Deferred.fromCoroutine(lane.listen(ear))
    # A server that hangs up is no end of the world: history still tells what became of the jobs.
    hearing.addErrback(lambda why: why.trap(CancelledError, ConnectionClosed) and None)
    stack.callback(hearing.cancel)
    return lane


@dataclass(eq=False)
class _Lane:
    """All that goes on between us and one server."""

    reactor: Any
    target: Target
    client: ComfyClient
    jobs: Sequence[Job]
    board: Board

    async def submit(self, job: Job) -> None:
        """Put a job into the server's queue."""
        workflow = text_to_image(seed=job.seed, prompt=job.text, width=512, height=768, steps=20)
        workflow["4"]["inputs"]["ckpt_name"] = self.target.checkpoint
        job.submitted_s = self.reactor.seconds()
        try:
            await self.client.submit(workflow, prompt_id=job.prompt_id)
        except _WENT_WRONG as why:
            job.error = _reason(why)
            self.board.changed(job)

    async def listen(self, ear: AsyncIterator[Message]) -> None:
        """Follow the jobs by what the server says on its websocket."""
        jobs = {job.prompt_id: job for job in self.jobs}
        async for message in ear:
            if job := hear(jobs, message, self.reactor.seconds()):
                self.board.changed(job)

    async def collect(self, output: Path) -> None:
        """Wait for the jobs in turn and fetch what they made."""
        for job in self.jobs:
            if job.error is not None:
                continue
            try:
                entry = await self.client.wait(job.prompt_id, _JOB_TIMEOUT_S)
                job.error = failure(entry)
                job.saved = [await self._save(output, picture) for picture in pictures(entry)]
            except _WENT_WRONG as why:
                job.error = _reason(why)
            job.ended_s = job.ended_s or self.reactor.seconds()
            self.board.changed(job)

    async def _save(self, output: Path, picture: dict[str, str]) -> Saved:
        content = await self.client.download(**picture)
        path = saved_path(output, self.target.name, picture)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return Saved(picture["filename"], path, hashlib.sha256(content).hexdigest())


def _reason(why: Exception) -> str:
    """What went wrong, in one line."""
    if not isinstance(why, Refused):
        return str(why) or type(why).__name__
    message = why.body["error"]["message"] if isinstance(why.body, dict) and "error" in why.body else why.body
    return f"HTTP {why.status}: {message}"
