"""A client that does everything right, of a whole farm in memory."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from http.client import OK
from json import dumps
from typing import Any, ClassVar

from comfyfarm.testing.memory_client import Reply

from .answers import object_in, stamp_in
from .calls import REFUSED
from .lines import Line
from .sending import AGAIN_MS, CLIENT_ID, POLL_MS, SendingClient
from .wish import Order

__all__ = ["PerfectClient"]

DEAD_MS = 12_000        # who refuses connections for so long, and says nothing over its websocket, is dead
MOST_FAILURES, MOST_KILLS = 3, 2


@dataclass(eq=False)
class PerfectClient(SendingClient):
    """Sends each job to an instance, finds out what becomes of it, and delivers its picture once.

    It has an id of its own for each attempt, asks before it sends again, and waits before it does.

    :cvar tells_failures: users whose job failed are told so.
    """

    tells_failures: ClassVar[bool] = True

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do."""
        return all(each.is_over for each in self.orders)

    def step(self) -> None:
        """Do what can be done now."""
        for order in self.orders:
            if self.now_ms >= order.wish.at_ms and not order.reported:
                self.report(order, "asked")
        self.send_and_listen()
        for order in self.orders:
            if order.state == "given up" and order.is_over and order.reported == "asked" and self.tells_failures:
                self.report(order, "withdrawn" if order.is_stopped else "failed")

    def report(self, order: Order, state: str) -> None:
        """Tell the farm what the user knows."""
        order.reported = state
        reply = self.farm.control("POST", "/api/orders", json={"orders": [{"job": order.name, "state": state}]})
        assert reply.status == OK, reply.body

    def send_and_listen(self) -> None:
        """Send, ask and listen until nothing new comes."""
        is_new = True
        while is_new:
            for line in self.listened_to():
                for message in line.hear(self.farm, CLIENT_ID):
                    self.heard(line, message)
            for order in self.orders:
                self.care(order)
            self.farm.advance(0)
            is_new = self.calls.finish()

    def listened_to(self) -> Iterable[Line]:
        """The instances at which it has a websocket."""
        return self.lines.values()

    def drain(self, name: str, *, on: bool) -> None:
        """Be told to send an instance no new work, or some again."""
        self.lines[name].is_draining = on

    def heard(self, line: Line, message: dict[str, Any]) -> None:
        """Take a message of a websocket as a reason to ask."""
        data = message.get("data") or {}
        for order in self.orders:
            if order.where == line.name and order.prompt_id == data.get("prompt_id") and order.state != "sending":
                order.has_run = True
                order.has_succeeded = order.has_succeeded or message["type"] == "execution_success"
                if message["type"] in {"execution_success", "execution_error", "execution_interrupted"}:
                    order.not_before_ms = min(order.not_before_ms, self.now_ms)

    def care(self, order: Order) -> None:
        """Take the next step with an order."""
        self.look_for_stop(order)
        if order.is_over or order.state == "sending" or order.is_asking or self.now_ms < order.not_before_ms:
            return
        if order.is_stopped and not order.stop_is_told:
            self.stop(order)
        elif order.state == "waiting":
            self.choose(order)
        else:
            self.ask(order)

    def look_for_stop(self, order: Order) -> None:
        """Has its user lost interest?  What was never sent is then simply left."""
        was_stopped, stop_ms = order.is_stopped, order.wish.stop_ms
        order.is_stopped = stop_ms is not None and self.now_ms >= stop_ms
        if order.is_stopped and not was_stopped:
            order.not_before_ms = self.now_ms
            if not order.tries:
                order.state, order.stop_is_told = "given up", True

    # To find out.

    def ask(self, order: Order) -> None:
        """Ask the instance whether it has the job."""
        order.is_asking = True
        self.calls.begin(order.where, "GET", "/queue", partial(self.queue_told, order))

    def queue_told(self, order: Order, reply: Reply | None) -> None:
        """Wait, where it is in the queue."""
        order.is_asking = False
        told = object_in(reply)
        if told is None:
            self.told_nothing(order, reply)
            return
        order.unreachable_ms = None
        running, pending = ([job[1] for job in told[key]] for key in ("queue_running", "queue_pending"))
        if order.prompt_id in (*running, *pending):
            order.has_run = order.has_run or order.prompt_id in running
            order.state, order.not_before_ms = "there", self.now_ms + POLL_MS
        else:
            self.not_queued(order)

    def told_nothing(self, order: Order, reply: Reply | None) -> None:
        """Ask again; who refuses connections for too long, and says nothing, is dead, and the job with it."""
        order.not_before_ms = self.now_ms + AGAIN_MS
        is_gone = reply is REFUSED and not self.lines[order.where].is_heard
        if not is_gone:
            order.unreachable_ms = None
        elif order.unreachable_ms is None:
            order.unreachable_ms = self.now_ms
        elif self.now_ms - order.unreachable_ms >= DEAD_MS and not order.has_succeeded:
            self.lost(order)

    def not_queued(self, order: Order) -> None:
        """Ask what became of it."""
        order.is_asking = True
        self.calls.begin(order.where, "GET", f"/history/{order.prompt_id}", partial(self.history_told, order))

    def history_told(self, order: Order, reply: Reply | None) -> None:
        """Fetch what it made, or look whether it made something where history knows nothing of it."""
        order.is_asking = False
        told = object_in(reply)
        if told is None:
            self.told_nothing(order, reply)
            return
        entry = told.get(order.prompt_id)
        if entry is None or entry["status"]["status_str"] == "success":
            self.fetch(order, is_told=entry is not None)
        else:
            self.broke(order)

    def broke(self, order: Order) -> None:
        """A node raised, or it was stopped: try again, a few times."""
        order.failures += 1
        if not order.is_stopped:
            self.note_break(self.lines[order.where])
        if order.is_stopped or order.failures >= MOST_FAILURES:
            order.state = "given up"
        else:
            self.send_again(order)

    def note_break(self, line: Line) -> None:
        """Remember that a job failed there."""
        line.breaks += 1

    def lost(self, order: Order) -> None:
        """The instance knows nothing of it: it was never taken on, or went down with its process."""
        order.kills += order.has_run
        if order.is_stopped or order.kills >= MOST_KILLS:
            order.state = "given up"
        else:
            self.send_again(order)

    # To deliver.

    def fetch(self, order: Order, *, is_told: bool) -> None:
        """Get the picture.

        :param is_told: history says that there is one.
        """
        order.is_asking = True
        then = partial(self.fetched, order, is_told)
        self.calls.begin(order.where, "GET", f"/view?filename={order.file}&type=output", then)

    def fetched(self, order: Order, is_told: bool, reply: Reply | None) -> None:
        """Deliver the picture, if it is the right one."""
        order.is_asking = False
        order.not_before_ms = self.now_ms + AGAIN_MS
        stamp = stamp_in(reply)
        if stamp.get("prompt_id") == order.prompt_id and reply is not None:
            order.picture, order.state = reply.body, "done"
            self.lines[order.where].breaks = 0
            self.deliver(order, stamp)
        elif reply is not None and reply.status == 404 and not (is_told or order.has_succeeded):
            self.lost(order)

    def deliver(self, order: Order, stamp: dict[str, Any]) -> None:
        """Say that the user has it."""
        said = {"job": order.name, "prompt_id": order.prompt_id, "instance": order.where, "file": order.file}
        shown = {"stamp": dumps(stamp)} if stamp else {}
        if stamp.get("prompt_id") == order.prompt_id:
            shown = {"picture": b64encode(order.picture).decode()}
        reply = self.farm.control("POST", "/api/delivered", json={**said, **shown})
        assert reply.status == OK, reply.body

    # To stop.

    def stop(self, order: Order) -> None:
        """Have it stopped or taken out; any instance may be told that its user wants it no more."""
        line = self.lines[order.where]
        where = order.where if line.is_heard else next((n for n, each in self.lines.items() if each.is_heard), None)
        order.not_before_ms = self.now_ms + AGAIN_MS
        if where is not None:
            order.is_asking = True
            self.interrupt(order, where)
            self.calls.begin(where, "POST", "/queue", lambda _: None, {"delete": [order.prompt_id]})

    def interrupt(self, order: Order, where: str) -> None:
        """Stop it where it runs, and nothing else."""
        headers = {"X-Comfyfarm-Job": order.name}
        body = {"prompt_id": order.prompt_id}
        self.calls.begin(where, "POST", "/interrupt", partial(self.stopped, order), body, headers)

    def stopped(self, order: Order, reply: Reply | None) -> None:
        """Know that it is stopped, once an instance has said so."""
        order.is_asking = False
        order.stop_is_told = reply is not None and reply.status == OK
        if order.state == "waiting" and order.stop_is_told:
            order.state = "given up"
