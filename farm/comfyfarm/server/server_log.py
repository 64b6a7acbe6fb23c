"""What would this server have printed by now?

A person who watches a real server reads these lines in its terminal; a client reads them at ``/internal/logs``.  They
are made of the instance's events, and bear simulated time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from comfyfarm.config import InstanceConfig
from comfyfarm.config.recorded import server_facts
from comfyfarm.events import Event, Failed, Finished, Interrupted, PromptRefused, Submitted, Taken
from comfyfarm.events.handler import EventHandler, on
from comfyfarm.server.websocket.hub import Hub

SIZE = {"cols": 80, "rows": 24}
"""Of the terminal that is not there."""

_KEPT = 300
_MIB = 1024 * 1024

Tell = Callable[[str, Event, str, dict[str, Any]], None]


@dataclass(eq=False)
class ServerLog(EventHandler):
    """The last lines of one instance, and the clients that are told each new one.

    :ivar tell: sends a client a websocket message.
    :ivar unix_ms: what a client's clock says at the simulated moment 0.
    :ivar entries: each with its time and its text, oldest first.
    :ivar subscribers: what clients gave as their ids, in order.
    """

    config: InstanceConfig
    hub: Hub
    tell: Tell
    unix_ms: int
    entries: deque[dict[str, str]] = field(default_factory=lambda: deque(maxlen=_KEPT))
    subscribers: dict[Any, None] = field(default_factory=dict)
    _taken_ms: int = 0

    def begin(self, url: str, at_ms: int) -> None:
        """Begin anew, with what a server prints as it starts."""
        self.entries.clear()
        self.subscribers.clear()
        for text in _greeting(self.config, url):
            self._print(text, Event(at_ms=at_ms))

    def subscribe(self, client_id: Any, *, enabled: bool) -> None:
        """Tell a client of each new line from now on, or no more."""
        if enabled:
            self.subscribers[client_id] = None
        else:
            self.subscribers.pop(client_id, None)

    def text(self) -> str:
        """All lines as one text."""
        return "".join(f"{entry['t']} - {entry['m']}" for entry in self.entries)

    # What happens.

    @on(Submitted)
    def _on_submitted(self, event: Submitted) -> None:
        self._print("got prompt", event)

    @on(PromptRefused)
    def _on_prompt_refused(self, event: PromptRefused) -> None:
        self._print("got prompt", event)
        self._print(f"invalid prompt: {event.error}", event)

    @on(Taken)
    def _on_taken(self, event: Taken) -> None:
        self._taken_ms = event.at_ms

    @on(Failed)
    def _on_failed(self, event: Failed) -> None:
        self._print(f"!!! Exception during processing !!! {str(event.error.get('exception_message')).rstrip()}", event)
        lines = "".join(event.error.get("traceback") or ())
        if lines:
            self._print(f"Traceback (most recent call last):\n{lines.rstrip()}", event)

    @on(Interrupted)
    def _on_interrupted(self, event: Interrupted) -> None:
        self._print("Processing interrupted", event)

    @on(Finished)
    def _on_finished(self, event: Finished) -> None:
        self._print(f"Prompt executed in {(event.at_ms - self._taken_ms) / 1000:.2f} seconds", event)

    def _print(self, text: str, event: Event) -> None:
        """Add a line, and tell it to those who asked and are still there."""
        entry = {"t": self._time(event.at_ms), "m": f"{text}\n"}
        self.entries.append(entry)
        for client_id in list(self.subscribers):
            if isinstance(client_id, str) and self.hub.hearing(client_id):
                self.tell(client_id, event, "logs", {"entries": [entry], "size": None})
            else:
                del self.subscribers[client_id]

    def _time(self, at_ms: int) -> str:
        """The local time of a client's clock, as a real server's log has it."""
        moment = datetime.fromtimestamp((self.unix_ms + at_ms) / 1000, tz=UTC).astimezone()
        return moment.replace(tzinfo=None).isoformat(timespec="microseconds")


def _greeting(config: InstanceConfig, url: str) -> Iterator[str]:
    facts: dict[str, Any] = server_facts()["system_stats"]
    system, device = facts["system"], facts["devices"][0]
    yield f"Total VRAM {device['vram_total'] // _MIB} MB, total RAM {system['ram_total'] // _MIB} MB"
    yield f"pytorch version: {system['pytorch_version']}"
    yield f"Device: {device['name']}"
    yield f"Python version: {system['python_version']}"
    yield f"ComfyUI version: {config.comfyui_version}"
    yield f"ComfyUI frontend version: {system['required_frontend_version']}"
    yield "Starting server"
    yield f"To see the GUI go to: {url}"
