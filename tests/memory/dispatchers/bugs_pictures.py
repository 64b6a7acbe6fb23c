"""Dispatchers with a bug in what they hand to their users, in what they tell them, and in how they stop jobs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from comfyfarm.testing.memory_client import Reply

from .base import Dispatcher, Job, Node
from .bugs import CALM, bites, faulty, load
from .orders import Order
from .scenes import Scene

ONE_IS_CUT = faulty({"do": "truncate", "share": 0.5, "at": "view", "times": 1})
ONE_VIEW_FAILS = faulty({"do": "status", "status": 500, "at": "view", "times": 1})
LONG = load(9, steps=6)
WITHDRAWN = Scene([*LONG[:4], replace(LONG[4], withdraw_ms=2_000), *LONG[5:]])
WITHDRAWN_RUNNING = Scene([replace(LONG[0], withdraw_ms=1_500), *LONG[1:]])
WITHDRAWN_EARLY = Scene([*LONG[:8], replace(LONG[8], withdraw_ms=2_250)])


class SameNames(Dispatcher):
    """The base of those whose files are all called alike."""

    def prefix(self, job: Job) -> str:
        return "ComfyUI"


@bites(Scene(CALM))
class FetchesFromTheFirstServer(SameNames):
    """fetches every picture from the first server"""

    def instance_to_fetch_from(self, job: Job) -> str:
        return "gpu-1"


@bites(ONE_IS_CUT)
class DeliversHalf(Dispatcher):
    """delivers a picture that was cut short"""

    def is_right(self, job: Job, body: bytes) -> bool:
        return True


@bites(ONE_VIEW_FAILS)
class DeliversAnErrorPage(Dispatcher):
    """delivers the body of any answer, an error page too"""

    def on_fetched(self, job: Job, reply: Reply | None) -> None:
        self.deliver(job, reply.body if reply else b"")


@bites(faulty({"do": "hang", "at": "view", "times": 1}))
class DeliversNothing(Dispatcher):
    """delivers an empty body if the picture does not come in time"""

    def on_fetched(self, job: Job, reply: Reply | None) -> None:
        if reply is None:
            self.deliver(job, b"")
        else:
            super().on_fetched(job, reply)


@bites(faulty({"do": "late", "at": "save", "duration": "3s", "times": 1}))
class FetchesOnce(Dispatcher):
    """forgets a job whose picture is not there at the first look"""

    def on_fetched(self, job: Job, reply: Reply | None) -> None:
        if reply is not None and reply.status == 404:
            self.close(job)
        else:
            super().on_fetched(job, reply)


@dataclass(eq=False)
class DeliversThePreview(Dispatcher):
    """delivers the latest preview that came over the websocket"""

    latest: dict[str, bytes] = field(default_factory=dict)

    def on_message(self, node: Node, message: dict[str, Any] | bytes) -> None:
        if isinstance(message, bytes):
            self.latest[node.name] = message[8:]
        else:
            super().on_message(node, message)

    def on_success(self, job: Job, outputs: Any) -> None:
        self.deliver(job, self.latest.get(job.instance, b""))


bites(Scene(CALM, settings={"preview_method": "latent2rgb"}))(DeliversThePreview)


@dataclass(eq=False)
class CachesByText(Dispatcher):
    """keeps pictures by the text of the prompt, and delivers an old one for another seed"""

    pictures: dict[str, bytes] = field(default_factory=dict)

    def add(self, order: Order) -> None:
        super().add(order)
        if order.text in self.pictures:
            self.deliver(self.jobs[-1], self.pictures[order.text])

    def deliver(self, job: Job, picture: bytes) -> None:
        self.pictures[job.order.text] = picture
        super().deliver(job, picture)


bites(Scene(load(6, every_ms=1_000)))(CachesByText)


@bites(faulty({"do": "same_name", "skip": 1, "at": "save", "on": "gpu-1", "times": 1}))
class FetchesLate(SameNames):
    """fetches pictures a while after their jobs, when another has the file's name"""

    def on_success(self, job: Job, outputs: Any) -> None:
        super().on_success(job, outputs)
        job.due_ms = self.now_ms + 5_000


@bites(Scene(CALM))
class DeliversTwice(Dispatcher):
    """delivers every result twice"""

    def deliver(self, job: Job, picture: bytes) -> None:
        self.users.deliver(job.order, picture)
        super().deliver(job, picture)


@dataclass(eq=False)
class SwapsTwo(Dispatcher):
    """hands the results out in the order of the orders, not to those whose they are"""

    turn: int = 0

    def deliver(self, job: Job, picture: bytes) -> None:
        self.users.deliver(self.jobs[self.turn].order, picture)
        self.turn += 1
        self.close(job)


bites(Scene([replace(CALM[0], steps=6), *CALM[1:]]))(SwapsTwo)


@bites(Scene(CALM))
class TellsFailedAlthoughDelivered(Dispatcher):
    """tells a user that a job failed that was delivered before, when it tidies up"""

    def deliver(self, job: Job, picture: bytes) -> None:
        self.users.deliver(job.order, picture)
        self.fail(job, "timed out")


@bites(WITHDRAWN)
class ForgetsCancelled(Dispatcher):
    """sends what was withdrawn while it waited"""

    depth = 1

    def withdraw(self, order: Order) -> None:
        """It looks at this only when it sends, and forgets to."""


@bites(WITHDRAWN_EARLY)
class InterruptsWhateverRuns(Dispatcher):
    """stops a waiting job by an interrupt without a prompt id"""

    depth = 4

    def stopping_requests(self, job: Job) -> Iterable[tuple[str, dict[str, Any]]]:
        yield "/interrupt", {}


@bites(WITHDRAWN_EARLY)
class ForgetsWhomItInterrupts(InterruptsWhateverRuns):
    """stops a waiting job by an interrupt without a prompt id, and forgets the one that it hit"""

    def on_failure(self, job: Job, entry: dict[str, Any]) -> None:
        self.close(job)


@dataclass(eq=False)
class DeletesTheWrongEntry(Dispatcher):
    """deletes the first entry of the queue, not that of the job that was withdrawn"""

    depth = 4

    def stopping_requests(self, job: Job) -> Iterable[tuple[str, dict[str, Any]]]:
        others = [other for other in self.jobs if other.instance == job.instance and other.state == "sent"]
        yield "/queue", {"delete": [other.prompt_id for other in others[1:2]]}

    def on_absent(self, job: Job) -> None:
        self.close(job)     # it was deleted, as it was to be


bites(WITHDRAWN_EARLY)(DeletesTheWrongEntry)


@bites(WITHDRAWN_EARLY)
class ClearsTheQueue(Dispatcher):
    """clears a server's whole queue to take out one job, and forgets the others"""

    depth = 4

    def stopping_requests(self, job: Job) -> Iterable[tuple[str, dict[str, Any]]]:
        yield "/queue", {"clear": True}

    def on_absent(self, job: Job) -> None:
        self.close(job)


@bites(WITHDRAWN_RUNNING)
class SendsTheCancelledAgain(Dispatcher):
    """takes a job that its own user has stopped for one that failed, and sends it again"""

    def cancel(self, job: Job) -> None:
        job.is_cancelled = False
        self.stop(job)

    def deliver(self, job: Job, picture: bytes) -> None:
        if self.users.users[job.order.name].withdrew_ms is None:
            super().deliver(job, picture)
        else:
            self.close(job)
