"""Counts for ``GET /metrics``: jobs, requests, loaded models, faults (docs/metrics.md).

The numbers grow from the farm's start on; no reset sets them back, because Prometheus would take that for a new start.
"""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from typing import Self

from comfyfarm.config import FarmConfig
from comfyfarm.events import (
    Exchanged,
    FarmLate,
    FaultFired,
    Finished,
    Interrupted,
    ModelLoaded,
    PromptRefused,
    QueueCleared,
    QueueDeleted,
    Reset,
    ServerStopped,
    SocketClosed,
    SocketOpened,
    Submitted,
    Taken,
)
from comfyfarm.events.handler import EventHandler, on

OUTCOMES = ("success", "error", "interrupted", "deleted", "lost")
BUCKETS_MS = (50, 100, 250, 500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000)


@dataclass(eq=False)
class Histogram:
    """Durations.

    :ivar counts: for each of :data:`BUCKETS_MS`, how many were no longer and longer than the one before; then the rest.
    """

    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_MS) + 1))
    sum_ms: int = 0

    def observe(self, duration_ms: int) -> None:
        self.counts[bisect_left(BUCKETS_MS, duration_ms)] += 1
        self.sum_ms += duration_ms


@dataclass(eq=False)
class MetricCounts(EventHandler):
    """Counts events, by instance unless something else is said.

    :ivar profiles: the profile of each instance; empty for none.
    :ivar ended: by instance and outcome.
    :ivar durations: by profile: how long jobs ran, however they ended.
    :ivar waits: by profile: how long jobs that ran had waited.
    :ivar requests: by instance and status of the answer.
    :ivar fired: by instance and effect.
    :ivar late: how often the farm itself was late.
    """

    profiles: dict[str, str]
    accepted: Counter[str] = field(init=False)
    refused: Counter[str] = field(init=False)
    ended: Counter[tuple[str, str]] = field(init=False)
    durations: dict[str, Histogram] = field(init=False)
    waits: dict[str, Histogram] = field(init=False)
    model_loads: Counter[str] = field(init=False)
    loaded_bytes: Counter[str] = field(init=False)
    sockets: Counter[str] = field(init=False)
    requests: Counter[tuple[str, int]] = field(default_factory=Counter, init=False)
    sent_bytes: Counter[str] = field(init=False)
    fired: Counter[tuple[str, str]] = field(default_factory=Counter, init=False)
    late: int = field(default=0, init=False)
    _waiting_since_ms: dict[str, dict[str, int]] = field(init=False)     # by instance and prompt id
    _taken_ms: dict[str, int] = field(default_factory=dict, init=False)
    _interrupted: set[str] = field(default_factory=set, init=False)

    @classmethod
    def of(cls, config: FarmConfig) -> Self:
        return cls({instance.name: config.profile(index) for index, instance in enumerate(config.instance)})

    def __post_init__(self) -> None:
        """Set to 0 what is known beforehand: a counter that appears with a 1 has not grown, to Prometheus."""
        for name in ("accepted", "refused", "model_loads", "loaded_bytes", "sockets", "sent_bytes"):
            setattr(self, name, Counter(dict.fromkeys(self.profiles, 0)))
        self.ended = Counter({(instance, outcome): 0 for instance in self.profiles for outcome in OUTCOMES})
        self._waiting_since_ms = {instance: {} for instance in self.profiles}
        self.durations, self.waits = ({profile: Histogram() for profile in self.profiles.values()} for _ in range(2))

    @on(Submitted)
    def _on_submitted(self, event: Submitted) -> None:
        self.accepted[event.instance] += 1
        self._waiting_since_ms[event.instance][event.prompt_id] = event.at_ms

    @on(PromptRefused)
    def _on_refused(self, event: PromptRefused) -> None:
        self.refused[event.instance] += 1

    @on(Taken)
    def _on_taken(self, event: Taken) -> None:
        self._taken_ms[event.instance] = event.at_ms
        self._interrupted.discard(event.instance)
        since_ms = self._waiting_since_ms[event.instance].pop(event.prompt_id, None)
        if since_ms is not None:    # else it runs again, after a crash that kept the queue
            self.waits[self.profiles[event.instance]].observe(event.at_ms - since_ms)

    @on(Interrupted)
    def _on_interrupted(self, event: Interrupted) -> None:
        self._interrupted.add(event.instance)

    @on(Finished)
    def _on_finished(self, event: Finished) -> None:
        outcome = "interrupted" if event.instance in self._interrupted else event.status
        self.ended[event.instance, outcome] += 1
        taken_ms = self._taken_ms.pop(event.instance, event.at_ms)
        self.durations[self.profiles[event.instance]].observe(event.at_ms - taken_ms)

    @on(QueueCleared, QueueDeleted)
    def _on_deleted(self, event: QueueCleared | QueueDeleted) -> None:
        prompt_ids = (event.prompt_id,) if isinstance(event, QueueDeleted) else event.prompt_ids
        self.ended[event.instance, "deleted"] += len(prompt_ids)
        for prompt_id in prompt_ids:
            self._waiting_since_ms[event.instance].pop(prompt_id, None)

    @on(ServerStopped)
    def _on_stopped(self, event: ServerStopped) -> None:
        self.ended[event.instance, "lost"] += len(event.lost)
        if "queue" not in event.kept:
            self._waiting_since_ms[event.instance].clear()

    @on(Reset)
    def _on_reset(self, event: Reset) -> None:
        """Count what was in the queue or ran as lost; the event does not say how many that were."""
        ended = sum(self.ended[event.instance, outcome] for outcome in OUTCOMES)
        self.ended[event.instance, "lost"] += self.accepted[event.instance] - ended
        self._waiting_since_ms[event.instance].clear()

    @on(ModelLoaded)
    def _on_model_loaded(self, event: ModelLoaded) -> None:
        self.model_loads[event.instance] += 1
        self.loaded_bytes[event.instance] += event.size_bytes

    @on(SocketOpened)
    def _on_socket_opened(self, event: SocketOpened) -> None:
        self.sockets[event.instance] += 1

    @on(SocketClosed)
    def _on_socket_closed(self, event: SocketClosed) -> None:
        self.sockets[event.instance] -= 1

    @on(Exchanged)
    def _on_exchanged(self, event: Exchanged) -> None:
        self.requests[event.instance, event.status] += 1
        self.sent_bytes[event.instance] += event.size_bytes

    @on(FaultFired)
    def _on_fired(self, event: FaultFired) -> None:
        self.fired[event.instance, event.do] += 1

    @on(FarmLate)
    def _on_late(self, event: FarmLate) -> None:
        self.late += 1
