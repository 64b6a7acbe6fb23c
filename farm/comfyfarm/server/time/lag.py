"""The lateness of the farm itself, whose reactor was held up or has too much work; and jumps of the wall clock."""

from collections.abc import Callable
from dataclasses import dataclass, field

from twisted.logger import Logger

from comfyfarm.events import FarmLate, WallClockJumped
from comfyfarm.events.log import Log
from comfyfarm.server.time.clock import Alarm, AlarmHeap, SimulatedTime

_logger = Logger()     # not in the class: Twisted keeps recent log events, and with them the objects that logged

REPORTED_MS = 50
"""A lateness of so many simulated milliseconds distorts their order: it is the default of the verdict's ``wire``."""

_LEAST_S = 0.01     # of real time: a shorter lateness is what any machine has
_PROBE_S = 0.02     # after a client has sent something
_QUIET_S = 1.0      # between two events
_JUMP_S = 0.5


@dataclass(eq=False)
class LagGauge:
    """Measures how late alarms ring on a real clock, and publishes what distorts simulated time.

    A farm whose alarms are far away may keep its clients waiting, too: so a probe is set when one has sent something.
    While nobody does, and nothing is due, nothing is measured.  A virtual clock is never late.

    :ivar wall_s: returns the wall-clock time; None if its jumps do not matter.
    :ivar lag_ms: how late the alarms were that rang last, in simulated time.
    :ivar max_lag_ms: the most so far.
    """

    time: SimulatedTime
    log: Log
    wall_s: Callable[[], float] | None
    lag_ms: int = field(default=0, init=False)
    max_lag_ms: int = field(default=0, init=False)
    _since_ms: int = field(default=0, init=False)       # of what is still to be published
    _late_ms: int = field(default=0, init=False)        # the most of it; 0 if nothing is
    _quiet_until_s: float = field(default=0.0, init=False)
    _ahead_s: float = field(default=0.0, init=False)    # of the wall clock

    def __post_init__(self) -> None:
        self._probe = Alarm(self.time, lambda: None)
        if isinstance(self.time.alarms, AlarmHeap):
            self.time.alarms.on_ring = self._measure
        if self.wall_s is not None:
            self._ahead_s = self.wall_s() - self.time.clock.seconds()

    def on_traffic(self) -> None:
        """Set the probe: the farm has something to do."""
        if self._probe.due_ms is None and not self.time.is_virtual:
            self._probe.set(self.time.now_ms() + max(1, round(_PROBE_S * 1000 * self.time.speed)))

    def publish(self) -> None:
        """Publish the lateness that was not published yet."""
        if self._late_ms:
            now_ms, late_ms, since_ms = self.time.now_ms(), self._late_ms, self._since_ms
            self._late_ms = 0
            self._quiet_until_s = self.time.clock.seconds() + _QUIET_S
            _logger.warn("the farm was late by {late_ms} ms at {now_ms} ms", late_ms=late_ms, now_ms=now_ms)
            self.log.publish(FarmLate(at_ms=now_ms, since_ms=since_ms, late_ms=late_ms))

    def stop(self) -> None:
        self._probe.set(None)
        self.publish()

    def _measure(self, late_ms: int) -> None:
        self.lag_ms, self.max_lag_ms = late_ms, max(self.max_lag_ms, late_ms)
        if late_ms >= max(REPORTED_MS, _LEAST_S * 1000 * self.time.speed):
            since_ms = self.time.now_ms() - late_ms
            self._since_ms = min(self._since_ms, since_ms) if self._late_ms else since_ms
            self._late_ms = max(self._late_ms, late_ms)
        if self._late_ms and self.time.clock.seconds() >= self._quiet_until_s:
            self.publish()
        elif self._late_ms:
            self.on_traffic()
        self._look_at_wall_clock()

    def _look_at_wall_clock(self) -> None:
        if self.wall_s is None:
            return
        ahead_s = self.wall_s() - self.time.clock.seconds()
        by_s, self._ahead_s = ahead_s - self._ahead_s, ahead_s
        if abs(by_s) >= _JUMP_S:
            _logger.warn("the wall clock has jumped by {by_s:+.3f} s", by_s=by_s)
            self.log.publish(WallClockJumped(at_ms=self.time.now_ms(), by_ms=round(by_s * 1000)))
