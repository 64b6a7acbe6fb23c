"""A node raises."""

from __future__ import annotations

from typing import Annotated

import msgspec

from comfyfarm.faults.fault import Effect, Firing, effect
from comfyfarm.faults.pauses import Steps
from comfyfarm.faults.targets import RunningJob
from comfyfarm.units import Duration


@effect("error", "node", "step", "save")
class Error(Effect, frozen=True, kw_only=True):
    """Let the node raise any exception: the client hears ``execution_error``.

    With ``sticky`` every later job fails too, until the process is started anew.

    :ivar exception_type: as ``execution_error`` names it.
    """

    exception_type: str = "RuntimeError"
    message: str = "something went wrong on purpose"

    def on_job(self, run: RunningJob, firing: Firing) -> Steps:
        """Fail."""
        raise run.node_error(self.exception_type, self.message)
        yield   # a story, of which this is the end


@effect("deaf", "start", "node", "step", lasts=True)
class Deaf(Effect, frozen=True, kw_only=True):
    """Let the job hear no interrupt from here to its end: ``POST /interrupt`` is answered, and nothing stops.

    Once the fault is healed or removed, it stops where it looks next.
    """

    def on_job(self, run: RunningJob, firing: Firing) -> Steps:
        """Go deaf."""
        run.deafen(firing)
        yield from ()


@effect("oom", "node", "step", "save")
class Oom(Effect, frozen=True, kw_only=True):
    """Let the node raise ``torch.OutOfMemoryError``: ComfyUI unloads its models then.

    With ``sticky`` every later job fails too, until the process is started anew.
    """

    def on_job(self, run: RunningJob, firing: Firing) -> Steps:
        """Fail, and empty the memory."""
        raise run.out_of_memory()
        yield   # a story, of which this is the end


@effect("slow", "start", "node", "step", "save", lasts=True)
class Slow(Effect, frozen=True, kw_only=True):
    """Let everything that the job does from here to its end take longer, while the fault is there.

    :ivar factor: how many times as long; of several the greatest counts.
    """

    factor: Annotated[float, msgspec.Meta(ge=1, le=1_000_000)]

    def on_job(self, run: RunningJob, firing: Firing) -> Steps:
        """Slow down, which takes no time itself."""
        run.slow_down(firing, self.factor)
        yield from ()


@effect("empty_outputs", "history")
class EmptyOutputs(Effect, frozen=True, kw_only=True):
    """Let the entry's ``outputs`` be empty; its status stays, and so do the files."""

    def on_job(self, run: RunningJob, firing: Firing) -> Steps:
        """Forget what was shown."""
        run.entry.outputs.clear()
        run.entry.meta.clear()
        yield from ()


@effect("evict", "history")
class Evict(Effect, frozen=True, kw_only=True):
    """Drop the job's history entry, as one that too many others have followed.

    :ivar lives: how long after the job's end; 0: nobody ever sees it.
    """

    lives: Duration = Duration()

    def on_job(self, run: RunningJob, firing: Firing) -> Steps:
        """Have it dropped."""
        run.forget_entry(self.lives)
        yield from ()
