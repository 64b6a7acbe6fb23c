"""``--comfy-shrink``: a failed test is run again with fewer faults, until none can be left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import pytest
from _pytest.runner import runtestprotocol  # (pytest has no public way to run a test again)

from comfyfarm.config.overlay import Table
from comfyfarm.config.sources import toml_tables
from comfyfarm.testing.plugin.session import Rerun
from comfyfarm.testing.plugin.stash import FAILURE, RERUN, SESSION

T = TypeVar("T")

_TITLE = "comfyfarm, the smallest set of faults"


@dataclass(frozen=True)
class Failure:
    """A failure of a test, as far as two failures are compared.

    :ivar kind: the name of the exception's type.
    :ivar line: the last line of the test's file in the traceback; ``None`` if there is none.
    :ivar findings: the names of the findings that the failure is about; empty if it is about something else.
    :ivar seeds: of the farms of the test.
    """

    kind: str
    line: int | None
    findings: frozenset[str]
    seeds: Sequence[int]

    @classmethod
    def of(cls, item: pytest.Item, error: pytest.ExceptionInfo[BaseException]) -> Failure:
        """Return the failure of a test whose farms still run."""
        lines = [entry.lineno for entry in error.traceback if entry.path == item.path]
        failures = item.stash[SESSION].failures_of(error.value)
        findings = frozenset(finding.finding for failure in failures for finding in failure.findings)
        return cls(error.typename, lines[-1] if lines else None, findings, tuple(_seeds(item)))

    def is_like(self, other: Failure) -> bool:
        """Return True for the same exception in the same line; it may have more findings than the other."""
        return (self.kind, self.line) == (other.kind, other.line) and self.findings >= other.findings


def _seeds(item: pytest.Item) -> Iterator[int]:
    for farm in item.stash[SESSION].farms:
        try:
            yield farm.evidence.seed()
        except OSError:     # the farm has ended; without its seed the later ones would be off by one
            return


def run_and_shrink(item: pytest.Item, nextitem: pytest.Item | None) -> bool:
    """Run a test as pytest does; if it fails, report it with the smallest set of faults."""
    location = {"nodeid": item.nodeid, "location": item.location}
    item.ihook.pytest_runtest_logstart(**location)
    reports = runtestprotocol(item, log=False, nextitem=nextitem)
    try:
        failed = [report for report in reports if report.when == "call" and report.failed]
        failure = item.stash.get(FAILURE, None)
        if failed and failure is not None and (faults := item.stash[SESSION].args.faults):
            failed[0].sections.append((_TITLE, _Shrinker(item, nextitem, failure).describe(faults)))
    finally:        # a Ctrl-C during the reruns must not lose the failure
        for report in reports:
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(**location)
    return True


@dataclass(eq=False)
class _Shrinker:
    """Runs a test again with fewer faults; these runs are not reported.

    :ivar failure: of the first run.
    """

    item: pytest.Item
    nextitem: pytest.Item | None
    failure: Failure
    _runs: int = field(default=0, init=False)

    def describe(self, faults: Sequence[Table]) -> str:
        """Return the smallest set of faults as TOML, under a sentence about it."""
        seeds = ", ".join(map(str, dict.fromkeys(self.failure.seeds)))
        if not self.fails(faults):
            return f"not found: with the same {len(faults)} faults and seed {seeds} the test did not fail so again"
        needed = ddmin(faults, self.fails)
        runs = f"({self._runs} runs, seed {seeds})"
        if not needed:
            return f"the test fails so without any of its {len(faults)} faults {runs}"
        are = "is" if len(needed) == 1 else "are"
        return f"{len(needed)} of {len(faults)} faults {are} enough to make it fail so {runs}:\n\n" + toml_tables(
            "fault", needed
        )

    def fails(self, faults: Sequence[Table]) -> bool:
        """Run the test with these faults, and return True if it fails as in the first run."""
        self._runs += 1
        stash = self.item.stash
        stash[RERUN] = Rerun(faults, self.failure.seeds)
        if FAILURE in stash:
            del stash[FAILURE]
        try:
            runtestprotocol(self.item, log=False, nextitem=self.nextitem)
        finally:
            del stash[RERUN]
        failure = stash.get(FAILURE, None)
        return failure is not None and failure.is_like(self.failure)


def ddmin(items: Sequence[T], fails: Callable[[Sequence[T]], bool]) -> list[T]:
    """Return a selection that fails, in the same order, of which no item can be left out.

    This is Zeller's delta debugging: it tries halves first, then smaller parts.  All items together must fail.

    :param fails: called at most once for each selection.
    """
    results: dict[tuple[int, ...], bool] = {}

    def still_fails(indices: Sequence[int]) -> bool:
        key = tuple(indices)
        if key not in results:
            results[key] = fails([items[index] for index in key])
        return results[key]

    left = list(range(len(items)))
    if not left or still_fails([]):
        return []
    parts = 2
    while len(left) > 1:
        smaller = (selection for selection in _selections(left, parts) if len(selection) < len(left))
        fewer = next((selection for selection in smaller if still_fails(selection)), None)
        if fewer is not None:
            parts = 2 if len(fewer) <= len(left) // 2 else max(2, parts - 1)
            left = fewer
        elif parts == len(left):
            break
        else:
            parts = min(len(left), parts * 2)
    return [items[index] for index in left]


def _selections(indices: Sequence[int], parts: int) -> Iterator[list[int]]:
    """Divide into ``parts``; yield each part alone, then for each part all the others."""
    edges = [len(indices) * number // parts for number in range(parts + 1)]
    pieces = [(edges[number], edges[number + 1]) for number in range(parts)]
    yield from (list(indices[first:last]) for first, last in pieces)
    yield from ([*indices[:first], *indices[last:]] for first, last in pieces)
