"""Dispatchers that place the same orders on the same unequal farm, each by a policy of its own, in virtual time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from comfyfarm.events import OrderReported
from comfyfarm.testing import MemoryFarm, as_config
from comfyfarm.testing.listener import Listener
from comfyfarm.workflows import text_to_image

STEP_MS = {"slow": 400, "usual": 200, "fast": 100}
"""By instance, the time of a sampling step: the speeds are 1, 2 and 4."""
_MODELS = ("red", "green", "blue")
_LOAD_STEPS = 3     # loading a model takes as long as this many steps
_JOB_HEADER = "X-Comfyfarm-Job"


@dataclass(frozen=True)
class Wanted:
    """What a user orders, and when."""

    name: str
    at_ms: int
    model: str
    steps: int


def poisson(jobs: int, mean_gap_ms: int, seed: int) -> list[Wanted]:
    """Return orders that come at random, independently of each other."""
    chance, at_ms, orders = Random(seed), 0.0, []
    for number in range(jobs):
        at_ms += chance.expovariate(1 / mean_gap_ms)
        orders.append(Wanted(f"job-{number}", round(at_ms), chance.choice(_MODELS), chance.choice((4, 6, 14))))
    return orders


@dataclass(eq=False)
class Server:
    """An instance as a dispatcher knows it: by its speed, and by what it has sent there itself.

    :ivar open: the jobs that wait or run there, by prompt id.
    :ivar free_ms: when it will be idle, as far as the dispatcher can tell.
    :ivar models: as the dispatcher expects them in memory, which has room for two; the latest last.
    """

    name: str
    step_ms: int
    listener: Listener
    open: dict[str, Wanted] = field(default_factory=dict)
    free_ms: float = 0.0
    models: list[str] = field(default_factory=list)

    def left_ms(self, now_ms: int) -> float:
        return max(0.0, self.free_ms - now_ms)

    def takes_ms(self, order: Wanted) -> float:
        return self.step_ms * (order.steps + (0 if order.model in self.models else _LOAD_STEPS))

    def total_ms(self, order: Wanted, now_ms: int) -> float:
        return self.left_ms(now_ms) + self.takes_ms(order)

    def add(self, order: Wanted, prompt_id: str, now_ms: int) -> None:
        self.free_ms = now_ms + self.total_ms(order, now_ms)
        self.models = [*(model for model in self.models if model != order.model), order.model][-2:]
        self.open[prompt_id] = order


@dataclass(frozen=True)
class Situation:
    """What a policy decides by.

    :ivar turn: the number of orders that were sent before.
    """

    order: Wanted
    servers: Sequence[Server]
    now_ms: int
    turn: int
    chance: Random

    def total_ms(self, server: Server) -> float:
        return server.total_ms(self.order, self.now_ms)


def _shortest(servers: Sequence[Server]) -> Server:
    return min(servers, key=lambda server: len(server.open))


def _one_at_a_time(now: Situation) -> Server | None:
    is_busy = any(server.open for server in now.servers)
    return None if is_busy else now.servers[now.turn % len(now.servers)]


def _fastest_idle(now: Situation) -> Server | None:
    idle = [server for server in now.servers if not server.open]
    return min(idle, key=lambda server: server.step_ms, default=None)


_WEIGHTED = (2, 1, 2, 0, 2, 1, 2)       # four jobs for fast, two for usual, one for slow

POLICIES: dict[str, Callable[[Situation], Server | None]] = {
    "always_first": lambda now: now.servers[0],
    "always_last": lambda now: now.servers[-1],
    "fastest_idle": _fastest_idle,
    "finish_latest": lambda now: max(now.servers, key=now.total_ms),
    "finish_soonest": lambda now: min(now.servers, key=now.total_ms),
    "least_work_left": lambda now: min(now.servers, key=lambda server: server.left_ms(now.now_ms)),
    "one_at_a_time": _one_at_a_time,
    "random": lambda now: now.chance.choice(now.servers),
    "round_robin": lambda now: now.servers[now.turn % len(now.servers)],
    "shorter_of_two": lambda now: _shortest(now.chance.sample(now.servers, 2)),
    "shortest_queue": lambda now: _shortest(now.servers),
    "sticky": lambda now: now.servers[_MODELS.index(now.order.model)],
    "weighted_round_robin": lambda now: now.servers[_WEIGHTED[now.turn % len(_WEIGHTED)]],
}
"""Each returns the server for an order; ``None`` to hold it back until a job ends."""


@dataclass(eq=False)
class Dispatcher:
    """Sends orders by a policy, and notes when each user asked and when the result was there.

    :ivar policy: its name.
    :ivar totals_ms: by job, the time from the user's order to the end, by the dispatcher's own clock.
    """

    farm: MemoryFarm
    policy: str
    totals_ms: dict[str, int] = field(default_factory=dict)
    _queue: list[Wanted] = field(default_factory=list)
    _turn: int = 0
    _chance: Random = field(default_factory=lambda: Random(1))

    def __post_init__(self) -> None:
        self._servers = [Server(name, step_ms, self.farm[name].listen("d")) for name, step_ms in STEP_MS.items()]

    @property
    def _now_ms(self) -> int:
        return self.farm.farm.time.now_ms()

    def run(self, orders: Sequence[Wanted]) -> None:
        """Take the orders as they come, report each, and place it, until all are done."""
        coming = list(orders)
        while len(self.totals_ms) < len(orders):
            while coming and coming[0].at_ms <= self._now_ms:
                self._queue.append(coming.pop(0))
                self.farm.farm.log.publish(OrderReported(at_ms=self._now_ms, job=self._queue[-1].name, state="asked"))
            self._send()
            due_ms = [order.at_ms for order in coming[:1]]
            if (next_ms := self.farm.farm.clock_control.next_ms) is not None:
                due_ms.append(next_ms)
            self.farm.advance((min(due_ms) - self._now_ms) / 1000)
            self._note_ends()

    def _send(self) -> None:
        while self._queue and (server := self._choose(self._queue[0])) is not None:
            order = self._queue.pop(0)
            self._turn += 1
            prompt = text_to_image(int(order.name.removeprefix("job-")), steps=order.steps)
            prompt["4"]["inputs"]["ckpt_name"] = order.model
            body = {"prompt": prompt, "client_id": "d"}
            reply = self.farm[server.name].ask("POST", "/prompt", json=body, headers={_JOB_HEADER: order.name})
            assert reply.status == 200, reply.body
            server.add(order, reply.json()["prompt_id"], self._now_ms)

    def _choose(self, order: Wanted) -> Server | None:
        return POLICIES[self.policy](Situation(order, self._servers, self._now_ms, self._turn, self._chance))

    def _note_ends(self) -> None:
        for server, prompt_id in self._ends():
            order = server.open.pop(prompt_id)
            self.totals_ms[order.name] = self._now_ms - order.at_ms

    def _ends(self) -> Iterator[tuple[Server, str]]:
        for server in self._servers:
            for message in server.listener.heard:
                if message["type"] == "execution_success":
                    yield server, message["data"]["prompt_id"]
            server.listener.heard.clear()


def unequal_farm() -> MemoryFarm:
    """Start three instances with speeds 1, 2 and 4, on which two of three models fit into memory."""
    common: dict[str, Any] = {"models": {"checkpoints": [f"{model}:1GB" for model in _MODELS]}, "vram": "2GB"}
    timings = {
        name: {"step": f"{ms}ms", "load_per_gb": f"{_LOAD_STEPS * ms}ms", "node": "0ms", "save": "0ms", "jitter": 0.2}
        for name, ms in STEP_MS.items()
    }
    instances = [{"name": name, "timing": timing, **common} for name, timing in timings.items()]
    return MemoryFarm.start(as_config({"instance": instances}))
