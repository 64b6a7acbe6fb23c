"""The process dies."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from comfyfarm.faults.fault import Effect, Firing, effect
from comfyfarm.faults.pauses import WAIT, Steps
from comfyfarm.faults.phases import EXCHANGE, JOB
from comfyfarm.faults.targets import Kept, ProcessControl
from comfyfarm.units import Duration


@effect("crash", "process", *JOB, *EXCHANGE, lasts=True)
class Crash(Effect, frozen=True, kw_only=True):
    """Reset all sockets, close the port, lose what a process holds in memory.

    :ivar restart_after: how long until it is started again, its boot apart, but a millisecond at least; ``None``: not
        before the fault is over (``until``, ``ttl``) or is taken off, or somebody starts it.
    :ivar keep: what is not lost: ``queue``, ``history``, ``uploads``, ``models``.
    """

    restart_after: Duration | None = None
    keep: tuple[Kept, ...] = ()

    def on_process(self, process: ProcessControl, firing: Firing) -> Steps:
        """Die, and come back."""
        process.crash(self.keep)
        # A process that kept its queue may die of the same job again, for ever: time has to pass meanwhile.
        yield from for_a_while(firing, None if self.restart_after is None else Duration(max(1, self.restart_after)))
        process.start()


@effect("flap", "process", *JOB, *EXCHANGE, lasts=True)
class Flap(Effect, frozen=True, kw_only=True):
    """Crash and come back, several times; in the end it is up.

    :ivar down: how long it is down each time, its boot apart, but a millisecond at least.
    :ivar up: how long it is up between two falls.
    :ivar times_down: how often it falls.
    :ivar keep: what is not lost each time: ``queue``, ``history``, ``uploads``, ``models``.
    """

    down: Duration
    up: Duration
    times_down: Annotated[int, msgspec.Meta(ge=1)] = 3
    keep: tuple[Kept, ...] = ()

    def on_process(self, process: ProcessControl, firing: Firing) -> Steps:
        """Fall, stand up, and do so again."""
        for left in reversed(range(self.times_down)):
            process.crash(self.keep)
            yield max(1, self.down)
            process.start()
            if not left or not firing.active:
                return
            yield self.up
            if not firing.active:
                return


@effect("freeze", "process", *JOB, *EXCHANGE, lasts=True)
class Freeze(Effect, frozen=True, kw_only=True):
    """Accept connections and answer none, say nothing to any websocket; afterwards everything goes on in its order.

    What clients said meanwhile is heard then, also where they have hung up since: a job that nobody waits for runs.

    :ivar duration: how long; ``None``: until the fault is over (``until``, ``ttl``) or is taken off.
    :ivar worker: whether the running job stands still, too.
    """

    duration: Duration | None = None
    worker: Literal["stops", "goes on"] = "stops"

    def on_process(self, process: ProcessControl, firing: Firing) -> Steps:
        """Freeze, and thaw."""
        process.freeze(worker=self.worker == "stops")
        yield from for_a_while(firing, self.duration)
        process.thaw()


@effect("refuse", "process", *JOB, *EXCHANGE, lasts=True)
class Refuse(Effect, frozen=True, kw_only=True):
    """Close the port: new connections are refused, those that are open live on, and so does the job.

    :ivar duration: how long; ``None``: until the fault is over (``until``, ``ttl``) or is taken off.
    """

    duration: Duration | None = None

    def on_process(self, process: ProcessControl, firing: Firing) -> Steps:
        """Close the port, and open it again."""
        process.refuse()
        yield from for_a_while(firing, self.duration)
        process.accept()


def for_a_while(firing: Firing, duration: Duration | None) -> Steps:
    """Let an effect last so long, and no longer than its strike; ``None``: as long as that."""
    if duration is not None:
        yield duration
        return
    while firing.active:
        yield WAIT
