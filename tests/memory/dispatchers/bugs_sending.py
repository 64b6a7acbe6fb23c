"""Dispatchers with a bug in how they send."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any

from comfyfarm.testing.memory_client import Reply
from tests.memory.clients.answers import object_in
from tests.memory.clients.calls import REFUSED

from .base import Dispatcher, Job, Node
from .bugs import CALM, REPLY_TO_PROMPT, bites, faulty, load
from .orders import COMMON, Order
from .scenes import Scene

LATE_ANSWERS = faulty({"do": "delay", "at": REPLY_TO_PROMPT, "duration": "9s", "times": 2})
CUT_ANSWERS = faulty({"do": "reset", "at": REPLY_TO_PROMPT, "times": 2})
BUSY = faulty({"do": "status", "status": 503, "at": "submit", "times": 3})
ALWAYS_BUSY = faulty({"do": "status", "status": 503, "at": "submit"}, orders=load(2))
WRONG = replace(CALM[2], is_valid=False)
ONE_IS_WRONG = Scene([*CALM[:2], WRONG, *CALM[3:]])
HEAVY = Scene(load(18, steps=8))
RARE_MODEL = Scene(
    [*CALM[:2], replace(CALM[2], model="rare.safetensors"), *CALM[3:]],
    own={"gpu-3": {"models": {"checkpoints": [COMMON, "rare.safetensors"]}}},
)


@bites(LATE_ANSWERS)
class SendsAgainAfterTimeout(Dispatcher):
    """sends a job again if the answer does not come in time"""

    def on_no_answer(self, job: Job, node: Node) -> None:
        self.send_again(job)


@bites(LATE_ANSWERS)
class SendsTheSameIdAgain(Dispatcher):
    """sends a job again under the same prompt id"""

    def new_id(self, job: Job) -> str:
        return job.prompt_id or super().new_id(job)

    def on_no_answer(self, job: Job, node: Node) -> None:
        self.send_again(job)


@bites(faulty({"do": "status", "status": 502, "like": "proxy", "at": REPLY_TO_PROMPT, "times": 2}))
class BelievesTheProxy(Dispatcher):
    """takes a proxy's 502 for a refusal, and sends the job again"""

    def on_error_status(self, job: Job, node: Node, reply: Reply) -> None:
        self.send_again(job)


@bites(faulty({"do": "status", "status": 500, "at": "submit", "times": 1}))
class LosesOn500(Dispatcher):
    """forgets a job whose submission was answered with 500"""

    def on_error_status(self, job: Job, node: Node, reply: Reply) -> None:
        self.close(job)


@bites(CUT_ANSWERS)
class LosesOnClosedConnection(Dispatcher):
    """forgets a job if the connection breaks while it is sent"""

    def on_no_answer(self, job: Job, node: Node) -> None:
        self.close(job)


@bites(faulty({"do": "refuse", "at": "process", "on": "gpu-1", "duration": "4s"}))
class LosesOnRefusedConnection(Dispatcher):
    """forgets a job if nobody listens at the port"""

    def on_refused_connection(self, job: Job, node: Node) -> None:
        self.close(job)


@bites(faulty({"do": "garbage", "at": REPLY_TO_PROMPT, "times": 2}))
class AcceptsGarbledAnswers(Dispatcher):
    """takes an unreadable 200 for an acceptance, and has no prompt id to ask for"""

    def on_accepted(self, job: Job, reply: Reply) -> None:
        job.prompt_id = (object_in(reply) or {}).get("prompt_id", "unknown")
        self.enter(job, "sent")

    def run_out(self, job: Job) -> None:
        """It sees a job that was sent, and waits."""

    def on_absent(self, job: Job) -> None:
        job.due_ms = self.now_ms + self.poll_ms


@bites(ALWAYS_BUSY)
class GivesUpSilently(Dispatcher):
    """gives up after three tries, and tells nobody"""

    def send_again(self, job: Job) -> None:
        if job.tries >= 3:
            self.close(job)
        else:
            super().send_again(job)


@bites(ONE_IS_WRONG)
class GivesUpOn400Silently(Dispatcher):
    """drops what was refused with 400, and tells nobody"""

    def on_bad_request(self, job: Job, node: Node, reply: Reply) -> None:
        self.close(job)


@bites(ONE_IS_WRONG)
class RetriesOn400(Dispatcher):
    """sends again what was refused with 400, as after any other status"""

    def on_bad_request(self, job: Job, node: Node, reply: Reply) -> None:
        self.send_again(job)


