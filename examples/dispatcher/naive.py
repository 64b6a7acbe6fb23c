"""The dispatcher that most of us write first.  It works until something goes wrong; three bugs are in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.interfaces import IReactorTime

from .backend import Backend, Job
from .dispatcher import Dispatcher

__all__ = ["NaiveDispatcher", "StaleQueue"]


class NaiveDispatcher(Dispatcher):
    """Sends again whatever was not answered, and calls done what is no longer in the queue."""

    async def _send(self, backend: Backend, job: Job, prompt_id: str) -> None:
        """Bug 1: "no answer" is read as "not taken on"; but the job may be running, and will run again."""
        await backend.submit(job, prompt_id)

    async def _wait(self, backend: Backend, prompt_id: str) -> dict[str, Any]:
        """Bug 2: what is not in the queue is done; but a server that was started anew has an empty queue."""
        while await self._patiently(backend.place, prompt_id) is not None:
            await self._pass(self.poll_s)
        entry = await self._patiently(backend.history, prompt_id)
        return entry or {"status": {"status_str": "success"}, "outputs": {}}


class StaleQueue:
    """The shortest queue, as it was when somebody looked.  Bug 3: until the next look all jobs go to one server."""

    def __init__(self, clock: IReactorTime, look_every_s: float = 5.0) -> None:
        self._clock = clock
        self._look_every_s = look_every_s
        self._looked_s = float("-inf")
        self._depths: dict[str, int] = {}

    async def choose(self, backends: Sequence[Backend], job: Job) -> Backend:
        """The one that was the emptiest then; one that nobody has looked at is held to be empty."""
        if self._clock.seconds() - self._looked_s >= self._look_every_s:
            self._looked_s = self._clock.seconds()
            self._depths = {each.name: await each.depth() for each in backends}
        return min(backends, key=lambda each: self._depths.get(each.name, 0))
