"""What a client knows of each instance: what it says over its websocket, and how it has answered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from comfyfarm.testing import MemoryFarm
from comfyfarm.testing.listener import Listener

__all__ = ["Line"]

PATIENCE = 3


@dataclass(eq=False)
class Line:
    """One instance, as a client knows it.

    :ivar not_before_ms: it asked for patience until then, or has failed lately.
    :ivar failures: submissions that it has failed one after another.
    :ivar breaks: jobs that ended there in an error one after another.
    :ivar lacks: the models that it has not.
    :ivar is_draining: the client was told to send it no new work.
    """

    name: str
    not_before_ms: int = 0
    failures: int = 0
    breaks: int = 0
    lacks: set[str] = field(default_factory=set)
    is_draining: bool = False
    _listener: Listener | None = None
    _read: int = 0

    @property
    def is_trusted(self) -> bool:
        """Whether neither it nor its jobs have failed again and again."""
        return self.failures < PATIENCE and self.breaks < PATIENCE

    @property
    def is_heard(self) -> bool:
        """Whether its websocket is open: the process lives."""
        return self._listener is not None and self._listener.lost is None

    def hear(self, farm: MemoryFarm, client_id: str) -> list[dict[str, Any]]:
        """The messages since the last time; a connection that is gone is made anew, as soon as somebody listens."""
        backend = farm[self.name].backend
        shakes_hands = backend.port.is_open and backend.state != "frozen"
        if shakes_hands and not self.is_heard:
            self._listener, self._read = farm[self.name].listen(client_id), 0
        if self._listener is None:
            return []
        new, self._read = self._listener.heard[self._read :], len(self._listener.heard)
        return [each for each in new if isinstance(each, dict)]
