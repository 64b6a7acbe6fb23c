"""A client that gave up at once."""

from __future__ import annotations

from collections.abc import Iterator

from farm.ledger.attempts import LogicalJob

from .base import Finding, Known, Rule, moment, rule
from .fates import fate_of, has_had_time, last_of

__all__ = ["NoRetry"]


@rule("no_retry")
class NoRetry(Rule):
    """The last attempt of a logical job failed before it was taken on, in a way that asks for another; none followed.

    Such ways are 429, any 5xx, and no answer at all.  A client that has tried often enough may give up, and before it
    has had time to react nothing is said.
    """

    by_absence = True

    def conclude(self, known: Known) -> Iterator[Finding]:
        """One finding for each such job."""
        for job in known.attempts.tested:
            if len(job.attempts) >= known.bounds.tries or fate_of(job, known.bounds) != "failed":
                continue
            if has_had_time(last_of(job), known):
                yield self._found(job, known)

    def _found(self, job: LogicalJob, known: Known) -> Finding:
        last = last_of(job)
        told_ms = last.told_ms or 0
        answer = f"answered {last.status}" if last.status else "gave no answer"
        return Finding(
            finding=self.name,
            severity="error",
            job=job.name,
            instance=last.instance,
            events=(last.told_seq,),
            says=f"{last.instance} {answer} to attempt {last.number} of {job.name} at {moment(told_ms)}, and "
            f"nobody tried again in the {moment(known.at_ms - told_ms)} since.",
        )
