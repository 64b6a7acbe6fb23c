"""Sent where it was known that it cannot run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from farm.ledger.attempts import Attempt

from .base import Finding, Known, Rule, moment, rule
from .retries import needless

__all__ = ["Ineligible"]


@dataclass(eq=False)
class _Case:
    """A thing that an instance lacks, and who was sent there for it although that was known."""

    thing: str
    discovery: Attempt
    first: Attempt
    count: int = 1


@rule("ineligible")
class Ineligible(Rule):
    """A submission was refused for something that the instance lacks, after another had been for the same thing.

    The first refusal in each process's life is a discovery, as are those on their way before its answer; the same
    logical job sent there again is *resubmitted*.
    """

    def conclude(self, known: Known) -> Iterator[Finding]:
        """One finding for each thing that an instance lacks."""
        for name in known.attempts.at:
            for case in self._cases(known.attempts.at[name], known):
                first, discovery = case.first, case.discovery
                more = f", and {case.count - 1} more such submissions" if case.count > 1 else ""
                yield Finding(
                    finding=self.name,
                    severity="error",
                    job=first.job,
                    instance=name,
                    events=(discovery.told_seq, first.seq),
                    says=f"{first.job} was sent to {name} at {moment(first.began_ms)}{more}, though {name} had refused "
                    f"{discovery.job} at {moment(discovery.told_ms or 0)} for lack of {case.thing}.",
                )

    def _cases(self, attempts: list[Attempt], known: Known) -> Iterator[_Case]:
        discovered: dict[tuple[int, str], Attempt] = {}
        cases: dict[str, _Case] = {}
        for each in attempts:
            if not each.missing:
                continue
            thing = next((it for it in each.missing if _is_known(discovered.get((each.epoch, it)), each)), None)
            if thing is not None and not _is_told(each, known):
                if thing in cases:
                    cases[thing].count += 1
                else:
                    cases[thing] = _Case(thing, discovered[each.epoch, thing], each)
            if each.status == 400 and each.answered_ms is not None and not each.is_unreadable:
                for it in each.missing:
                    discovered.setdefault((each.epoch, it), each)
        yield from cases.values()


def _is_known(discovery: Attempt | None, attempt: Attempt) -> bool:
    return discovery is not None and attempt.is_told_of(discovery)


def _is_told(attempt: Attempt, known: Known) -> bool:
    """Whether another rule says it."""
    return any(each.attempt is attempt for each in needless(known.attempts.jobs[attempt.job]))
