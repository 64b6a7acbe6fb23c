"""A small dispatcher for a farm, as most authors write theirs; its subclasses override the methods that they need."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from http.client import NOT_FOUND, OK
from random import Random
from typing import Any, Literal
from urllib.parse import urlencode

from comfyfarm.seeds import new_uuid
from comfyfarm.testing import MemoryFarm
from comfyfarm.testing.memory_client import Reply
from tests.memory.clients.answers import lacking_in, object_in
from tests.memory.clients.calls import REFUSED

from .orders import Order, Users
from .pictures import is_whole, seed_in
from .wire import Socket, Wire

MOST_ROUNDS = 50    # at one moment

State = Literal["waiting", "sending", "unsure", "sent", "done", "over"]


@dataclass(eq=False)
class Job:
    """An order in the hands of a dispatcher.

    :ivar state: ``unsure``: it was sent, and the answer does not say what became of it; ``sent``: it was accepted;
        ``done``: it succeeded; ``over``: nothing is left to do.
    :ivar instance: the one that it was sent to last, as ``prompt_id``.
    :ivar since_ms: when its state became what it is.
    :ivar due_ms: until then nothing is done for it.
    :ivar failures: of its runs.
    :ivar losses: how often the websocket of its instance had been lost when it was sent.
    :ivar is_busy: a request about it is under way.
    :ivar image: the file of its picture, as ComfyUI names it.
    :ivar absent_ms: since when its instance knows nothing of it; ``None``: it does.
    """

    order: Order
    asked_ms: int
    state: State = "waiting"
    instance: str = ""
    prompt_id: str = ""
    tries: int = 0
    since_ms: int = 0
    due_ms: int = 0
    failures: int = 0
    fetches: int = 0
    losses: int = 0
    is_busy: bool = False
    is_cancelled: bool = False
    image: dict[str, str] = field(default_factory=dict)
    absent_ms: int | None = None


@dataclass(eq=False)
class Node:
    """An instance, as a dispatcher knows it.

    :ivar due_ms: until then it gets no new work.
    :ivar failures: failed submissions in a row.
    :ivar lacks: the models that it does not have.
    :ivar losses: how often it was seen to be down.
    """

    name: str
    socket: Socket
    due_ms: int = 0
    failures: int = 0
    lacks: set[str] = field(default_factory=set)
    is_draining: bool = False
    is_down: bool = False
    losses: int = 0


@dataclass(eq=False)
class Dispatcher:
    """Keeps a queue of its own, sends each job to the least busy instance, listens, and asks for what it did not hear.

    It chooses prompt ids itself, and sends a job again only if it is certain that no instance has it; what it cannot
    find out, it reports as failed.
    """

    depth = 2
    polls = True
    listens = True
    client_id = "dispatcher"
    poll_ms = 1_000
    most_tries = 6
    most_failures = 3
    patience_ms = 30_000
    absence_ms = 10_000

    farm: MemoryFarm
    users: Users
    chance: Random = field(default_factory=lambda: Random(0))
    jobs: list[Job] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.wire = Wire(self.farm)
        names = list(self.farm.farm.backends)
        self.nodes = {name: Node(name, Socket(self.farm, name, self.client_id)) for name in names}

    @property
    def now_ms(self) -> int:
        return self.farm.farm.time.now_ms()

    # What the test calls.

    def add(self, order: Order) -> None:
        """Take an order."""
        self.jobs.append(Job(order, self.now_ms))

    def drain(self, instance: str, *, on: bool) -> None:
        self.nodes[instance].is_draining = on

    def withdraw(self, order: Order) -> None:
        """Take note that the user of an order wants it no more."""
        for job in self.jobs:
            if job.order is order and job.state == "waiting":
                self.close(job)
            elif job.order is order and job.state != "over":
                job.is_cancelled, job.due_ms = True, self.now_ms

    def step(self) -> None:
        """Do what can be done now."""
        for _ in range(MOST_ROUNDS):
            self.listen()
            for job in self.jobs:
                if job.state != "over" and not job.is_busy:
                    self.advance(job)
            self.place()
            self.farm.advance(0)
            if not self.wire.finish():
                break

    # To send.

    def place(self) -> None:
        """Send what waits, as far as there is room."""
        for job in self.waiting():
            nodes = [node for node in self.nodes.values() if self.is_able(node, job)]
            if nodes and self.now_ms >= job.due_ms:
                self.send(job, self.choose(job, nodes))

    def waiting(self) -> list[Job]:
        """Return the jobs that wait, in the order in which they are to be sent."""
        waiting = [job for job in self.jobs if job.state == "waiting"]
        return sorted(waiting, key=lambda job: -job.order.priority)

    def is_able(self, node: Node, job: Job) -> bool:
        """Return whether an instance may get a job now."""
        is_fit = job.order.model not in node.lacks and not node.is_draining
        return is_fit and self.now_ms >= node.due_ms and self.load(node) < self.depth

    def choose(self, job: Job, nodes: list[Node]) -> Node:
        """Return the instance that gets a job; ``nodes`` is not empty."""
        return min(nodes, key=lambda node: (self.load(node), node.failures))

    def load(self, node: Node) -> int:
        return sum(job.instance == node.name for job in self.jobs if job.state in {"sending", "unsure", "sent"})

    def send(self, job: Job, node: Node) -> None:
        job.tries += 1
        job.instance, job.prompt_id, job.image, job.absent_ms = node.name, self.new_id(job), {}, None
        job.losses = node.losses + node.socket.losses
        self.enter(job, "sending")
        job.is_busy = True
        self.wire.submit(job.order.name, node.name, self.body(job), partial(self.on_reply, job, node))

    def new_id(self, job: Job) -> str:
        return str(new_uuid(self.chance))

    def prefix(self, job: Job) -> str:
        """Return the beginning of the name of a job's file, other for each attempt."""
        return f"{job.order.name}-{job.tries}"

    def body(self, job: Job) -> dict[str, Any]:
        name = {"extra_data": {"comfyfarm_job": job.order.name}} if self.users.reports.has_names else {}
        prompt = job.order.prompt(self.prefix(job))
        return {"prompt": prompt, "prompt_id": job.prompt_id, "client_id": self.client_id, **name}

    def on_reply(self, job: Job, node: Node, reply: Reply | None) -> None:
        """Handle the answer to a submission; ``None``: there was none that can be read."""
        job.is_busy = False
        if reply is REFUSED:
            self.on_down(node)
            self.on_refused_connection(job, node)
        elif reply is None:
            self.rest(node, None)
            self.on_no_answer(job, node)
        elif reply.status == OK:
            node.failures = 0
            self.on_accepted(job, reply)
        elif reply.status in {400, 413}:
            node.failures = 0
            self.on_bad_request(job, node, reply)
        else:
            self.rest(node, reply.headers.get("retry-after"))
            self.on_error_status(job, node, reply)

    def on_refused_connection(self, job: Job, node: Node) -> None:
        self.rest(node, None)
        self.send_again(job)

    def on_no_answer(self, job: Job, node: Node) -> None:
        self.enter(job, "unsure")

    def on_accepted(self, job: Job, reply: Reply) -> None:
        self.enter(job, "sent" if object_in(reply) else "unsure")

    def on_error_status(self, job: Job, node: Node, reply: Reply) -> None:
        self.enter(job, "unsure")   # a proxy may have said it after the job was accepted

    def on_bad_request(self, job: Job, node: Node, reply: Reply) -> None:
        model = lacking_in(reply) if reply.status == 400 else ""
        if model and model == job.order.model:
            node.lacks.add(model)
            self.enter(job, "waiting")
            if all(model in node.lacks for node in self.nodes.values()):
                self.fail(job, f"no server has {model}")
        else:
            self.fail(job, f"refused with {reply.status}")

    def rest(self, node: Node, retry_after: str | None) -> None:
        """Send nothing to an instance for a while."""
        node.failures += 1
        wait_ms = int(retry_after) * 1000 if retry_after and retry_after.isdecimal() else self.backoff_ms(node.failures)
        node.due_ms = max(node.due_ms, self.now_ms + wait_ms)

    def send_again(self, job: Job) -> None:
        """Send a job again, after a pause; report a failure after too many tries."""
        if job.is_cancelled:
            self.close(job)
        elif job.tries >= self.most_tries:
            self.fail(job, f"failed {job.tries} times")
        else:
            self.enter(job, "waiting")
            job.due_ms = self.now_ms + self.backoff_ms(job.tries)

    def backoff_ms(self, tries: int) -> int:
        return 500 << min(tries, 4)

    # To know what became of it.

    def listen(self) -> None:
        """Handle the messages of all websockets."""
        for node in self.nodes.values() if self.listens else ():
            losses = node.socket.losses
            for message in node.socket.read():
                self.on_message(node, message)
            if node.socket.losses > losses:
                self.on_disconnected(node)
            node.socket.open()

    def on_message(self, node: Node, message: dict[str, Any] | bytes) -> None:
        if isinstance(message, bytes):
            return
        data = message.get("data")
        prompt_id = data.get("prompt_id") if isinstance(data, dict) else None
        for job in self.jobs_on(node):
            if isinstance(data, dict) and job.prompt_id == prompt_id:
                self.on_job_message(job, str(message.get("type")), data)

    def on_job_message(self, job: Job, kind: str, data: dict[str, Any]) -> None:
        if kind in {"execution_success", "execution_error", "execution_interrupted"}:
            job.due_ms = min(job.due_ms, self.now_ms)      # history is asked at once

    def on_disconnected(self, node: Node) -> None:
        for job in self.jobs_on(node):
            job.due_ms = min(job.due_ms, self.now_ms + 500)

    def on_down(self, node: Node) -> None:
        """Take note that an instance does not accept connections."""
        node.losses += not node.is_down
        node.is_down = True

    def jobs_on(self, node: Node) -> list[Job]:
        return [job for job in self.jobs if job.instance == node.name and job.state in {"unsure", "sent"}]

    def advance(self, job: Job) -> None:
        """Take the next step with a job."""
        if self.now_ms < job.due_ms:
            return
        if job.is_cancelled and job.state != "sending":
            self.cancel(job)
        elif self.now_ms - job.asked_ms > self.patience_ms:
            self.run_out(job)
        elif job.state == "done":
            self.fetch(job)
        elif job.state in {"unsure", "sent"} and self.polls:
            self.poll(job)

    def run_out(self, job: Job) -> None:
        """Give up a job that took too long."""
        self.fail(job, "timed out")

    def poll(self, job: Job) -> None:
        self.ask(job, self.instance_to_ask(job), "/queue", self.on_queue)

    def instance_to_ask(self, job: Job) -> str:
        return job.instance

    def on_queue(self, job: Job, queue: dict[str, Any]) -> None:
        rows = [row for key in ("queue_running", "queue_pending") for row in queue.get(key) or ()]
        if job.prompt_id in [row[1] for row in rows if isinstance(row, list) and len(row) > 1]:
            job.absent_ms = None
            if job.state == "unsure":
                self.enter(job, "sent")
            job.due_ms = self.now_ms + self.poll_ms
        else:
            self.ask(job, self.instance_to_ask(job), self.history_path(job), self.on_history)

    def history_path(self, job: Job) -> str:
        return f"/history/{job.prompt_id}"

    def on_history(self, job: Job, history: dict[str, Any]) -> None:
        entry = self.entry_in(job, history)
        if entry is None:
            self.on_absent(job)
        elif is_success(entry):
            self.on_success(job, entry.get("outputs"))
        else:
            self.on_failure(job, entry)

    def entry_in(self, job: Job, history: dict[str, Any]) -> dict[str, Any] | None:
        entry = history.get(job.prompt_id)
        return entry if isinstance(entry, dict) else None

    def on_absent(self, job: Job) -> None:
        """Handle that an instance knows nothing of a job: its process died, it was never accepted, or it is late."""
        if job.absent_ms is None:
            job.absent_ms = self.now_ms
        node = self.nodes[job.instance]
        was_lost = node.losses + node.socket.losses > job.losses
        is_old = self.now_ms - job.absent_ms >= self.absence_ms
        if job.state == "unsure" and self.now_ms - job.since_ms >= 2_000:
            self.send_again(job)
        elif was_lost and self.now_ms - job.absent_ms >= 3_000:
            self.on_lost(job)
        elif is_old:
            self.fail(job, "no server knows it any more")
        else:
            job.due_ms = self.now_ms + self.poll_ms

    def on_lost(self, job: Job) -> None:
        """Handle that a job is gone with its process."""
        job.failures += 1
        if job.failures >= 2:
            self.fail(job, "the server crashed")
        else:
            self.send_again(job)

    def on_failure(self, job: Job, entry: dict[str, Any]) -> None:
        """Handle that a node raised, or that somebody interrupted it."""
        job.failures += 1
        if job.failures >= self.most_failures or job.is_cancelled:
            self.fail(job, "an error")
        else:
            self.send_again(job)

    def on_success(self, job: Job, outputs: Any) -> None:
        job.image = first_image(outputs) or {"filename": f"{self.prefix(job)}_00001_.png"}
        self.enter(job, "done")

    def ask(self, job: Job, instance: str, path: str, then: Any) -> None:
        """Send a GET for a job; ``then`` gets the JSON object of a good answer, else it is asked again later."""

        def answer(reply: Reply | None) -> None:
            job.is_busy = False
            found = object_in(reply)
            self.see(self.nodes[instance], reply)
            if job.state == "over":
                return
            if found is None:
                job.due_ms = self.now_ms + self.poll_ms
            else:
                then(job, found)

        job.is_busy = True
        self.wire.begin(instance, "GET", path, answer)

    def see(self, node: Node, reply: Reply | None) -> None:
        """Take note of whether an instance accepts connections."""
        if reply is REFUSED:
            self.on_down(node)
        else:
            node.is_down = False

    # To deliver.

    def fetch(self, job: Job) -> None:
        job.is_busy = True
        job.fetches += 1
        image = {"subfolder": "", "type": "output", **job.image}
        path = f"/view?{urlencode(image)}"
        self.wire.begin(self.instance_to_fetch_from(job), "GET", path, partial(self.on_fetched, job))

    def instance_to_fetch_from(self, job: Job) -> str:
        return job.instance

    def on_fetched(self, job: Job, reply: Reply | None) -> None:
        job.is_busy = False
        if job.state == "over":
            return
        if reply is not None and reply.status == OK and self.is_right(job, reply.body):
            self.deliver(job, reply.body)
        elif job.fetches >= 8:
            self.fail(job, "its picture cannot be read")
        else:
            job.due_ms = self.now_ms + self.poll_ms

    def is_right(self, job: Job, body: bytes) -> bool:
        return is_whole(body)

    def deliver(self, job: Job, picture: bytes) -> None:
        if not job.is_cancelled:
            self.users.deliver(job.order, picture)
        self.close(job)

    def fail(self, job: Job, why: str) -> None:
        """Tell the user that a job failed; nothing of it shall run any more."""
        if not job.is_cancelled:
            self.users.tell_failed(job.order, why)
        if job.state in {"sending", "unsure", "sent"}:
            self.stop(job)
        self.close(job)

    # To stop.

    def cancel(self, job: Job) -> None:
        """Stop what its user wants no more."""
        self.stop(job)
        self.close(job)

    def stop(self, job: Job) -> None:
        for path, body in self.stopping_requests(job):
            self.wire.stop(job.instance, path, body)

    def stopping_requests(self, job: Job) -> Iterable[tuple[str, dict[str, Any]]]:
        yield "/queue", {"delete": [job.prompt_id]}
        yield "/interrupt", {"prompt_id": job.prompt_id}

    def close(self, job: Job) -> None:
        self.enter(job, "over")

    def enter(self, job: Job, state: State) -> None:
        job.state, job.since_ms, job.due_ms = state, self.now_ms, self.now_ms


