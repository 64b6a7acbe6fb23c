"""Nobody is answered, though the port is open."""

from __future__ import annotations

from typing import Literal

from farm.sim.faults.moments import EXCHANGE, JOB
from farm.sim.faults.process import Process, for_a_while
from farm.sim.faults.strikes import Story, Strike
from farm.sim.units import Duration

from .base import Effect, effect

__all__ = ["Freeze"]


@effect("freeze", "process", *JOB, *EXCHANGE, lasts=True)
class Freeze(Effect, frozen=True, kw_only=True):
    """Accept connections and answer none, say nothing to any websocket; afterwards everything goes on in its order.

    What clients said meanwhile is heard then, also where they have hung up since: a job that nobody waits for runs.

    :ivar duration: how long; ``None``: until the fault is over (``until``, ``ttl``) or is taken off.
    :ivar worker: whether the running job stands still, too.
    """

    duration: Duration | None = None
    worker: Literal["stops", "goes on"] = "stops"

    def on_process(self, process: Process, strike: Strike) -> Story:
        """Freeze, and thaw."""
        process.freeze(worker=self.worker == "stops")
        yield from for_a_while(strike, self.duration)
        process.thaw()
