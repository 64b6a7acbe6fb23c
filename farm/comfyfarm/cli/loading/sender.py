"""Send the jobs of a load, follow them, and fetch their pictures."""

import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore, gatherResults
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.error import ConnectError, ConnectionClosed
from twisted.internet.task import deferLater
from twisted.web.client import RequestTransmissionFailed, ResponseFailed

from comfyfarm.cli.loading.jobs import LoadJob, Target, choose_checkpoint, failure, on_message, pictures, saved_path
from comfyfarm.cli.loading.plan import Plan, Policy
from comfyfarm.cli.loading.show import Bars
from comfyfarm.clients import HttpStatusError, Message
from comfyfarm.clients.comfy import ComfyClient


class JobLost(Exception):
    """A server knows a job no more, although it took it on."""


NO_ANSWER = (
    HttpStatusError, ConnectError, ConnectionClosed, RequestTransmissionFailed, ResponseFailed, TimeoutError,
    DeferredTimeout, OSError,
)  # fmt: skip
"""What is raised if a server does not answer, or not as it should."""

_UNLIKE_COMFYUI = AttributeError, LookupError, TypeError, ValueError
_WENT_WRONG = (*NO_ANSWER, *_UNLIKE_COMFYUI, CancelledError, JobLost)
_LOOK_AFTER_S, _LONGEST_LOOK_S = 2.0, 10.0      # into the history, whatever the websocket says
_REOPEN_AFTER_S = 0.5
_MOST_REQUESTS = 64


class NoServer(Exception):
    """A server cannot be reached; the message says which and why, in one line."""


@dataclass(eq=False)
class _Server:
    """One server, and the jobs that it has.

    :ivar slots: for requests; without a limit a large load would open a connection for each job.
    """

    target: Target
    client: ComfyClient
    jobs: dict[str, LoadJob] = field(default_factory=dict)
    slots: DeferredSemaphore = field(default_factory=lambda: DeferredSemaphore(_MOST_REQUESTS))

    async def history(self, prompt_id: str) -> dict[str, Any]:
        async with self.slots:
            return await self.client.history(prompt_id)

    async def download(self, picture: Mapping[str, str]) -> bytes:
        async with self.slots:
            return await self.client.download(**picture)

    async def has_queued(self, job: LoadJob) -> bool:
        async with self.slots:
            queue = await self.client.queue()
        return any(item[1] == job.prompt_id for item in (*queue["queue_running"], *queue["queue_pending"]))


