"""Effects on the process of an instance: it crashes, flaps, freezes, or refuses connections."""

from typing import Annotated, Literal

import msgspec

from comfyfarm.faults.fault import Effect, Firing, effect
from comfyfarm.faults.pauses import WAIT, Steps
from comfyfarm.faults.phases import EXCHANGE, JOB
from comfyfarm.faults.targets import Kept, ProcessControl
from comfyfarm.units import Duration


@effect("crash", "process", *JOB, *EXCHANGE, lasts=True)
class Crash(Effect, frozen=True, kw_only=True):
    """Reset all sockets, close the port, and drop what the process has in memory.

    :ivar restart_after: how long until it is started again, without its boot, but at least a millisecond; ``None``:
        when the firing is inactive, or when something else starts it.
    :ivar keep: what is not lost: ``queue``, ``history``, ``uploads``, ``models``.
    """

    restart_after: Duration | None = None
    keep: tuple[Kept, ...] = ()

    def on_process(self, process: ProcessControl, firing: Firing) -> Steps:
        process.crash(self.keep)
        # Time has to pass: a process that kept its queue may crash at the same job again, without end.
        yield from _for_a_while(firing, None if self.restart_after is None else Duration(max(1, self.restart_after)))
        process.start()


@effect("flap", "process", *JOB, *EXCHANGE, lasts=True)
class Flap(Effect, frozen=True, kw_only=True):
    """Crash and start again, several times; at the end the process is up.

    :ivar down: how long it is down each time, without its boot, but at least a millisecond.
    :ivar up: how long it is up between two crashes.
    :ivar times_down: the number of crashes.
    :ivar keep: what is not lost in a crash: ``queue``, ``history``, ``uploads``, ``models``.
    """

    down: Duration
    up: Duration
    times_down: Annotated[int, msgspec.Meta(ge=1)] = 3
    keep: tuple[Kept, ...] = ()

    def on_process(self, process: ProcessControl, firing: Firing) -> Steps:
        for crashes_left in reversed(range(self.times_down)):
            process.crash(self.keep)
            yield max(1, self.down)
            process.start()
            if crashes_left and firing.active:
                yield self.up
            if not firing.active:
                return


@effect("freeze", "process", *JOB, *EXCHANGE, lasts=True)
class Freeze(Effect, frozen=True, kw_only=True):
    """Accept connections and send nothing, neither responses nor messages; afterwards everything goes on in order.

    What clients sent during the freeze is handled then, even if they have disconnected: their jobs run.

    :ivar duration: how long; ``None``: until the firing is inactive.
    :ivar worker: whether the running job is suspended too.
    """

    duration: Duration | None = None
    worker: Literal["stops", "goes on"] = "stops"

    def on_process(self, process: ProcessControl, firing: Firing) -> Steps:
        process.freeze(worker=self.worker == "stops")
        yield from _for_a_while(firing, self.duration)
        process.thaw()


@effect("refuse", "process", *JOB, *EXCHANGE, lasts=True)
class Refuse(Effect, frozen=True, kw_only=True):
    """Close the port: new connections are refused; open ones and the running job go on.

    :ivar duration: how long; ``None``: until the firing is inactive.
    """

    duration: Duration | None = None

    def on_process(self, process: ProcessControl, firing: Firing) -> Steps:
        process.refuse()
        yield from _for_a_while(firing, self.duration)
        process.accept()


def _for_a_while(firing: Firing, duration: Duration | None) -> Steps:
    """Pause for the duration, or, without one, until the firing is inactive."""
    if duration is not None:
        yield duration
        return
    while firing.active:
        yield WAIT
