"""The graphics card has no memory left."""

from __future__ import annotations

from farm.sim.faults.job import Run
from farm.sim.faults.strikes import Story, Strike

from .base import Effect, effect

__all__ = ["Oom"]


@effect("oom", "node", "step", "save")
class Oom(Effect, frozen=True, kw_only=True):
    """Let the node raise ``torch.OutOfMemoryError``: ComfyUI unloads its models then.

    With ``sticky`` every later job fails too, until the process is started anew.
    """

    def on_job(self, run: Run, strike: Strike) -> Story:
        """Fail, and empty the memory."""
        raise run.out_of_memory()
        yield   # a story, of which this is the end