@dataclass(eq=False, kw_only=True)
class Sender:
    """Sends the jobs of a plan to servers.

    :ivar output: where the pictures are kept; ``None``: nowhere.
    :ivar timeout_s: for each job, from its submission on.
    :ivar headers: sent with each request.
    """

    reactor: Any
    plan: Plan
    jobs: Sequence[LoadJob]
    policy: Policy
    chance: Random
    bars: Bars
    output: Path | None
    timeout_s: float
    headers: Mapping[str, str]
    _servers: dict[str, _Server] = field(default_factory=dict, init=False)
    _open: Counter[str] = field(default_factory=Counter, init=False)
    _ends: dict[LoadJob, Deferred[None]] = field(default_factory=dict, init=False)

    async def run(self, urls: Mapping[str, str]) -> None:
        """Send all jobs, and wait until each is delivered or has failed; a job that goes wrong stops no other.

        :param urls: of the servers, by name.
        :raises NoServer: if one does not answer at the beginning; nothing is sent then.
        """
        try:
            for name, url in urls.items():
                self._servers[name] = await self._connect(name, url)
            openings: dict[_Server, Deferred[None]] = {server: Deferred() for server in self._servers.values()}
            listening = [Deferred.fromCoroutine(self._listen(*pair)) for pair in openings.items()]
            await gatherResults(openings.values())      # before the first job: nothing is repeated
            self.bars.start()
            began_s = self.reactor.seconds()
            await gatherResults([Deferred.fromCoroutine(self._run_job(job, began_s)) for job in self.jobs])
            for listener in listening:
                listener.cancel()
        finally:
            for server in self._servers.values():
                await server.client.close()

    async def _connect(self, name: str, url: str) -> _Server:
        client = ComfyClient(url, reactor=self.reactor, headers=self.headers)
        try:
            checkpoint = choose_checkpoint(await client.node_types("CheckpointLoaderSimple"))
        except _WENT_WRONG as error:
            await client.close()
            raise NoServer(f"{url}: {reason_of(error)}") from error
        return _Server(Target(name, url, checkpoint), client)

    async def _listen(self, server: _Server, opening: Deferred[None]) -> None:
        """Follow the messages of a server.

        :param opening: called back when the websocket is open, or cannot be opened.
        """
        # While there is no websocket, history still says what became of the jobs.
        with suppress(CancelledError):
            while True:
                with suppress(*NO_ANSWER):
                    async with server.client.listening() as messages:
                        _call_back(opening)
                        await self._follow(server, messages)
                _call_back(opening)
                await deferLater(self.reactor, _REOPEN_AFTER_S)

    async def _follow(self, server: _Server, messages: AsyncIterator[Message]) -> None:
        async for message in messages:
            if job := on_message(server.jobs, message, self.reactor.seconds()):
                self.bars.changed(job)
                if job.is_over and (end := self._ends.pop(job, None)):
                    end.callback(None)

    async def _run_job(self, job: LoadJob, began_s: float) -> None:
        await deferLater(self.reactor, max(0.0, began_s + job.due_s - self.reactor.seconds()))
        targets = [server.target for server in self._servers.values()]
        job.target = self.policy(targets, self._open, job.number, self.chance).name
        self._open[job.target] += 1
        try:
            await self._submit(job)
            await self._collect(job, self._servers[job.target])
        except _WENT_WRONG as error:
            job.error = reason_of(error)
        self._open[job.target] -= 1
        self.bars.changed(job)

    async def _submit(self, job: LoadJob) -> None:
        server = self._servers[job.target]
        workflow = self.plan.kind(job).make(job, server.target.checkpoint, self.chance.getrandbits(48))
        server.jobs[job.prompt_id] = job
        self.bars.changed(job)
        async with server.slots:
            job.submitted_s = self.reactor.seconds()
            # Servers of old versions choose the id themselves.
            job.prompt_id = await server.client.submit(workflow, prompt_id=job.prompt_id)
        server.jobs[job.prompt_id] = job

    async def _collect(self, job: LoadJob, server: _Server) -> None:
        entry = await self._entry(job, server)
        job.ended_s = job.ended_s or self.reactor.seconds()
        job.error = failure(entry)
        for picture in pictures(entry):
            content = await server.download(picture)
            if self.output is not None:
                path = saved_path(self.output, job.target, picture)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            job.saved.append((picture["filename"], hashlib.sha256(content).hexdigest()))
        job.fetched_s = self.reactor.seconds()

    async def _entry(self, job: LoadJob, server: _Server) -> dict[str, Any]:
        """Wait until a job has ended, and return its history entry.

        :raises TimeoutError: if it has not ended in time.
        :raises JobLost: if the server has lost it.
        """
        assert job.submitted_s is not None, "it was submitted"
        look_s, is_queued = _LOOK_AFTER_S, True
        while job.prompt_id not in (history := await server.history(job.prompt_id)):
            left_s = job.submitted_s + self.timeout_s - self.reactor.seconds()
            if left_s <= 0:
                raise TimeoutError(f"not ended after {self.timeout_s:g} s")
            if not is_queued:       # nor was it a moment ago: it did not just end
                raise JobLost("lost: neither in the queue nor in the history")
            # The end on the websocket comes a moment before the history entry.
            await self._end_of(job, 0.01 if job.ended_s is not None else min(left_s, look_s))
            if job.ended_s is None:
                is_queued = await server.has_queued(job)
                look_s = min(look_s * 1.5, _LONGEST_LOOK_S)
        return dict(history[job.prompt_id])

    async def _end_of(self, job: LoadJob, limit_s: float) -> None:
        """Wait until the websocket says that a job has ended, at most for a while."""
        end: Deferred[None] = Deferred()
        if job.ended_s is None:
            self._ends[job] = end
        with suppress(DeferredTimeout):
            await end.addTimeout(limit_s, self.reactor)
        self._ends.pop(job, None)


def _call_back(deferred: Deferred[None]) -> None:
    if not deferred.called:
        deferred.callback(None)


def reason_of(error: BaseException) -> str:
    """Return what went wrong, in one line."""
    if isinstance(error, HttpStatusError):
        body = error.body
        says = body["error"] if isinstance(body, dict) and "error" in body else body
        return f"HTTP {error.status}: {says['message'] if isinstance(says, dict) and 'message' in says else says}"
    text = " ".join(str(error).split()) or type(error).__name__
    return f"answers, but not as a ComfyUI does ({text})" if isinstance(error, _UNLIKE_COMFYUI) else text
