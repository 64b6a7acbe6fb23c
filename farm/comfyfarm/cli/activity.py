"""A short line for each request and each job of a farm, for ``comfyfarm run -v``."""

from collections.abc import Callable
from dataclasses import dataclass, field

from comfyfarm.events import Event, Exchanged, Finished, Started, Submitted
from comfyfarm.events.handler import EventHandler, on


@dataclass(eq=False)
class Activity(EventHandler):
    """Prints the activity of a farm from the events of its log.

    :ivar write: prints a line.
    """

    write: Callable[[str], None]
    _names: dict[tuple[str, str], str] = field(default_factory=dict)
    _started_ms: dict[tuple[str, str], int] = field(default_factory=dict)

    @on(Exchanged)
    def _exchanged(self, event: Exchanged) -> None:
        status = str(event.status) if event.status else "no answer"
        self._print(event, f"{event.method} {event.path} {status} ({event.at_ms - event.began_ms} ms)")

    @on(Submitted)
    def _submitted(self, event: Submitted) -> None:
        self._names[event.instance, event.prompt_id] = event.job

    @on(Started)
    def _started(self, event: Started) -> None:
        self._started_ms[event.instance, event.prompt_id] = event.at_ms

    @on(Finished)
    def _finished(self, event: Finished) -> None:
        key = event.instance, event.prompt_id
        name, started_ms = self._names.pop(key, event.prompt_id), self._started_ms.pop(key, event.at_ms)
        waiting = f", {event.queue_remaining} in the queue" if event.queue_remaining else ""
        self._print(event, f"job {name[:12]}: {event.status} in {(event.at_ms - started_ms) / 1000:.2f} s{waiting}")

    def _print(self, event: Event, text: str) -> None:
        self.write(f"{event.at_ms / 1000:8.2f} s  {event.instance:12}  {text}")
