"""Sent again, though that could not help."""

from __future__ import annotations

from collections.abc import Iterator

from .base import Finding, Known, Rule, moment, rule
from .retries import needless

__all__ = ["Resubmitted"]


@rule("resubmitted")
class Resubmitted(Rule):
    """A logical job was sent again after an answer of 400 or 413, or after its user had stopped it.

    After a 400 that is about what the instance lacks, only to the same process of the same instance: another may have
    it.  A user stops it by an interrupt that hits it and names the logical job; one that names its prompt id alone
    counts only where it is sent to the same instance again and no fault befell it, for clients move jobs in that way.
    """

    def conclude(self, known: Known) -> Iterator[Finding]:
        """One finding for each such job."""
        for job in known.attempts.tested:
            found = needless(job)
            if found:
                first = found[0]
                more = f", and {len(found) - 1} more times" if len(found) > 1 else ""
                yield Finding(
                    finding=self.name,
                    severity="error",
                    job=job.name,
                    instance=first.attempt.instance,
                    events=(first.seq, first.attempt.seq),
                    says=f"{job.name} was sent to {first.attempt.instance} at {moment(first.attempt.began_ms)}{more}, "
                    f"although {first.why}.",
                )
