"""The process dies."""

from __future__ import annotations

from farm.sim.faults.moments import EXCHANGE, JOB
from farm.sim.faults.process import Kept, Process, for_a_while
from farm.sim.faults.strikes import Story, Strike
from farm.sim.units import Duration

from .base import Effect, effect

__all__ = ["Crash"]


@effect("crash", "process", *JOB, *EXCHANGE, lasts=True)
class Crash(Effect, frozen=True, kw_only=True):
    """Reset all sockets, close the port, lose what a process holds in memory.

    :ivar restart_after: how long until it is started again, its boot apart, but a millisecond at least; ``None``: not
        before the fault is over (``until``, ``ttl``) or is taken off, or somebody starts it.
    :ivar keep: what is not lost: ``queue``, ``history``, ``uploads``, ``models``.
    """

    restart_after: Duration | None = None
    keep: tuple[Kept, ...] = ()

    def on_process(self, process: Process, strike: Strike) -> Story:
        """Die, and come back."""
        process.crash(self.keep)
        # A process that kept its queue may die of the same job again, for ever: time has to pass meanwhile.
        yield from for_a_while(strike, None if self.restart_after is None else Duration(max(1, self.restart_after)))
        process.start()
