"""Four ways to place work, to measure others by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from comfyfarm.events import Work


class Candidate(Protocol):
    """An instance that could take a job, as policies see it."""

    @property
    def order(self) -> int:
        """Its place in the configuration."""

    @property
    def depth(self) -> int:
        """How many jobs wait and run there."""

    def work_left_ms(self, now_ms: int) -> int:
        """How long it is still busy if nothing else comes."""

    def absent_bytes(self, work: Work) -> int:
        """Of the job's models, how much will not be in memory behind the jobs that are there."""


Policy = Callable[[Work, Sequence[Candidate], int], Candidate]
"""Chooses for a job (at a moment in milliseconds) one of the instances that can and will take it, given in the order of
the configuration; never none are given."""


@dataclass(eq=False)
class _RoundRobin:
    """One after the other, in the order of the configuration; who cannot take the job is left out."""

    _last: int = -1

    def __call__(self, work: Work, candidates: Sequence[Candidate], now_ms: int) -> Candidate:
        chosen = next((each for each in candidates if each.order > self._last), candidates[0])
        self._last = chosen.order
        return chosen


def _shortest_queue(work: Work, candidates: Sequence[Candidate], now_ms: int) -> Candidate:
    """The fewest jobs; then the order of the configuration."""
    return min(candidates, key=lambda each: (each.depth, each.order))


def _least_work_left(work: Work, candidates: Sequence[Candidate], now_ms: int) -> Candidate:
    """Who is done first; then the order of the configuration."""
    return min(candidates, key=lambda each: (each.work_left_ms(now_ms), each.order))


def _model_affine(work: Work, candidates: Sequence[Candidate], now_ms: int) -> Candidate:
    """Who has most of the job's models in memory by then; then who is done first; then the order."""
    return min(candidates, key=lambda each: (each.absent_bytes(work), each.work_left_ms(now_ms), each.order))


POLICIES: dict[str, Callable[[], Policy]] = {
    "round_robin": _RoundRobin,
    "shortest_queue": lambda: _shortest_queue,
    "least_work_left": lambda: _least_work_left,
    "model_affine": lambda: _model_affine,
}
"""Each makes a policy that has decided nothing yet."""
