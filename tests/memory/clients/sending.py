"""How a client sends jobs: where to, and what it makes of the answers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from http.client import OK
from random import Random

from comfyfarm.seeds import new_uuid
from comfyfarm.testing import MemoryFarm
from comfyfarm.testing.memory_client import Reply

from .answers import lacking_in
from .calls import REFUSED, Calls
from .lines import Line
from .wish import Order, Wish

__all__ = ["AGAIN_MS", "CLIENT_ID", "POLL_MS", "SendingClient"]

CLIENT_ID = "app"
POLL_MS, AGAIN_MS = 5_000, 1_000


@dataclass(eq=False)
class SendingClient:
    """The half of a client that sends.

    :ivar orders: one for each wish.
    :ivar lines: by name, what it knows of each instance.
    """

    farm: MemoryFarm
    wishes: Iterable[Wish]
    chance: Random
    orders: list[Order] = field(init=False)
    lines: dict[str, Line] = field(init=False)

    def __post_init__(self) -> None:
        """Know nothing but what is wanted."""
        self.calls = Calls(self.farm)
        self.orders = [Order(each, not_before_ms=each.at_ms) for each in self.wishes]
        self.lines = {name: Line(name) for name in self.farm.farm.backends}

    @property
    def now_ms(self) -> int:
        """The simulated moment."""
        return self.farm.farm.time.now_ms()

    def choose(self, order: Order) -> None:
        """Send it where there is least to do for this client, if it can go anywhere now."""
        able = self.able(order)
        trusted = [each for each in able if each.is_trusted] or able
        now = [each for each in trusted if self.now_ms >= each.not_before_ms]
        if now:
            self.send(order, min(now, key=self.load))
        elif not able and all(each.name in order.shunned for each in self.lines.values()):
            order.state = "given up"

    def able(self, order: Order) -> list[Line]:
        """The instances that it may go to."""
        lines = self.lines.values()
        return [each for each in lines if not (each.is_draining or self.is_unfit(order, each))]

    def is_unfit(self, order: Order, line: Line) -> bool:
        """Whether an instance is known not to have what a job needs."""
        if order.wish.model in line.lacks:
            order.shunned.add(line.name)
        return line.name in order.shunned

    def load(self, line: Line) -> int:
        """How many jobs of this client are there."""
        return sum(each.where == line.name and each.state in {"sending", "unsure", "there"} for each in self.orders)

    def send(self, order: Order, line: Line) -> None:
        """Send it, under an id that this client chooses."""
        order.tries += 1
        order.state, order.where, order.prompt_id = "sending", line.name, str(new_uuid(self.chance))
        order.has_run, order.has_succeeded, order.unreachable_ms = False, False, None
        body = {
            "prompt": order.wish.prompt(order.tries),
            "prompt_id": order.prompt_id,
            "client_id": CLIENT_ID,
            "extra_data": {"comfyfarm_job": order.name},
        }
        self.calls.begin(line.name, "POST", "/prompt", partial(self.submitted, order, line), body)

    def submitted(self, order: Order, line: Line, reply: Reply | None) -> None:
        """Take the answer for what it says, and no answer for none."""
        order.state, order.not_before_ms = "unsure", self.now_ms
        if reply is REFUSED:
            order.state = "waiting"
            self.failed_at(line, None)
            self.pause(order)
        elif reply is None:
            self.failed_at(line, None)
            self.unanswered(order)
        elif reply.status == OK:
            line.failures = 0
            order.state, order.not_before_ms = "there", self.now_ms + POLL_MS
        elif reply.status in {400, 413}:
            line.failures = 0
            self.refused(order, line, reply)
        else:
            self.failed_at(line, reply.headers.get("retry-after"))
            self.turned_away(order)

    def failed_at(self, line: Line, retry_after: str | None) -> None:
        """Leave an instance alone for a while."""
        line.failures += 1
        wait_ms = int(retry_after) * 1000 if retry_after else AGAIN_MS
        line.not_before_ms = max(line.not_before_ms, self.now_ms + wait_ms)

    def pause(self, order: Order) -> None:
        """Wait before it is sent again, longer each time."""
        order.not_before_ms = self.now_ms + min(8_000, 500 << min(order.tries, 5))

    def unanswered(self, order: Order) -> None:
        """Nobody knows whether it was taken on; ask, before it is sent again."""

    def turned_away(self, order: Order) -> None:
        """A 429 or 5xx; what stands in between may have said it after the job was taken on."""

    def refused(self, order: Order, line: Line, reply: Reply) -> None:
        """Send it elsewhere where the instance lacks something, and else never again."""
        model = lacking_in(reply)
        if model:
            self.note_lack(order, line, model)
            order.state = "waiting"
        else:
            order.state = "given up"

    def note_lack(self, order: Order, line: Line, model: str) -> None:
        """Remember what an instance has not."""
        line.lacks.add(model)

    def send_again(self, order: Order) -> None:
        """Have it sent, after a pause."""
        order.state = "waiting"
        self.pause(order)
