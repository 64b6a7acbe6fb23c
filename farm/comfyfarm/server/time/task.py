"""Tells a story that pauses, in simulated time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from twisted.internet.interfaces import IReactorTime

from comfyfarm.faults.fault import Firing
from comfyfarm.faults.pauses import Hold, Sleep, Steps
from comfyfarm.server.time.alarm import Alarm
from comfyfarm.server.time.clock import SimulatedTime


@dataclass(eq=False)
class SimTask:
    """One story, from its beginning to its end.

    :ivar on_firing: called where the story pauses for the process; the story waits until it is woken.
    :ivar on_end: called when it has been told; not where it was stopped.
    """

    clock: IReactorTime
    time: SimulatedTime
    story: Steps
    on_end: Callable[[], None]
    on_firing: Callable[[Firing], None]
    is_over: bool = field(default=False, init=False)
    _is_speaking: bool = field(default=False, init=False)
    _resting: Hold | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Have an alarm; nothing is told yet."""
        self._alarm = Alarm(self.clock, self.time, self.resume)

    def resume(self) -> None:
        """Tell the story as far as it goes without time passing."""
        # What the story does may itself wake it, or be the end of it.
        while not (self.is_over or self._is_speaking or self._alarm.is_set):
            self._is_speaking = True
            try:
                pause = next(self.story)
            except StopIteration:
                if not self.is_over:
                    self.is_over = True
                    self.on_end()
                return
            finally:
                self._is_speaking = False
            if self.is_over:
                return
            self._resting = pause.hold if isinstance(pause, Sleep) else None
            if isinstance(pause, int | Sleep):
                self._pass(pause if isinstance(pause, int) else pause.ms)
                continue
            if isinstance(pause, Firing):
                self.on_firing(pause)
            return

    def _pass(self, ms: int) -> None:
        if ms > 0:
            self._alarm.set(self.time.now_ms() + ms)

    def wake(self) -> None:
        """Something may have changed."""
        if self._resting is not None and not self._resting.active:
            self._alarm.set(None)
        if not self._alarm.is_set:
            self.resume()

    def cut_short(self) -> None:
        """Let no more time pass where the story pauses now: it looks at what has become of its strike."""
        self._alarm.set(None)
        self.resume()

    def stop(self) -> None:
        """Tell no more of it, and drop it, so that it lets go what it holds."""
        self.is_over = True
        self._alarm.set(None)
        self.story = iter(())
