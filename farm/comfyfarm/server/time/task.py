"""A task in simulated time: a generator that yields a pause wherever time passes.

The effect of a fault on a process, and an HTTP exchange, are written as one generator of Steps
(:mod:`comfyfarm.faults.pauses`), top-down like a coroutine::

    def steps(firing):                  it yields           the task resumes it
        process.crash()                 1500                after 1,500 ms
        yield Sleep(5000, firing)       Sleep(5000, hold)   after 5,000 ms, or earlier when the hold is not active
        process.start()                 WAIT                when it is woken: something may have changed
                                        a Firing            the same, after on_firing(firing)

A task has no thread and nobody awaits it.  Each of its methods runs the generator to its next pause and returns::

               resume()              the generator ends
    (made) ---------------> running --------------------> over: on_end() is called
                             |   ^
                     a pause |   | resume()     when the alarm rings: the time has passed
                             v   | wake()       if the pause has no time, or its hold is not active any more
                            paused cut_short()  whatever the pause
                             |
                             | stop()
                             v
                            over: on_end() is not called; the generator is dropped, so its ``finally`` blocks run

A step may wake or stop its own task: it releases a hold, and then all tasks are woken; or it ends the process.  A
generator cannot be entered a second time, so ``resume`` does nothing while the task runs.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from comfyfarm.faults.fault import Firing
from comfyfarm.faults.pauses import Hold, Sleep, Steps
from comfyfarm.server.time.clock import Alarm, SimulatedTime


@dataclass(eq=False)
class SimTask:
    """Runs Steps in simulated time; the head of this module explains its states.

    :ivar on_end: called when the steps are done, not if the task was stopped.
    :ivar on_firing: called with each firing that the steps yield; the task then waits until it is woken.
    """

    time: SimulatedTime
    steps: Steps
    on_end: Callable[[], None]
    on_firing: Callable[[Firing], None]
    is_over: bool = field(default=False, init=False)
    _is_running: bool = field(default=False, init=False)
    _hold: Hold | None = field(default=None, init=False)     # of the Sleep that the task is in

    def __post_init__(self) -> None:
        self._alarm = Alarm(self.time, self.resume)

    def resume(self) -> None:
        """Run the steps up to the next pause in which time passes."""
        while not (self.is_over or self._is_running or self._alarm.is_set):
            self._is_running = True
            try:
                pause = next(self.steps)
            except StopIteration:
                if not self.is_over:
                    self.is_over = True
                    self.on_end()
                return
            finally:
                self._is_running = False
            if self.is_over:    # the step has stopped its own task
                return
            self._hold = pause.hold if isinstance(pause, Sleep) else None
            if isinstance(pause, int | Sleep):
                ms = pause if isinstance(pause, int) else pause.ms
                if ms > 0:
                    self._alarm.set(self.time.now_ms() + ms)
                continue
            if isinstance(pause, Firing):
                self.on_firing(pause)
            return

    def wake(self) -> None:
        """Resume, unless the steps pause for a time that has not passed and whose hold is still active."""
        if self._hold is not None and not self._hold.active:
            self._alarm.set(None)
        if not self._alarm.is_set:
            self.resume()

    def cut_short(self) -> None:
        """End the pause and resume: the steps find that their hold is no longer active."""
        self._alarm.set(None)
        self.resume()

    def stop(self) -> None:
        """Drop the steps; a generator then runs its ``finally`` blocks."""
        self.is_over = True
        self._alarm.set(None)
        self.steps = iter(())
