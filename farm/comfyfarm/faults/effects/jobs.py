"""Effects on a job and its history entry: it fails, ignores interrupts, slows down, or its result is lost."""

from typing import Annotated

import msgspec

from comfyfarm.faults.fault import Effect, Firing, effect
from comfyfarm.faults.pauses import Steps
from comfyfarm.faults.targets import RunningJob
from comfyfarm.units import Duration


@effect("error", "node", "step", "save")
class Error(Effect, frozen=True, kw_only=True):
    """Let the node raise any exception, so that the job ends with ``execution_error``.

    With ``sticky`` every later job of the process fails too.

    :ivar exception_type: as ``execution_error`` names it.
    """

    exception_type: str = "RuntimeError"
    message: str = "something went wrong on purpose"

    def on_job(self, job: RunningJob, firing: Firing) -> Steps:
        raise job.node_error(self.exception_type, self.message)
        yield   # never reached; it makes this a generator


@effect("deaf", "start", "node", "step", lasts=True)
class Deaf(Effect, frozen=True, kw_only=True):
    """Let the job ignore interrupts from here to its end: ``POST /interrupt`` is answered, and nothing stops.

    Once the firing is inactive, the job stops where it next checks for an interrupt.
    """

    def on_job(self, job: RunningJob, firing: Firing) -> Steps:
        job.deafen(firing)
        yield from ()


@effect("oom", "node", "step", "save")
class Oom(Effect, frozen=True, kw_only=True):
    """Let the node raise ``torch.OutOfMemoryError``; ComfyUI then unloads its models.

    With ``sticky`` every later job of the process fails too.
    """

    def on_job(self, job: RunningJob, firing: Firing) -> Steps:
        raise job.out_of_memory()
        yield   # never reached; it makes this a generator


@effect("slow", "start", "node", "step", "save", lasts=True)
class Slow(Effect, frozen=True, kw_only=True):
    """Let everything that the job does from here to its end take longer, while the firing is active.

    :ivar factor: how many times as long; of several faults the greatest factor counts.
    """

    factor: Annotated[float, msgspec.Meta(ge=1, le=1_000_000)]

    def on_job(self, job: RunningJob, firing: Firing) -> Steps:
        job.slow_down(firing, self.factor)
        yield from ()


@effect("empty_outputs", "history")
class EmptyOutputs(Effect, frozen=True, kw_only=True):
    """Empty the ``outputs`` of the history entry; its status stays, and so do the files."""

    def on_job(self, job: RunningJob, firing: Firing) -> Steps:
        job.empty_outputs()
        yield from ()


@effect("evict", "history")
class Evict(Effect, frozen=True, kw_only=True):
    """Drop the job's history entry, as ComfyUI does after too many later jobs.

    :ivar lives: how long after the job's end; 0: no client ever sees it.
    """

    lives: Duration = Duration()

    def on_job(self, job: RunningJob, firing: Firing) -> Steps:
        job.forget_entry(self.lives)
        yield from ()
