"""The facts of an exchange that are noted while it is served, for the event log."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import msgspec

from comfyfarm.events.clients import Damage
from comfyfarm.faults.targets import HttpReply


class ExchangeRecord(msgspec.Struct, eq=False):
    """Facts about one exchange for its :class:`~comfyfarm.events.Exchanged`, which describes the fields."""

    began_ms: int = 0
    prompt_id: str | None = None
    job: str = ""
    client_id: str | None = None
    retry_after_ms: int | None = None
    shown: int | None = None
    damage: Damage = ""
    first_byte: int = 0
    traceparent: str = ""
    request_headers: str = ""
    request_body: str = ""

    def update_from(self, reply: HttpReply) -> None:
        """Read from the answer what it shows to the client, because a fault may have changed it."""
        waits = [value for name, value in reply.headers if name.lower() == "retry-after" and value.isdecimal()]
        self.retry_after_ms = int(waits[0]) * 1000 if waits else None
        if self.shown is not None:
            self.shown = _queue_remaining(reply.body)


def _queue_remaining(body: bytes) -> int | None:
    """Return the ``queue_remaining`` that an answer of ``/queue`` or ``/prompt`` shows; ``None`` if it shows none."""
    try:
        content = json.loads(body)
        if "exec_info" in content:
            return int(content["exec_info"]["queue_remaining"])
        lists: Iterable[list[Any]] = (content["queue_running"], content["queue_pending"])
        return sum(map(len, lists))
    except (ValueError, TypeError, LookupError):
        return None
