"""Effects that only take time: a delay, a hang, a gate."""

from comfyfarm.faults.fault import Effect, Firing, effect
from comfyfarm.faults.pauses import WAIT, Sleep, Steps
from comfyfarm.faults.phases import EXCHANGE, JOB
from comfyfarm.faults.targets import DelayedMessage, Exchange, Frame, RunningJob
from comfyfarm.units import Duration


@effect("delay", *JOB, *EXCHANGE, "frame", lasts=True)
class Delay(Effect, frozen=True, kw_only=True):
    """Let time pass first; everything else is as without the fault.

    At ``reply`` the response is late; at ``history`` the entry follows ``execution_success`` late.
    """

    duration: Duration

    def on_job(self, job: RunningJob, firing: Firing) -> Steps:
        yield from self._sleep(firing)

    def on_exchange(self, exchange: Exchange, firing: Firing) -> Steps:
        yield from self._sleep(firing)

    def _sleep(self, firing: Firing) -> Steps:
        try:
            yield Sleep(self.duration, firing)
        finally:
            firing.active = False

    def on_frame(self, frame: Frame, firing: Firing) -> None:
        firing.active = False       # a message on its way stays late, even if the fault is healed
        frame.messages = [
            DelayedMessage(message.content, message.after_ms + self.duration) for message in frame.messages
        ]


@effect("hang", *JOB, *EXCHANGE, lasts=True)
class Hang(Effect, frozen=True, kw_only=True):
    """Pause until the fault is healed or removed, or its time is over; ``delay`` is the pause that ends by itself.

    A job that hangs in the middle of a node ignores interrupts; an exchange that hangs keeps its connection open.
    """

    def on_job(self, job: RunningJob, firing: Firing) -> Steps:
        yield from _wait_for_release(firing)

    def on_exchange(self, exchange: Exchange, firing: Firing) -> Steps:
        yield from _wait_for_release(firing)


def _wait_for_release(firing: Firing) -> Steps:
    try:
        while firing.active:
            yield WAIT
    finally:
        firing.active = False    # also if the steps are dropped: after a reset, or if the client has disconnected


@effect("hold", *JOB, *EXCHANGE, lasts=True)
class WaitAtGate(Hang, frozen=True, kw_only=True):
    """Pause until this firing or the whole gate is released (``/api/gates``)."""
