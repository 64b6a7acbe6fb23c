"""The four reference policies, with which the tested system's placement is compared."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from comfyfarm.analysis.placement.replay.queue_model import QueueModel
from comfyfarm.events import Work

Policy = Callable[[Work, Sequence[QueueModel], int], QueueModel]
"""Chooses a queue for a job at a time in milliseconds. The candidates are all that can take it, at least one, in
configuration order; policies only read them."""


@dataclass(eq=False)
class _RoundRobin:
    _last: int = -1

    def __call__(self, work: Work, candidates: Sequence[QueueModel], now_ms: int) -> QueueModel:
        chosen = next((queue for queue in candidates if queue.order > self._last), candidates[0])
        self._last = chosen.order
        return chosen


def _shortest_queue(work: Work, candidates: Sequence[QueueModel], now_ms: int) -> QueueModel:
    return min(candidates, key=lambda queue: (queue.depth, queue.order))


def _least_work_left(work: Work, candidates: Sequence[QueueModel], now_ms: int) -> QueueModel:
    return min(candidates, key=lambda queue: (queue.work_left_ms(now_ms), queue.order))


def _model_affine(work: Work, candidates: Sequence[QueueModel], now_ms: int) -> QueueModel:
    return min(candidates, key=lambda queue: (queue.absent_bytes(work), queue.work_left_ms(now_ms), queue.order))


POLICIES: dict[str, Callable[[], Policy]] = {
    "round_robin": _RoundRobin,
    "shortest_queue": lambda: _shortest_queue,
    "least_work_left": lambda: _least_work_left,
    "model_affine": lambda: _model_affine,
}
"""By name, a factory of the policy: a policy may have state."""
