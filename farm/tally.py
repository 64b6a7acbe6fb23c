"""How many jobs of each instance have ended?  Counted as it happens, for the log keeps the latest events only."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from farm.ledger.log import Log
from farm.sim.events import Event, Finished, Reset

__all__ = ["Tally"]


@dataclass(eq=False)
class Tally:
    """The jobs that have ended, well or badly, since the farm's start or the instance's last reset.

    :ivar finished: by instance.
    """

    finished: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, log: Log) -> Tally:
        """Count from now on."""
        tally = cls()
        log.listen(tally.hear)
        return tally

    def hear(self, event: Event) -> None:
        """Count an end; a reset begins anew."""
        if isinstance(event, Finished):
            self.finished[event.instance] += 1
        elif isinstance(event, Reset):
            self.finished[event.instance] = 0
