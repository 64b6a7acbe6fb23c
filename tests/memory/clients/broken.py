"""Clients that are perfect but for one thing."""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from http.client import OK
from typing import Any, ClassVar

from comfyfarm.testing.memory_client import Reply

from .answers import stamp_in
from .lines import Line
from .perfect import PerfectClient
from .sending import AGAIN_MS
from .wish import Order

__all__ = ["BROKEN", "BrokenClient"]


@dataclass(eq=False)
class BrokenClient(PerfectClient):
    """One thing is wrong.

    :cvar earns: the finding.
    :cvar tells_all: there is a finding for each job that it did wrong by, not one that stands for all.
    :ivar wronged: the jobs that it did wrong by.
    """

    earns: ClassVar[str] = ""
    tells_all: ClassVar[bool] = True
    wronged: set[str] = field(default_factory=set)


class SendsAgainWithoutAsking(BrokenClient):
    """Takes no answer for a refusal."""

    earns = "ran_twice"

    def unanswered(self, order: Order) -> None:
        """Send it again at once."""
        self.wronged.add(order.name)
        self.send_again(order)


class BelievesTheProxy(BrokenClient):
    """Takes a 5xx for a refusal, whoever says it."""

    earns = "ran_twice"

    def turned_away(self, order: Order) -> None:
        """Send it again."""
        self.wronged.add(order.name)
        self.send_again(order)


class ForgetsAfterCrash(BrokenClient):
    """Has no idea what to do with a job that is gone."""

    earns = "lost"
    tells_failures = False

    def lost(self, order: Order) -> None:
        """Nothing."""
        self.wronged.add(order.name)
        order.state = "given up"


class BelievesTheQueue(BrokenClient):
    """Calls done what is not in the queue."""

    earns = "false_completion"

    def not_queued(self, order: Order) -> None:
        """Be done."""
        if order.prompt_id not in self.farm[order.where].backend.instance.history.entries:
            self.wronged.add(order.name)
        order.state = "done"
        self.deliver(order, {})


class DeliversTwice(BrokenClient):
    """Says everything twice."""

    earns = "delivered_twice"

    def deliver(self, order: Order, stamp: dict[str, Any]) -> None:
        """And again."""
        self.wronged.add(order.name)
        super().deliver(order, stamp)
        super().deliver(order, stamp)


@dataclass(eq=False)
class DeliversWhatCameLast(BrokenClient):
    """Hands out the picture before this one."""

    earns = "misattributed"
    before: dict[str, Any] = field(default_factory=dict)

    def deliver(self, order: Order, stamp: dict[str, Any]) -> None:
        """Deliver what is at hand."""
        if self.before:
            self.wronged.add(order.name)
        super().deliver(order, self.before or stamp)
        self.before = stamp


class DeliversWithoutLooking(BrokenClient):
    """Takes every 200 for a picture."""

    earns = "broken_delivery"

    def fetched(self, order: Order, is_told: bool, reply: Reply | None) -> None:
        """Deliver whatever has come."""
        if reply is None or reply.status != OK or stamp_in(reply):
            super().fetched(order, is_told, reply)
            return
        self.wronged.add(order.name)
        order.is_asking, order.state = False, "done"
        facts = {"job": order.name, "prompt_id": order.prompt_id, "instance": order.where, "file": order.file}
        self.farm.control("POST", "/api/delivered", json={**facts, "picture": b64encode(reply.body).decode()})


class InsistsOnRefused(BrokenClient):
    """Does not take no for an answer."""

    earns = "resubmitted"

    def refused(self, order: Order, line: Line, reply: Reply) -> None:
        """Try three times."""
        if order.tries > 2:
            order.state = "given up"
            return
        self.wronged.add(order.name)
        self.send_again(order)


class RevivesStopped(BrokenClient):
    """Takes what its user has stopped for something that broke."""

    earns = "resubmitted"

    def stopped(self, order: Order, reply: Reply | None) -> None:
        """Forget that it was told to."""
        super().stopped(order, reply)
        self.wronged.add(order.name)
        order.wish = replace(order.wish, stop_ms=None)


class GivesUpAtOnce(BrokenClient):
    """Knows no second try."""

    earns = "no_retry"
    tells_failures = False

    def turned_away(self, order: Order) -> None:
        """Give up."""
        self.wronged.add(order.name)
        order.state = "given up"


class FailsWithoutAWord(BrokenClient):
    """Drops what was refused, and its user waits for ever."""

    earns = "undelivered"
    tells_failures = False

    def refused(self, order: Order, line: Line, reply: Reply) -> None:
        """Drop it."""
        self.wronged.add(order.name)
        super().refused(order, line, reply)


class SpeaksTooSoon(BrokenClient):
    """Tells its user of a failure at the first setback, and goes on."""

    earns = "contradicted"

    def turned_away(self, order: Order) -> None:
        """Say that it failed."""
        self.wronged.add(order.name)
        self.report(order, "failed")
        super().turned_away(order)


@dataclass(eq=False)
class NeverPauses(BrokenClient):
    """Tries again, and again."""

    earns = "retry_storm"
    pauses: Counter[str] = field(default_factory=Counter)

    def pause(self, order: Order) -> None:
        """Do without."""
        order.not_before_ms = self.now_ms
        self.pauses[order.name] += 1
        if self.pauses[order.name] > 2:
            self.wronged.add(order.name)

    def failed_at(self, line: Line, retry_after: str | None) -> None:
        """Not leave it alone."""
        line.failures += 1


