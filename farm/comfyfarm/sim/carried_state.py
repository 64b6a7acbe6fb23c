"""What does a process that dies leave to the next one?"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from comfyfarm.sim.jobs.history import History
from comfyfarm.sim.jobs.queue import Job, Queue
from comfyfarm.sim.memory import ModelFile


@dataclass(frozen=True)
class CarriedState:
    """What outlasts an epoch; a real ComfyUI leaves nothing.

    :ivar jobs: those that waited or ran, in the order in which they would have run; they all wait again.
    :ivar number: what the server's counter of prompts had come to.
    :ivar accepted: how many jobs the instance has taken on in all its epochs; never lost.
    :ivar models: those in memory, the one used longest ago first; ``None`` where memory is lost.
    """

    jobs: tuple[Job, ...] = ()
    number: int = 0
    accepted: int = 0
    history: History = field(default_factory=History)
    models: tuple[ModelFile, ...] | None = None

    @staticmethod
    def jobs_of(queue: Queue) -> tuple[Job, ...]:
        """All jobs that wait or run: the one that runs first."""
        waiting = sorted(queue.pending)
        return (queue.running, *waiting) if queue.running else tuple(waiting)

    def keeping(self, keep: Collection[str]) -> CarriedState:
        """What of this is left where only these are kept."""
        return CarriedState(
            jobs=self.jobs if "queue" in keep else (),
            number=self.number if "queue" in keep else 0,
            accepted=self.accepted,
            history=self.history if "history" in keep else History(),
            models=self.models if "models" in keep else None,
        )
