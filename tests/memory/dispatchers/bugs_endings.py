"""Dispatchers with a bug in how they find out what became of a job."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .base import Dispatcher, Job, Node
from .bugs import CALM, bites, faulty, load
from .correct import WebsocketOnly
from .scenes import Scene

BUSY_FARM = Scene(load(9))
ONE_CRASHES = faulty({"do": "crash", "at": "step", "on": "gpu-1", "times": 1, "restart_after": "50ms"})
ONE_FAILS = faulty({"do": "error", "at": "step", "times": 1})
STRANGER_INTERRUPTS = Scene(CALM, scenario=[{"name": "stranger", "step": [{"at": "1100ms", "interrupt": "*"}]}])
SOCKET_CLOSES = faulty({"do": "close", "at": {"phase": "frame", "type": "progress"}, "times": 1})


class ListensOnly(WebsocketOnly):
    """The base of those that listen only, and have no time limit."""

    patience_ms = 10_000_000

    def on_disconnected(self, node: Node) -> None:
        """It connects again."""


@dataclass(eq=False)
class AsksInTurn(Dispatcher):
    """asks the servers in turn what became of a job, and sends it again if one does not know it"""

    turn: int = 0

    def instance_to_ask(self, job: Job) -> str:
        self.turn += 1
        return list(self.nodes)[self.turn % len(self.nodes)]

    def on_absent(self, job: Job) -> None:
        self.send_again(job)


bites(BUSY_FARM)(AsksInTurn)


@bites(BUSY_FARM)
class AsksTheNextServer(Dispatcher):
    """asks the server after the one that has the job"""

    patience_ms = 10_000_000

    def instance_to_ask(self, job: Job) -> str:
        names = list(self.nodes)
        return names[(names.index(job.instance) + 1) % len(names)]

    def on_absent(self, job: Job) -> None:
        job.due_ms = self.now_ms + self.poll_ms


@bites(SOCKET_CLOSES)
class DoneOnClose(Dispatcher):
    """takes the close of a websocket for the end of its job"""

    def on_disconnected(self, node: Node) -> None:
        for job in self.jobs_on(node)[:1]:
            self.deliver(job, b"")


@bites(BUSY_FARM)
class DoneOnAnyExecutingNull(Dispatcher):
    """takes any `executing: null` for the end of all that it has on that server"""

    def on_message(self, node: Node, message: dict[str, Any] | bytes) -> None:
        if isinstance(message, dict) and message["type"] == "executing" and message["data"].get("node") is None:
            for job in self.jobs_on(node):
                self.ask(job, job.instance, self.history_path(job), self.on_end)

    def on_end(self, job: Job, history: dict[str, Any]) -> None:
        if job.prompt_id in history:
            self.on_history(job, history)
        else:
            self.deliver(job, b"")      # no outputs


@bites(ONE_CRASHES)
class DoneWhenTheQueueIsEmpty(Dispatcher):
    """takes a job that is not in the queue for done"""

    def on_history(self, job: Job, history: dict[str, Any]) -> None:
        self.on_success(job, (self.entry_in(job, history) or {}).get("outputs"))

    def fail(self, job: Job, why: str) -> None:
        self.close(job)     # it was done, and the picture has been fetched some day


@bites(faulty({"do": "late", "at": "save", "duration": "3s", "times": 2}))
class DeliversOnExecuted(Dispatcher):
    """delivers whatever it gets as soon as it hears `executed`, before the file is there"""

    def on_job_message(self, job: Job, kind: str, data: dict[str, Any]) -> None:
        if kind == "executed":
            self.on_success(job, {"it": data["output"]})

    def on_fetched(self, job: Job, reply: Any) -> None:
        self.deliver(job, reply.body)


@bites(Scene(CALM))
class DeliversOnLastProgress(Dispatcher):
    """delivers whatever it gets as soon as the last step is done, before the file is there"""

    def on_job_message(self, job: Job, kind: str, data: dict[str, Any]) -> None:
        if kind == "progress" and data["value"] == data["max"]:
            self.on_success(job, None)

    def on_fetched(self, job: Job, reply: Any) -> None:
        self.deliver(job, reply.body)


@bites(Scene(CALM))
class ListensUnderAnotherId(ListensOnly):
    """listens under another client id than it sends"""

    def body(self, job: Job) -> dict[str, Any]:
        return {**super().body(job), "client_id": f"{self.client_id}-{job.order.name}"}


@bites(Scene(CALM))
class ListensToTheFirstServer(ListensOnly):
    """listens to the first server only"""

    def listen(self) -> None:
        node = self.nodes["gpu-1"]
        for message in node.socket.read():
            self.on_message(node, message)
        node.socket.open()


@bites(faulty({"do": "gap", "at": {"phase": "frame", "type": "execution_success"}, "duration": "2s", "times": 1}))
class MissesWhatComesWhileItReconnects(ListensOnly):
    """asks nothing after its websocket was lost, and misses the end of a job"""


@bites(faulty({"do": "mute", "at": {"phase": "frame", "type": "execution_start"}, "on": "gpu-1"}))
class TrustsAMuteWebsocket(ListensOnly):
    """waits for ever at a websocket that is open and silent"""


@bites(faulty({"do": "evict", "at": "history", "lives": "0s", "times": 2}))
class DropsEvicted(Dispatcher):
    """takes a job without an entry in history for one that somebody deleted"""

    def on_job_message(self, job: Job, kind: str, data: dict[str, Any]) -> None:
        """It polls only."""

    def on_absent(self, job: Job) -> None:
        self.close(job)


@bites(STRANGER_INTERRUPTS)
class ForgetsInterrupted(Dispatcher):
    """forgets a job that somebody interrupted"""

    def on_failure(self, job: Job, entry: dict[str, Any]) -> None:
        self.close(job)


@bites(ONE_FAILS)
class ForgetsFailed(Dispatcher):
    """forgets a job that ended in an error, and tells nobody"""

    def on_failure(self, job: Job, entry: dict[str, Any]) -> None:
        self.close(job)


@bites(ONE_FAILS)
class WaitsForSuccessOnly(ListensOnly):
    """waits for `execution_success`, and does not know `execution_error`"""

    def on_failure(self, job: Job, entry: dict[str, Any]) -> None:
        """It waits."""


@bites(ONE_CRASHES)
class NeverRetriesAfterACrash(Dispatcher):
    """drops the jobs of a server that crashed"""

    def on_lost(self, job: Job) -> None:
        self.close(job)


@bites(faulty({"do": "crash", "at": {"phase": "step", "job": "*"}, "restart_after": "1s"}, orders=load(2)))
class CarriesPoison(Dispatcher):
    """sends a job again that has killed every server that ran it"""

    most_tries = 10_000
    patience_ms = 10_000_000

    def on_lost(self, job: Job) -> None:
        self.send_again(job)


@dataclass(eq=False)
class LosesOneOfTwo(Dispatcher):
    """keeps one finished job for each moment, and loses the other of two"""

    finished: dict[int, Job] = field(default_factory=dict)

    def on_success(self, job: Job, outputs: Any) -> None:
        other = self.finished.get(self.now_ms)
        self.finished[self.now_ms] = job
        if other is None:
            super().on_success(job, outputs)
        else:
            self.close(job)


bites(Scene(load(6, every_ms=0)))(LosesOneOfTwo)


@bites(Scene(load(6)))
class ReadsTheLatestEntry(Dispatcher):
    """reads the latest entry of history, whosever it is"""

    listens = False
    poll_ms = 6_000

    def history_path(self, job: Job) -> str:
        return "/history?max_items=1"

    def entry_in(self, job: Job, history: dict[str, Any]) -> dict[str, Any] | None:
        return next(iter(history.values()), None)


@bites(Scene(load(9, every_ms=500)))
class ClearsHistory(Dispatcher):
    """clears a server's whole history after each job, and sends again what it misses then"""

    listens = False
    poll_ms = 6_000

    def close(self, job: Job) -> None:
        super().close(job)
        self.wire.begin(job.instance, "POST", "/history", lambda _: None, {"clear": True})

    def on_absent(self, job: Job) -> None:
        self.send_again(job)