@dataclass(eq=False)
class IgnoresRetryAfter(BrokenClient):
    """Waits as long as it likes."""

    earns = "retry_after_ignored"
    asked_for_ms: dict[str, int] = field(default_factory=dict)

    def failed_at(self, line: Line, retry_after: str | None) -> None:
        """Leave it alone as if it had asked for nothing."""
        if retry_after is not None:
            self.asked_for_ms[line.name] = self.now_ms + int(retry_after) * 1000
        super().failed_at(line, None)

    def send(self, order: Order, line: Line) -> None:
        """Be too early."""
        if self.now_ms < self.asked_for_ms.get(line.name, 0):
            self.wronged.add(order.name)
        super().send(order, line)


class ReadsAllOfHistory(BrokenClient):
    """Asks for the whole of history, every thirty milliseconds for each job."""

    earns = "costly_polls"

    def step(self) -> None:
        """Ask, and ask."""
        super().step()
        for order in self.orders:
            for _ in range(16 if order.state == "there" else 0):
                self.calls.begin(order.where, "GET", "/history", lambda _: None)


class LearnsNothing(BrokenClient):
    """Finds out for each job anew what an instance has not."""

    earns = "ineligible"
    tells_all = False

    def note_lack(self, order: Order, line: Line, model: str) -> None:
        """Remember it for this job alone."""
        self.wronged.add(order.name)
        order.shunned.add(line.name)


@dataclass(eq=False)
class IgnoresDrains(BrokenClient):
    """Was told, and does not care."""

    earns = "sent_to_draining"
    tells_all = False
    drained: set[str] = field(default_factory=set)

    def drain(self, name: str, *, on: bool) -> None:
        """Do nothing about it."""
        (self.drained.add if on else self.drained.discard)(name)

    def send(self, order: Order, line: Line) -> None:
        """Send it there."""
        if line.name in self.drained:
            self.wronged.add(order.name)
        super().send(order, line)


class StopsWhateverRuns(BrokenClient):
    """Interrupts without saying whom."""

    earns = "wrong_cancel"

    def interrupt(self, order: Order, where: str) -> None:
        """Hit anybody."""
        running = self.farm[where].backend.instance.queue.running
        if running is not None and running.name != order.name:
            self.wronged.add(running.name)
        self.calls.begin(where, "POST", "/interrupt", partial(self.stopped, order))


class CarriesPoison(BrokenClient):
    """Never gives up."""

    earns = "poison_carried"

    def lost(self, order: Order) -> None:
        """Try the next instance."""
        if order.kills >= 2:
            self.wronged.add(order.name)
        order.kills += order.has_run
        self.send_again(order)


class FavoursOne(BrokenClient):
    """Sends everything to the first instance first, whether it answers or not."""

    earns = "sent_to_down"
    tells_all = False

    def choose(self, order: Order) -> None:
        """Send it there."""
        if order.tries:
            super().choose(order)
        else:
            self.wronged.add(order.name)
            self.send(order, self.lines["gpu-1"])


class FetchesTheFirstOnly(BrokenClient):
    """Is content when history says that all is well."""

    earns = "orphaned"

    def fetch(self, order: Order, *, is_told: bool) -> None:
        """Leave it there."""
        if any(each.picture for each in self.orders):
            self.wronged.add(order.name)
            order.state = "done"
        else:
            super().fetch(order, is_told=is_told)


@dataclass(eq=False)
class AsksAnotherInstance(BrokenClient):
    """Has a proxy between itself and the farm, which sends a question on to the next instance."""

    earns = "asked_elsewhere"
    has_asked: set[str] = field(default_factory=set)

    def not_queued(self, order: Order) -> None:
        """Ask the wrong one first, and the right one at the next poll."""
        if order.prompt_id in self.has_asked:
            super().not_queued(order)
            return
        self.wronged.add(order.name)
        self.has_asked.add(order.prompt_id)
        other = next(name for name in self.lines if name != order.where)
        order.not_before_ms = self.now_ms + AGAIN_MS
        self.calls.begin(other, "GET", f"/history/{order.prompt_id}", lambda _: None)


class ListensAtOneInstance(BrokenClient):
    """Has one websocket, wherever the proxy has led it."""

    earns = "listened_elsewhere"

    def listened_to(self) -> Iterable[Line]:
        """The first."""
        return [self.lines["gpu-1"]]

    def send(self, order: Order, line: Line) -> None:
        """Expect to hear of it, wherever it runs."""
        if line.name != "gpu-1":
            self.wronged.add(order.name)
        super().send(order, line)


class FeedsWhatFails(BrokenClient):
    """Sends everything to the first instance first, whatever becomes of it there."""

    earns = "failing_server"
    tells_all = False

    def choose(self, order: Order) -> None:
        """Send it there."""
        if order.tries:
            self.send(order, self.lines["gpu-2"])
        else:
            self.wronged.add(order.name)
            self.send(order, self.lines["gpu-1"])


BROKEN: tuple[type[BrokenClient], ...] = tuple(BrokenClient.__subclasses__())
"""All of them."""