class CarefulDispatcher(Dispatcher):
    """Checks, by the prompt that ComfyUI stores in each picture, that it is the one that was ordered.

    It looks for the file of a job that its instance does not know any more before it takes the job for lost.
    """

    def is_right(self, job: Job, body: bytes) -> bool:
        return seed_in(body) == job.order.seed

    def on_absent(self, job: Job) -> None:
        job.is_busy = True
        path = f"/view?filename={self.prefix(job)}_00001_.png&type=output"
        self.wire.begin(job.instance, "GET", path, partial(self.on_looked, job))

    def on_looked(self, job: Job, reply: Reply | None) -> None:
        job.is_busy = False
        if job.state == "over":
            return
        if reply is not None and reply.status == OK and self.is_right(job, reply.body):
            self.deliver(job, reply.body)
        elif reply is not None and reply.status == NOT_FOUND:
            super().on_absent(job)
        else:
            job.due_ms = self.now_ms + self.poll_ms


def is_success(entry: dict[str, Any]) -> bool:
    status = entry.get("status")
    return isinstance(status, dict) and status.get("status_str") == "success"


def first_image(outputs: Any) -> dict[str, str]:
    """Return the first saved image in the outputs of a job, as ComfyUI names it; empty if there is none."""
    nodes = outputs.values() if isinstance(outputs, dict) else ()
    lists = [node.get("images") for node in nodes if isinstance(node, dict)]
    images = [image for images in lists if isinstance(images, list) for image in images if isinstance(image, dict)]
    kept = [{key: str(value) for key, value in image.items()} for image in images if image.get("type") == "output"]
    return kept[0] if kept else {}
