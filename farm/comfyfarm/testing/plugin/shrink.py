"""``--comfy-shrink``: a failed test is run again with fewer faults, until none can be left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pytest
from _pytest.runner import runtestprotocol  # (pytest has no public way to run a test again)

from comfyfarm.config.overlay import Table
from comfyfarm.config.sources import toml_tables
from comfyfarm.testing.claims import ExpectationFailed
from comfyfarm.testing.plugin.ddmin import ddmin
from comfyfarm.testing.plugin.session import Rerun
from comfyfarm.testing.plugin.stash import FAILURE, RERUN, SESSION

_TITLE = "comfyfarm, the smallest set of faults"


@dataclass(frozen=True)
class Failure:
    """How a test failed.

    :ivar kind: the name of the exception's type.
    :ivar line: of the test's file, where it came from; ``None`` where it came from elsewhere.
    :ivar findings: the names of those that it failed by; empty where it failed by something else.
    :ivar seeds: of its farms.
    """

    kind: str
    line: int | None
    findings: frozenset[str]
    seeds: Sequence[int]

    @classmethod
    def of(cls, item: pytest.Item, why: pytest.ExceptionInfo[BaseException]) -> Failure:
        """Look at a failed test whose farms still run."""
        trial = item.stash[SESSION]
        own = [entry.lineno for entry in why.traceback if entry.path == item.path]
        found = (
            frozenset(each.finding for each in why.value.findings) if isinstance(why.value, ExpectationFailed) else None
        )
        return cls(
            kind=why.typename,
            line=own[-1] if own else None,
            findings=trial.findings if found is None else found,
            seeds=tuple(_seeds(item)),
        )

    def is_like(self, other: Failure) -> bool:
        """Whether this is the other, less some faults: the same exception in the same line, by no other findings."""
        return (self.kind, self.line) == (other.kind, other.line) and self.findings >= other.findings


def _seeds(item: pytest.Item) -> Iterator[int]:
    for farm in item.stash[SESSION].farms:
        try:
            yield farm.evidence.seed()
        except OSError:     # it is gone; those behind it would get the wrong ones
            return


def run_and_shrink(item: pytest.Item, nextitem: pytest.Item | None) -> bool:
    """Run a test as pytest does, and tell of its failure when the smallest set of faults is known."""
    where = {"nodeid": item.nodeid, "location": item.location}
    item.ihook.pytest_runtest_logstart(**where)
    reports = runtestprotocol(item, log=False, nextitem=nextitem)
    try:
        failed = [each for each in reports if each.when == "call" and each.failed]
        failure = item.stash.get(FAILURE, None)
        if failed and failure is not None and (faults := item.stash[SESSION].asked.faults):
            failed[0].sections.append((_TITLE, _Shrinking(item, nextitem, failure).told(faults)))
    finally:        # a Ctrl-C on the way shall not cost the failure
        for report in reports:
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(**where)
    return True


@dataclass(eq=False)
class _Shrinking:
    """Runs a test again and again; nobody is told of these runs.

    :ivar failure: how it failed first.
    """

    item: pytest.Item
    nextitem: pytest.Item | None
    failure: Failure
    _runs: int = field(default=0, init=False)

    def told(self, faults: Sequence[Table]) -> str:
        """What came of it."""
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
        """Whether the test fails with these as it did at first."""
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
