"""The rows of the benchmark: what each compares, its goal, and the registry of the families that measure them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from statistics import median
from typing import Any, Literal, ParamSpec, TypeVar

import msgspec

A = TypeVar("A")
P = ParamSpec("P")

LIMITS = {
    "get/": 1.0,
    "post/": 2.2,
    "job/static": 0.85,
    "job/dynamic": 1.0,
    "frames/": 0.95,
    "core/events": 140_000,
    "analysis/fold": 1.7,
    "analysis/growth/": 1.7,
    "analysis/placement/32000": 4.5,
}
"""By row, or the beginning of its name, the bound that rows keep which miss their goal as yet; with room for noise.

docs/performance.md, "Where a goal is missed, and why", has the measured figures.
"""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table.

    :ivar name: ``family/what/size``.
    :ivar unit: of ``ours`` and ``other``.
    :ivar other: the same of what ours is compared with, measured in the same run; ``None`` if there is no such thing.
    :ivar ratio: ours to other, the median of all rounds; ``None`` if there is no other.
    :ivar peer: what ours is compared with.
    :ivar goal: a bound; ``None`` for a row that is only told.
    :ivar bounds: what the goal is about.
    :ivar at_least: the goal is a lower bound.
    """

    name: str
    unit: str
    ours: float
    other: float | None = None
    ratio: float | None = None
    peer: str = "aiohttp"
    goal: float | None = None
    bounds: Literal["ratio", "ours"] = "ratio"
    at_least: bool = False

    @property
    def value(self) -> float:
        """What the goal is about."""
        if self.bounds == "ours":
            return self.ours
        assert self.ratio is not None
        return self.ratio

    @property
    def is_met(self) -> bool:
        return self.goal is None or self._keeps(self.goal)

    @property
    def is_as_good_as_known(self) -> bool:
        """True if the goal is met, or the row keeps its limit in :data:`LIMITS`."""
        return self.is_met or any(self._keeps(limit) for name, limit in LIMITS.items() if self.name.startswith(name))

    def _keeps(self, bound: float) -> bool:
        return self.value >= bound if self.at_least else self.value <= bound


@dataclass(frozen=True)
class Effort:
    """How much is measured, and what.

    :ivar names: rows, or beginnings of their names; empty for all.
    :ivar rounds: how often ours and the other take turns.
    :ivar is_quick: sizes are smaller, too.
    """

    names: Sequence[str] = ()
    rounds: int = 15
    is_quick: bool = False

    def wants(self, name: str) -> bool:
        """Return whether a row, or any row of a family, is wanted."""
        return not self.names or any(name.startswith(wanted) or wanted.startswith(name) for wanted in self.names)

    def of(self, full: int, quick: int) -> int:
        """Return a size."""
        return quick if self.is_quick else full

    def few(self) -> Effort:
        """Return the same with a third of the rounds, for what takes seconds."""
        return replace(self, rounds=max(3, self.rounds // 3))

    def compare(self, ours: Callable[[], float], other: Callable[[], float], **facts: Any) -> Result:
        """Let both take turns; return the medians of their costs, and the median of the ratios of all rounds.

        The rounds are small, so that what disturbs the machine meets both; the first one warms up.

        :param facts: the other fields of the result.
        """
        pairs = [(ours(), other()) for _ in range(self.rounds + 1)][1:]
        return Result(
            ours=median(a for a, _ in pairs),
            other=median(b for _, b in pairs),
            ratio=median(a / b for a, b in pairs),
            **facts,
        )


Family = Callable[[Effort], Iterator[Result]]

FAMILIES: dict[str, Family] = {}


def family(name: str) -> Callable[[Family], Family]:
    """Register a function that measures the rows whose names begin with ``name/``."""

    def register(function: Family) -> Family:
        FAMILIES[name] = function
        return function

    return register


def in_child(function: Callable[P, A], *arguments: P.args, **more: P.kwargs) -> A:
    """Call a function in a process of its own, whose heap and tables of texts are new."""
    with ProcessPoolExecutor(1, get_context("spawn")) as processes:
        return processes.submit(function, *arguments, **more).result()
