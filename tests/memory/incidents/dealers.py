"""Small clients that deal jobs to several servers, each in its own way; which ones fall for an incident, it shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from comfyfarm.testing import MemoryFarm
from tests.memory.incidents.asking import post
from tests.memory.incidents.moments import ended_ms

__all__ = [
    "AddsItsOwn",
    "BelievesTheNumber",
    "CountsConnections",
    "CountsJobs",
    "Dealer",
    "Sent",
    "deal",
    "ends",
    "in_turn",
    "remaining",
    "when_free",
]


class Sent(NamedTuple):
    """A job, and where it went."""

    name: str
    prompt_id: str

    def ended_ms(self, farm: MemoryFarm) -> int | None:
        """When it ended, or ``None``."""
        return ended_ms(farm, self.prompt_id, self.name)


class Dealer(Protocol):
    """Chooses a server for a job."""

    def submit(self, farm: MemoryFarm, seed: int) -> Sent:
        """Send one job somewhere."""


def deal(farm: MemoryFarm, dealer: Dealer, jobs: int) -> list[Sent]:
    """Have so many jobs sent, all at the same moment."""
    return [dealer.submit(farm, seed) for seed in range(jobs)]


def ends(farm: MemoryFarm, sent: Sequence[Sent]) -> list[int | None]:
    """When each of these ended."""
    return [each.ended_ms(farm) for each in sent]


# By a number.


@dataclass
class CountsConnections:
    """Takes the server with the fewest open connections, as a balancer for web pages does.

    :ivar is_open: how many there are, by server.
    """

    is_open: Counter[str]

    def submit(self, farm: MemoryFarm, seed: int) -> Sent:
        """Connect, ask, hang up."""
        name = min(self.is_open, key=self.is_open.__getitem__)
        self.is_open[name] += 1
        try:
            return Sent(name, post(farm, name, seed=seed))
        finally:
            self.is_open[name] -= 1     # the answer is there; the job has only begun


@dataclass
class CountsJobs:
    """Takes the server with the fewest of its own jobs that have not ended."""

    names: Sequence[str]
    sent: list[Sent] = field(default_factory=list)

    def submit(self, farm: MemoryFarm, seed: int) -> Sent:
        """Count, and send."""
        left = Counter(each.name for each in self.sent if each.ended_ms(farm) is None)
        name = min(self.names, key=left.__getitem__)
        self.sent.append(Sent(name, post(farm, name, seed=seed)))
        return self.sent[-1]


@dataclass
class BelievesTheNumber:
    """Takes the server that says that least remains in its queue."""

    names: Sequence[str]

    def submit(self, farm: MemoryFarm, seed: int) -> Sent:
        """Ask all, and send."""
        name = min(self.names, key=lambda each: remaining(farm, each))
        return Sent(name, post(farm, name, seed=seed))


@dataclass
class AddsItsOwn:
    """The same, but adds what it has sent itself since a server said another number."""

    names: Sequence[str]
    told: dict[str, int] = field(default_factory=dict)
    sent_since: Counter[str] = field(default_factory=Counter)

    def submit(self, farm: MemoryFarm, seed: int) -> Sent:
        """Ask all, add, and send."""
        name = min(self.names, key=lambda each: self._depth(farm, each))
        self.sent_since[name] += 1
        return Sent(name, post(farm, name, seed=seed))

    def _depth(self, farm: MemoryFarm, name: str) -> int:
        told = remaining(farm, name)
        if told != self.told.get(name):
            self.told[name], self.sent_since[name] = told, 0
        return told + self.sent_since[name]


def remaining(farm: MemoryFarm, name: str) -> int:
    """What a server says of its queue."""
    return int(farm[name].ask("GET", "/prompt").json()["exec_info"]["queue_remaining"])


# By turn, or by who is free.


def in_turn(farm: MemoryFarm, names: Sequence[str], jobs: int) -> list[Sent]:
    """Send everything at once, to each server in its turn."""
    turns = [(seed, names[seed % len(names)]) for seed in range(jobs)]
    return [Sent(name, post(farm, name, seed=seed)) for seed, name in turns]


def when_free(farm: MemoryFarm, names: Sequence[str], jobs: int) -> list[Sent]:
    """Keep the queue to oneself: a server gets the next job when its last one has ended."""
    sent: list[Sent] = []
    last: dict[str, Sent] = {}
    while len(sent) < jobs:
        for name in names:
            is_free = name not in last or last[name].ended_ms(farm) is not None
            if is_free and len(sent) < jobs:
                last[name] = Sent(name, post(farm, name, seed=len(sent)))
                sent.append(last[name])
        farm.advance("10ms")
    return sent