@dataclass(eq=False)
class TakesCachedForDone(Dispatcher):
    """takes `execution_cached` for the end of a job, and delivers the picture of the one before"""

    latest: dict[str, bytes] = field(default_factory=dict)

    def on_job_message(self, job: Job, kind: str, data: dict[str, Any]) -> None:
        if kind == "execution_cached" and data.get("nodes") and job.instance in self.latest:
            self.deliver(job, self.latest[job.instance])

    def deliver(self, job: Job, picture: bytes) -> None:
        self.latest[job.instance] = picture
        super().deliver(job, picture)


bites(Scene(load(9), settings={"cache": "ram"}))(TakesCachedForDone)


@bites(faulty({"do": "slow", "factor": 10, "at": "start", "times": 1}))
class TellsFailedAndDelivers(Dispatcher):
    """tells its user after eight seconds that a job failed, and delivers it later"""

    patience_ms = 8_000

    def run_out(self, job: Job) -> None:
        self.users.tell_failed(job.order, "timed out")
        job.asked_ms += 1_000_000       # the job stays in the list


@bites(faulty({"do": "slow", "factor": 20, "at": "start", "times": 1}))
class SendsAgainWhatIsSlow(Dispatcher):
    """sends a job again that takes longer than eight seconds, and lets the first run on"""

    def poll(self, job: Job) -> None:
        if self.now_ms - job.since_ms > 8_000 and job.tries < 2:
            self.send_again(job)
        else:
            super().poll(job)


@bites(faulty({"do": "crash", "at": "step", "on": "gpu-1", "times": 1, "restart_after": "50ms",
               "keep": ["queue", "history"]}))
class SendsAllAgainAfterARestart(Dispatcher):
    """sends all jobs of a server again after its restart, without a look at its queue"""

    def on_disconnected(self, node: Node) -> None:
        for job in self.jobs_on(node):
            self.send_again(job)


