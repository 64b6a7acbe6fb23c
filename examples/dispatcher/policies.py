"""Which server gets the next job?"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Protocol

from twisted.internet.defer import Deferred, gatherResults

from .backend import Backend, Job, Unavailable

__all__ = ["ModelAffine", "Policy", "RoundRobin", "ShortestQueue"]


class Policy(Protocol):
    """Chooses among servers that could do the job; one job at a time."""

    async def choose(self, backends: Sequence[Backend], job: Job) -> Backend:
        """One of these, of which there is at least one."""


class RoundRobin:
    """Each in its turn."""

    def __init__(self) -> None:
        self._turn = count()

    async def choose(self, backends: Sequence[Backend], job: Job) -> Backend:
        """The next one."""
        return backends[next(self._turn) % len(backends)]


class ShortestQueue:
    """The one with the fewest jobs, asked anew for each job."""

    async def choose(self, backends: Sequence[Backend], job: Job) -> Backend:
        """The first of the emptiest."""
        loads = await _loads(backends)
        return min(backends, key=loads.__getitem__)


class ModelAffine:
    """The emptiest that will have the job's model in memory, unless its queue is much longer than the shortest.

    :param worth: how many places in a queue are as bad as loading a model.
    """

    def __init__(self, worth: int = 2) -> None:
        self._worth = worth

    async def choose(self, backends: Sequence[Backend], job: Job) -> Backend:
        """The one where the job waits least: for others and for its model."""
        loads = await _loads(backends)
        return min(backends, key=lambda each: loads[each] + self._worth * (each.last_model != job.model))


async def _loads(backends: Sequence[Backend]) -> dict[Backend, float]:
    """How much each has to do: what it says, and what is on its way there."""
    depths = await gatherResults([Deferred.fromCoroutine(_depth(each)) for each in backends])
    return {each: depth + each.on_the_way for each, depth in zip(backends, depths, strict=True)}


async def _depth(backend: Backend) -> float:
    try:
        return await backend.depth()
    except Unavailable:
        return float("inf")
