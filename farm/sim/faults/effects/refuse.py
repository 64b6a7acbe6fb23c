"""Nobody new gets in."""

from __future__ import annotations

from farm.sim.faults.moments import EXCHANGE, JOB
from farm.sim.faults.process import Process, for_a_while
from farm.sim.faults.strikes import Story, Strike
from farm.sim.units import Duration

from .base import Effect, effect

__all__ = ["Refuse"]


@effect("refuse", "process", *JOB, *EXCHANGE, lasts=True)
class Refuse(Effect, frozen=True, kw_only=True):
    """Close the port: new connections are refused, those that are open live on, and so does the job.

    :ivar duration: how long; ``None``: until the fault is over (``until``, ``ttl``) or is taken off.
    """

    duration: Duration | None = None

    def on_process(self, process: Process, strike: Strike) -> Story:
        """Close the port, and open it again."""
        process.refuse()
        yield from for_a_while(strike, self.duration)
        process.accept()
