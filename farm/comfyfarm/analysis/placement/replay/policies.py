"""The four reference policies, with which the tested system's placement is compared."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from comfyfarm.events import Work


class Candidate(Protocol):
    """An instance that could take a job, as policies see it."""

    @property
    def order(self) -> int:
        """Its position in the configuration."""

    @property
    def depth(self) -> int:
        """The number of jobs that wait and run there."""

    def work_left_ms(self, now_ms: int) -> int:
        """Return how long it is still busy if no other job comes."""

    def absent_bytes(self, work: Work) -> int:
        """Return the size of the job's models that will not be in memory after the jobs that are there."""


Policy = Callable[[Work, Sequence[Candidate], int], Candidate]
"""Chooses an instance for a job at a time in milliseconds. The candidates are all instances that can take it, at least
one, in configuration order."""


@dataclass(eq=False)
class _RoundRobin:
    _last: int = -1

    def __call__(self, work: Work, candidates: Sequence[Candidate], now_ms: int) -> Candidate:
        chosen = next((candidate for candidate in candidates if candidate.order > self._last), candidates[0])
        self._last = chosen.order
        return chosen


def _shortest_queue(work: Work, candidates: Sequence[Candidate], now_ms: int) -> Candidate:
    return min(candidates, key=lambda candidate: (candidate.depth, candidate.order))


def _least_work_left(work: Work, candidates: Sequence[Candidate], now_ms: int) -> Candidate:
    return min(candidates, key=lambda candidate: (candidate.work_left_ms(now_ms), candidate.order))


def _model_affine(work: Work, candidates: Sequence[Candidate], now_ms: int) -> Candidate:
    return min(
        candidates,
        key=lambda candidate: (candidate.absent_bytes(work), candidate.work_left_ms(now_ms), candidate.order),
    )


POLICIES: dict[str, Callable[[], Policy]] = {
    "round_robin": _RoundRobin,
    "shortest_queue": lambda: _shortest_queue,
    "least_work_left": lambda: _least_work_left,
    "model_affine": lambda: _model_affine,
}
"""By name, a factory of the policy: a policy may have state."""
