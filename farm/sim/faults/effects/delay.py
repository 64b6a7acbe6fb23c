"""Late, but as it should be."""

from __future__ import annotations

from farm.sim.faults.exchange import Exchange
from farm.sim.faults.frame import Frame, Parcel
from farm.sim.faults.job import Run
from farm.sim.faults.moments import EXCHANGE, JOB
from farm.sim.faults.strikes import Rest, Story, Strike
from farm.sim.units import Duration

from .base import Effect, effect

__all__ = ["Delay"]


@effect("delay", *JOB, *EXCHANGE, "frame", lasts=True)
class Delay(Effect, frozen=True, kw_only=True):
    """Let time pass first.

    At ``reply`` the answer is late; at ``history`` the entry comes so long after ``execution_success``.

    :ivar duration: how much.
    """

    duration: Duration

    def on_job(self, run: Run, strike: Strike) -> Story:
        """The job stands still meanwhile."""
        yield from self._rest(strike)

    def on_exchange(self, exchange: Exchange, strike: Strike) -> Story:
        """The client waits meanwhile."""
        yield from self._rest(strike)

    def _rest(self, strike: Strike) -> Story:
        try:
            yield Rest(self.duration, strike)
        finally:
            strike.is_on = False

    def on_frame(self, frame: Frame, strike: Strike) -> None:
        """What is sent meanwhile overtakes it; a message that is on its way comes when it comes."""
        strike.is_on = False
        frame.parcels = [Parcel(each.content, each.after_ms + self.duration) for each in frame.parcels]
