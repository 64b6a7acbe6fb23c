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

    def on_job(self, run: RunningJob, strike: Firing) -> Steps:
        """The job stands still meanwhile."""
        yield from self._rest(strike)

    def on_exchange(self, exchange: Exchange, strike: Firing) -> Steps:
        """The client waits meanwhile."""
        yield from self._rest(strike)

    def _rest(self, strike: Firing) -> Steps:
        try:
            yield Sleep(self.duration, strike)
        finally:
            strike.is_on = False

    def on_frame(self, frame: Frame, strike: Firing) -> None:
        """What is sent meanwhile overtakes it; a message that is on its way comes when it comes."""
        strike.is_on = False
        frame.parcels = [DelayedMessage(each.content, each.after_ms + self.duration) for each in frame.parcels]


@effect("hang", *JOB, *EXCHANGE, lasts=True)
class Hang(Effect, frozen=True, kw_only=True):
    """Stand still until the fault is healed or removed.

    A job that hangs hears no interrupt.  What shall end by itself is a ``delay``.
    """

    def on_job(self, run: RunningJob, strike: Firing) -> Steps:
        """The worker stands still in the middle of a node: nobody looks whether there was an interrupt."""
        yield from _until_let_go(strike)

    def on_exchange(self, exchange: Exchange, strike: Firing) -> Steps:
        """The connection stays open, and nothing comes."""
        yield from _until_let_go(strike)


def _until_let_go(strike: Firing) -> Steps:
    try:
        while strike.is_on:
            yield WAIT
    finally:
        strike.is_on = False    # where the story is dropped (a reset, a client that hangs up) nothing is held any more


@effect("hold", *JOB, *EXCHANGE, lasts=True)
class Hold(Hang, frozen=True, kw_only=True):
    """Wait until the gate is opened, or until one is let through (``/api/gates``): a race is made, not waited for."""
