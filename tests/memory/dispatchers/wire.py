"""A dispatcher's connections: HTTP requests whose submissions are recorded, and websockets."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from comfyfarm.testing import MemoryFarm
from comfyfarm.testing.listener import Listener
from comfyfarm.testing.memory_client import Reply
from tests.memory.clients.calls import Calls, Then

REOPEN_MS = 1_000


@dataclass(eq=False)
class Submission:
    """A ``POST /prompt`` that was sent.

    :ivar order: the one that it was sent for.
    :ivar prompt_id: empty: it named none.
    :ivar reply: ``None``: no answer could be read.
    """

    order: str
    instance: str
    at_ms: int
    prompt_id: str = ""
    answered_ms: int | None = None
    reply: Reply | None = None

    @property
    def status(self) -> int:
        """The status of its answer; 0 if there was none."""
        return self.reply.status if self.reply is not None else 0


@dataclass(frozen=True)
class Stop:
    """A ``POST`` to ``/queue`` or ``/interrupt`` that was sent."""

    instance: str
    at_ms: int
    path: str
    body: dict[str, Any]


@dataclass(eq=False)
class Wire(Calls):
    """The HTTP requests of a dispatcher."""

    submissions: list[Submission] = field(default_factory=list)
    stops: list[Stop] = field(default_factory=list)

    def submit(self, order: str, instance: str, body: dict[str, Any], then: Then) -> None:
        """Send a prompt, and record it."""
        submission = Submission(order, instance, self.farm.farm.time.now_ms(), body.get("prompt_id", ""))
        self.submissions.append(submission)

        def record(reply: Reply | None) -> None:
            submission.reply, submission.answered_ms = reply, self.farm.farm.time.now_ms()
            then(reply)

        self.begin(instance, "POST", "/prompt", record, body)

    def stop(self, instance: str, path: str, body: dict[str, Any]) -> None:
        """Send what takes jobs out of a queue or interrupts them, and record it."""
        self.stops.append(Stop(instance, self.farm.farm.time.now_ms(), path, body))
        self.begin(instance, "POST", path, lambda _: None, body)


@dataclass(eq=False)
class Socket:
    """A websocket at one instance that is opened again when it is lost.

    :ivar losses: how often it was lost.
    """

    farm: MemoryFarm
    instance: str
    client_id: str
    losses: int = 0
    _listener: Listener | None = None
    _read: int = 0
    _not_before_ms: int = 0

    @property
    def is_open(self) -> bool:
        return self._listener is not None and self._listener.lost is None

    def read(self) -> list[dict[str, Any] | bytes]:
        """Return the messages since the last time."""
        messages = self._unread()
        if self._listener is not None and self._listener.lost is not None:
            self._listener = None
            self.losses += 1
            self._not_before_ms = self.farm.farm.time.now_ms() + REOPEN_MS
        return messages

    def open(self) -> None:
        """Open it if it is not, and if that can be tried now."""
        backend, now_ms = self.farm[self.instance].backend, self.farm.farm.time.now_ms()
        can_open = backend.port.is_open and backend.state != "frozen" and now_ms >= self._not_before_ms
        if self._listener is None and can_open:
            self._not_before_ms = now_ms + REOPEN_MS
            with suppress(Exception):   # a fault at the handshake
                self._listener = self.farm.wire.listen(backend.port.number, self.client_id)
                self._read = 0

    def _unread(self) -> list[dict[str, Any] | bytes]:
        if self._listener is None:
            return []
        messages, self._read = self._listener.heard[self._read :], len(self._listener.heard)
        return messages
