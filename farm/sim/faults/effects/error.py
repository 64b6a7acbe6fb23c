"""A node raises."""

from __future__ import annotations

from farm.sim.faults.job import Run
from farm.sim.faults.strikes import Story, Strike
from farm.sim.nodes import NodeError

from .base import Effect, effect

__all__ = ["Error"]


@effect("error", "node", "step", "save")
class Error(Effect, frozen=True, kw_only=True):
    """Let the node raise any exception: the client hears ``execution_error``.

    With ``sticky`` every later job fails too, until the process is started anew.

    :ivar exception_type: as ``execution_error`` names it.
    """

    exception_type: str = "RuntimeError"
    message: str = "something went wrong on purpose"

    def on_job(self, run: Run, strike: Strike) -> Story:
        """Fail."""
        raise NodeError(self.exception_type, self.message)
        yield   # a story, of which this is the end
