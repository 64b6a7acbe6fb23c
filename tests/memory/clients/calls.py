"""A client's HTTP exchanges, each with a time limit, in a farm in memory."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPException, IncompleteRead

from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from comfyfarm.testing import MemoryFarm
from comfyfarm.testing.memory_client import Asking, Reply

__all__ = ["REFUSED", "Calls", "Then"]

REFUSED = Reply(0, {}, b"")
"""Nobody listened: nothing was sent."""

LIMIT_MS = 4_000

Then = Callable[[Reply | None], None]
"""What is done with an answer; ``None``: there was none that could be read."""


@dataclass(eq=False)
class _Call:
    asking: Asking
    deadline_ms: int
    then: Then

    def answer(self) -> Reply | None:
        """The answer, once all of it is there; of one that was cut short the status, and nothing more."""
        try:
            return self.asking.reply()
        except IncompleteRead:
            return Reply(int(self.asking.transport.value().split(b" ", 2)[1]), {}, b"") if self.is_cut else None
        except (HTTPException, ValueError):
            return None

    @property
    def is_cut(self) -> bool:
        """Whether nothing more will come."""
        return self.asking.transport.disconnecting


@dataclass(eq=False)
class Calls:
    """All that are under way."""

    farm: MemoryFarm
    _calls: list[_Call] = field(default_factory=list)

    def begin(
        self, name: str, method: str, path: str, then: Then, body: object = None, headers: dict[str, str] | None = None
    ) -> None:
        """Ask an instance; ``then`` is called by :meth:`finish`, sooner or later."""
        backend = self.farm[name].backend
        if not backend.port.is_open:
            then(REFUSED)
            return
        content = b"" if body is None else json.dumps(body).encode()
        asking = self.farm.wire.begin(backend.site, method, path, content, headers)
        self._calls.append(_Call(asking, self.farm.farm.time.now_ms() + LIMIT_MS, then))

    def finish(self) -> bool:
        """Hand over what has been answered, and hang up where there will be no answer; whether there was any such."""
        now_ms = self.farm.farm.time.now_ms()
        over = [(each, each.answer()) for each in self._calls]
        over = [(each, reply) for each, reply in over if reply or each.is_cut or now_ms >= each.deadline_ms]
        for each, reply in over:
            self._calls.remove(each)
            each.asking.channel.connectionLost(Failure(ConnectionDone()))
            each.then(reply)
        return bool(over)