@bites(ALWAYS_BUSY)
class RetriesForEver(Dispatcher):
    """sends a job again for ever"""

    most_tries = 10_000
    patience_ms = 10_000_000

    def backoff_ms(self, tries: int) -> int:
        return 500


@bites(BUSY)
class RetriesWithoutBackoff(Dispatcher):
    """sends again at once whatever failed"""

    def on_error_status(self, job: Job, node: Node, reply: Reply) -> None:
        self.send_again(job)

    def backoff_ms(self, tries: int) -> int:
        return 0


@bites(faulty({"do": "status", "status": 503, "retry_after": "15s", "at": "submit", "times": 1}))
class IgnoresRetryAfter(Dispatcher):
    """does not read Retry-After"""

    def rest(self, node: Node, retry_after: str | None) -> None:
        super().rest(node, None)


@bites(Scene(load(8)))
class NeverSendsSome(Dispatcher):
    """never sends every seventh order"""

    def waiting(self) -> list[Job]:
        return [job for job in super().waiting() if (self.jobs.index(job) + 1) % 7]

    def run_out(self, job: Job) -> None:
        if (self.jobs.index(job) + 1) % 7:
            super().run_out(job)


@dataclass(eq=False)
class DropsWhenFull(Dispatcher):
    """has a queue of at most four jobs that drops the oldest"""

    queue: deque[Job] = field(default_factory=lambda: deque(maxlen=4))

    def add(self, order: Order) -> None:
        super().add(order)
        self.queue.append(self.jobs[-1])
        self.jobs = [job for job in self.jobs if job.state != "waiting" or job in self.queue]


bites(Scene(load(14, every_ms=0)))(DropsWhenFull)


@bites(Scene([*load(3), *(replace(order, at_ms=1000) for order in load(9)[3:])]))
class SendsTheLastOrdersPrompt(Dispatcher):
    """builds the body from the order that came last, not from its own"""

    def body(self, job: Job) -> dict[str, Any]:
        return {**super().body(self.jobs[-1]), "prompt_id": job.prompt_id}


@bites(Scene(load(12), drains={"gpu-1": 1_000}))
class SendsToDraining(Dispatcher):
    """sends to a server that is to be drained"""

    def drain(self, instance: str, *, on: bool) -> None:
        pass


@bites(RARE_MODEL)
class InsistsOnTheWrongServer(Dispatcher):
    """sends a job for ever to a server that lacks the model"""

    most_tries = 10_000
    patience_ms = 10_000_000

    def choose(self, job: Job, nodes: list[Node]) -> Node:
        return self.nodes["gpu-1"] if job.order.model != COMMON else super().choose(job, nodes)

    def on_bad_request(self, job: Job, node: Node, reply: Reply) -> None:
        self.send_again(job)


@bites(HEAVY)
class UsesTheFirstServerOnly(Dispatcher):
    """sends everything to the first server"""

    patience_ms = 10_000_000

    def is_able(self, node: Node, job: Job) -> bool:
        return node.name == "gpu-1" and super().is_able(node, job)


@bites(HEAVY)
class OneAtATime(Dispatcher):
    """has one job under way at a time, in the whole farm"""

    patience_ms = 10_000_000

    def is_able(self, node: Node, job: Job) -> bool:
        return not any(map(self.load, self.nodes.values()))


@bites(Scene([replace(order, priority=n % 3) for n, order in enumerate(CALM)]))
class StarvesAClass(Dispatcher):
    """never serves the lowest priority: it takes 0 for none"""

    patience_ms = 10_000_000

    def waiting(self) -> list[Job]:
        return [job for job in super().waiting() if job.order.priority]


@bites(Scene(CALM))
class NeverAsksNorListens(Dispatcher):
    """sends, and never looks what became of it"""

    listens = polls = False

    def run_out(self, job: Job) -> None:
        self.close(job)


@bites(faulty({"do": "crash", "at": "process", "on": "gpu-1"}, orders=load(12)))
class KeepsOnSendingToTheDead(Dispatcher):
    """sends to a dead server first, and drops a job after three refused connections"""

    def choose(self, job: Job, nodes: list[Node]) -> Node:
        return nodes[0]

    def rest(self, node: Node, retry_after: str | None) -> None:
        """It learns nothing."""

    def on_refused_connection(self, job: Job, node: Node) -> None:
        if job.tries >= 3:
            self.close(job)
        else:
            self.send_again(job)


@bites(CUT_ANSWERS)
class HoldsTheLineForEver(Dispatcher):
    """waits without end for an answer that never comes"""

    def on_reply(self, job: Job, node: Node, reply: Reply | None) -> None:
        if reply is not None or reply is REFUSED:
            super().on_reply(job, node, reply)


