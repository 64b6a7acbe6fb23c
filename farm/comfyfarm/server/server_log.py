"""The log lines that a real server would have printed.

A real server prints them to its terminal; a client reads them at ``/internal/logs``.  They are made from the instance's
events, and carry simulated time.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from comfyfarm.config import InstanceConfig
from comfyfarm.config.recorded import system_stats
from comfyfarm.events import Event, Failed, Finished, Interrupted, PromptRefused, Submitted, Taken, WorkerDied
from comfyfarm.events.handler import EventHandler, on
from comfyfarm.server.websocket.hub import Hub

SIZE = {"cols": 80, "rows": 24}
"""The size of the terminal that ComfyUI reports."""

_MAX_ENTRIES = 300
_MIB = 1024 * 1024


@dataclass(eq=False)
class ServerLog(EventHandler):
    """The last lines of one instance, and the clients that receive each new one.

    :ivar send: sends a websocket message to a client: client id, event that caused it, type, data.
    :ivar unix_ms: the Unix time at simulated time 0.
    :ivar subscribers: the client ids, as the clients sent them, in order of subscription.
    """

    config: InstanceConfig
    hub: Hub
    send: Callable[[str, Event, str, dict[str, Any]], None]
    unix_ms: int
    subscribers: dict[Any, None] = field(default_factory=dict)
    _lines: deque[tuple[int, str]] = field(default_factory=lambda: deque(maxlen=_MAX_ENTRIES))     # Unix ms, text
    _taken_ms: int = 0

    def begin(self, url: str, at_ms: int) -> None:
        """Clear everything, and print what a server prints at its start."""
        self._lines.clear()
        self.subscribers.clear()
        for text in _startup_lines(self.config, url):
            self._print(text, Event(at_ms=at_ms))

    def subscribe(self, client_id: Any, *, enabled: bool) -> None:
        if enabled:
            self.subscribers[client_id] = None
        else:
            self.subscribers.pop(client_id, None)

    @property
    def entries(self) -> list[dict[str, str]]:
        """Time and text of each line, oldest first."""
        return [_entry(*line) for line in self._lines]

    def text(self) -> str:
        return "".join(f"{entry['t']} - {entry['m']}" for entry in self.entries)

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

    @on(WorkerDied)
    def _on_worker_died(self, event: WorkerDied) -> None:
        self._print("Exception in thread Thread-1 (prompt_worker):", event)
        self._print(f"comfy_execution.graph.NodeNotFoundError: Node {event.node} not found", event)

    @on(Finished)
    def _on_finished(self, event: Finished) -> None:
        self._print(f"Prompt executed in {(event.at_ms - self._taken_ms) / 1000:.2f} seconds", event)

    def _print(self, text: str, event: Event) -> None:
        """Add a line, and send it to the subscribers; those who have disconnected are removed."""
        line = self.unix_ms + event.at_ms, text
        self._lines.append(line)
        for client_id in list(self.subscribers):
            if isinstance(client_id, str) and self.hub.recipients(client_id):
                self.send(client_id, event, "logs", {"entries": [_entry(*line)], "size": None})
            else:
                del self.subscribers[client_id]


def _entry(unix_ms: int, text: str) -> dict[str, str]:
    # The local time in the format of a real server's log.
    local = datetime.fromtimestamp(unix_ms / 1000, tz=UTC).astimezone().replace(tzinfo=None)
    return {"t": local.isoformat(timespec="microseconds"), "m": f"{text}\n"}


def _startup_lines(config: InstanceConfig, url: str) -> Iterator[str]:
    facts = system_stats(config.comfyui_version)
    system, device = facts["system"], facts["devices"][0]
    yield f"Total VRAM {device['vram_total'] // _MIB} MB, total RAM {system['ram_total'] // _MIB} MB"
    yield f"pytorch version: {system['pytorch_version']}"
    yield f"Device: {device['name']}"
    yield f"Python version: {system['python_version']}"
    yield f"ComfyUI version: {config.comfyui_version}"
    if "required_frontend_version" in system:
        yield f"ComfyUI frontend version: {system['required_frontend_version']}"
    yield "Starting server"
    yield f"To see the GUI go to: {url}"
