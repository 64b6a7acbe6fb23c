"""What the log says of an exchange, beside its first line and its status."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from comfyfarm.faults.targets import HttpReply


@dataclass(eq=False)
class ExchangeRecord:
    """What is known of one exchange; see :class:`~comfyfarm.events.Exchanged`."""

    began_ms: int = 0
    prompt_id: str | None = None
    job: str = ""
    client_id: str | None = None
    retry_after_ms: int | None = None
    shown: int | None = None

    def read(self, reply: HttpReply) -> None:
        """Take what an answer shows from the answer itself: a fault has made it."""
        waits = [value for name, value in reply.headers if name.lower() == "retry-after" and value.isdecimal()]
        self.retry_after_ms = int(waits[0]) * 1000 if waits else None
        if self.shown is not None:
            self.shown = _remaining(reply.body)


def _remaining(body: bytes) -> int | None:
    """The ``queue_remaining`` that the body of a ``/queue`` or ``/prompt`` shows; ``None`` where it shows none."""
    try:
        said = json.loads(body)
        if "exec_info" in said:
            return int(said["exec_info"]["queue_remaining"])
        lists: Iterable[list[Any]] = (said["queue_running"], said["queue_pending"])
        return sum(map(len, lists))
    except (ValueError, TypeError, LookupError):
        return None
