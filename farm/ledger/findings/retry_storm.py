"""Too many attempts, or too fast."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from farm.ledger.attempts import Attempt, LogicalJob

from .base import Bounds, Finding, Known, Rule, moment, rule
from .retries import carried, early, needless

__all__ = ["RetryStorm"]


@rule("retry_storm")
class RetryStorm(Rule):
    """A logical job was sent more often than it may be, or several times in a row right behind a failure.

    A failure is an attempt that was lost, ended in an error, or came to nothing before it was taken on.  What other
    rules tell does not count: attempts that were needless (*resubmitted*), too early (*retry_after_ignored*), refused
    for what the instance lacks, or that took a process with them where those are too many (*poison_carried*).
    """

    def conclude(self, known: Known) -> Iterator[Finding]:
        """One finding for each such job."""
        hasty = {each for name in known.attempts.at for each, _ in early(known.attempts, name)}
        for job in known.attempts.tested:
            if len(job.attempts) <= min(known.bounds.retries, known.bounds.quick_retries + 1):
                continue
            told = hasty | {each.attempt for each in needless(job)} | set(carried(job, known.bounds))
            counted = [each for each in job.attempts if each not in told and not each.missing]
            quick = _longest(_rows(counted, known.bounds))
            if len(counted) > known.bounds.retries:
                yield self._found(job, counted, f"sent {len(counted)} times", "")
            elif len(quick) > known.bounds.quick_retries + 1:
                why = f", each time less than {moment(known.bounds.backoff)} after it had failed"
                yield self._found(job, quick, f"sent again {len(quick) - 1} times in a row", why)

    def _found(self, job: LogicalJob, attempts: list[Attempt], what: str, why: str) -> Finding:
        first, last = attempts[0], attempts[-1]
        return Finding(
            finding=self.name,
            severity="error",
            job=job.name,
            events=(first.seq, last.seq),
            says=f"{job.name} was {what}, from {moment(first.began_ms)} to {moment(last.began_ms)}{why}.",
        )


def _rows(attempts: list[Attempt], bounds: Bounds) -> Iterator[list[Attempt]]:
    """The attempts, each with those that follow it at once."""
    row: list[Attempt] = []
    for each in attempts:
        if row and not _is_quick(row[-1], each, bounds):
            yield row
            row = []
        row.append(each)
    yield row


def _is_quick(before: Attempt, after: Attempt, bounds: Bounds) -> bool:
    has_failed = before.is_retryable or before.end in {"lost", "error"}
    failed_ms = before.told_ms
    if not has_failed or failed_ms is None or not after.is_behind(before.told_seq, failed_ms):
        return False
    return after.began_ms - failed_ms < bounds.backoff


def _longest(rows: Iterable[list[Attempt]]) -> list[Attempt]:
    return max(rows, key=len)
