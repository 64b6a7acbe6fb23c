"""Late, but as it should be."""

from __future__ import annotations

from comfyfarm.faults.fault import Effect, Firing, effect
from comfyfarm.faults.pauses import WAIT, Sleep, Steps
from comfyfarm.faults.phases import EXCHANGE, JOB
from comfyfarm.faults.targets import DelayedMessage, Exchange, Frame, RunningJob
from comfyfarm.units import Duration


@effect("delay", *JOB, *EXCHANGE, "frame", lasts=True)
class Delay(Effect, frozen=True, kw_only=True):
    """Let time pass first.

    At ``reply`` the answer is late; at ``history`` the entry comes so long after ``execution_success``.

    :ivar duration: how much.
    """

    duration: Duration

    def on_job(self, run: RunningJob, firing: Firing) -> Steps:
        """The job stands still meanwhile."""
        yield from self._rest(firing)

    def on_exchange(self, exchange: Exchange, firing: Firing) -> Steps:
        """The client waits meanwhile."""
        yield from self._rest(firing)

    def _rest(self, firing: Firing) -> Steps:
        try:
            yield Sleep(self.duration, firing)
        finally:
            firing.active = False

    def on_frame(self, frame: Frame, firing: Firing) -> None:
        """What is sent meanwhile overtakes it; a message that is on its way comes when it comes."""
        firing.active = False
        frame.messages = [DelayedMessage(each.content, each.after_ms + self.duration) for each in frame.messages]


@effect("hang", *JOB, *EXCHANGE, lasts=True)
class Hang(Effect, frozen=True, kw_only=True):
    """Stand still until the fault is healed or removed.

    A job that hangs hears no interrupt.  What shall end by itself is a ``delay``.
    """

    def on_job(self, run: RunningJob, firing: Firing) -> Steps:
        """The worker stands still in the middle of a node: nobody looks whether there was an interrupt."""
        yield from _until_let_go(firing)

    def on_exchange(self, exchange: Exchange, firing: Firing) -> Steps:
        """The connection stays open, and nothing comes."""
        yield from _until_let_go(firing)


def _until_let_go(firing: Firing) -> Steps:
    try:
        while firing.active:
            yield WAIT
    finally:
        firing.active = False    # where the story is dropped (a reset, a client that hangs up) nothing is held any more


@effect("hold", *JOB, *EXCHANGE, lasts=True)
class WaitAtGate(Hang, frozen=True, kw_only=True):
    """Wait until the gate is opened, or until one is let through (``/api/gates``): a race is made, not waited for."""
