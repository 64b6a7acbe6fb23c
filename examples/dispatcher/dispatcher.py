"""Hands out jobs to servers and sees each of them through: once, whatever happens on the way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import uuid4

from twisted.internet.defer import DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from .backend import Backend, Job, Place, Rejected, Unavailable
from .policies import Policy

__all__ = ["Dispatcher", "GaveUp", "JobFailed", "Result"]

T = TypeVar("T")


class GaveUp(Exception):
    """No server could be brought to do the job."""


class JobFailed(Exception):
    """The job itself fails; another server would fail too."""


class _Lost(Exception):
    """The server that had the job has it no more."""


class _Killed(_Lost):
    """And it was at work on it."""


@dataclass(frozen=True)
class Result:
    """A job that is done."""

    job: Job
    backend: str
    prompt_id: str
    pictures: tuple[bytes, ...] = field(repr=False)


@dataclass(eq=False)
class Dispatcher:
    """Hands out jobs.

    A server that says nothing for longer than ``patience_s`` and works on all the same does a job that another does,
    too: only longer patience helps against that.

    :ivar deliver: called with each result, once.
    :ivar clock: what waits are measured on: the reactor, or in a test the farm's clock.
    :ivar poll_s: how often a job is looked after.
    :ivar patience_s: how long a server that does not answer may take to come back before its jobs are sent elsewhere.
    :ivar grace_s: how long a job that is in neither queue nor history is looked for before it counts as lost.
    :ivar attempts: how often a job is sent.
    :ivar kills: how many servers may go down at work on a job before it is held to be the cause.
    """

    backends: Sequence[Backend]
    policy: Policy
    deliver: Callable[[Result], Awaitable[None]]
    clock: IReactorTime
    poll_s: float = 0.25
    patience_s: float = 10.0
    grace_s: float = 3.0
    attempts: int = 8
    kills: int = 2

    def __post_init__(self) -> None:
        """One choice at a time: two that look at the same queues would choose the same server."""
        self._choosing = DeferredLock()

    async def run(self, job: Job) -> Result:
        """See a job through.

        :raises JobFailed: where a server ran it and it failed.
        :raises Rejected: where it is wrong, or no server has its model.
        :raises GaveUp: where it was sent too often, or took too many servers with it.
        """
        killed = 0
        for attempt in range(self.attempts):
            try:
                result = await self._attempt(job)
            except (Unavailable, _Lost) as why:
                killed += isinstance(why, _Killed)
                if killed == self.kills:
                    raise GaveUp(f"{job.name} took {killed} servers with it") from why
                await self._pass(self.poll_s * 2**attempt)
            else:
                await self.deliver(result)
                return result
        raise GaveUp(f"{job.name} was sent {self.attempts} times")

    async def _attempt(self, job: Job) -> Result:
        while (backend := await self._choosing.run(self._choose, job)) is None:
            await self._pass(self.poll_s)
        prompt_id = str(uuid4())
        try:
            await self._send(backend, job, prompt_id)
        finally:
            backend.on_the_way -= 1
        entry = await self._wait(backend, prompt_id)
        if entry["status"]["status_str"] != "success":
            raise JobFailed(f"{job.name}: {_said(entry)}")
        pictures = [picture for output in entry["outputs"].values() for picture in output.get("images", ())]
        # The job is done: where its server is away now, it is worth waiting for.
        fetched = [await self._patiently(backend.fetch, each) for each in pictures]
        return Result(job, backend.name, prompt_id, tuple(fetched))

    async def _choose(self, job: Job) -> Backend | None:
        """A server, to which the job is promised at once so that the next choice sees it; ``None`` while all rest."""
        able = [each for each in self.backends if await each.may_have(job.model)]
        if not able:
            raise Rejected(f"{job.name}: no server has {job.model}")
        ready = [each for each in able if not each.is_resting]
        if not ready:
            return None
        backend = await self.policy.choose(ready, job)
        backend.on_the_way += 1
        return backend

    async def _send(self, backend: Backend, job: Job, prompt_id: str) -> None:
        """Submit, and where no answer comes find out whether the job was taken on, before anybody runs it again."""
        try:
            await backend.submit(job, prompt_id)
        except Unavailable as why:
            if not why.may_have_heard:
                raise
            await self._find(backend, prompt_id)

    async def _wait(self, backend: Backend, prompt_id: str) -> dict[str, Any]:
        """Look after a job until history has it."""
        place: Place | None = None
        while True:
            try:
                found = await self._find(backend, prompt_id)
            except (Unavailable, _Lost) as why:
                raise (_Killed if place == "running" else _Lost)(prompt_id) from why
            if isinstance(found, dict):
                return found
            place = found
            await self._pass(self.poll_s)

    async def _find(self, backend: Backend, prompt_id: str) -> dict[str, Any] | Place:
        """Where a job is in the queue, or its history.

        :raises _Lost: where it is in neither: the server was started anew, or never heard of it.
        :raises Unavailable: where the server does not come back.
        """
        lost_s = self.clock.seconds() + self.grace_s
        while True:
            # In this order: a job that ends between the two questions is in history by then.
            place = await self._patiently(backend.place, prompt_id)
            found = await self._patiently(backend.history, prompt_id) or place
            if found is not None:
                return found
            if self.clock.seconds() >= lost_s:
                raise _Lost(prompt_id)
            await self._pass(self.poll_s)

    async def _patiently(self, ask: Callable[..., Awaitable[T]], about: object) -> T:
        """Ask a server that has a job of ours; one that does not answer may be back soon."""
        until_s = self.clock.seconds() + self.patience_s
        while True:
            try:
                return await ask(about)
            except Unavailable:
                if self.clock.seconds() >= until_s:
                    raise
            await self._pass(self.poll_s)

    async def _pass(self, seconds: float) -> None:
        await deferLater(self.clock, seconds)


def _said(entry: dict[str, Any]) -> str:
    """Why a job failed, in the server's words."""
    kind, said = entry["status"]["messages"][-1]
    return str(said.get("exception_message", kind)).strip()
