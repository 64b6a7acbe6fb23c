"""Work that was accepted, and came to nothing."""

from __future__ import annotations

from collections.abc import Iterator

from farm.ledger.attempts import Attempt

from .base import Finding, Known, Rule, moment, rule
from .fates import fate_of, has_had_time, last_of

__all__ = ["Lost"]


@rule("lost")
class Lost(Rule):
    """The last attempt of a logical job went down with its process, and nobody has sent it again.

    Not where it has succeeded, is said to be delivered (then it is a *false completion*), was given up by its user, or
    has taken so many processes with it that to give it up is right; and not before its client has had time to react.
    """

    by_absence = True

    def conclude(self, known: Known) -> Iterator[Finding]:
        """One finding for each such job."""
        for job in known.attempts.tested:
            if fate_of(job, known.bounds) != "lost" or not has_had_time(last_of(job), known):
                continue
            yield self._found(job.name, last_of(job), known)

    def _found(self, job: str, last: Attempt, known: Known) -> Finding:
        ended_ms, where = last.ended_ms or 0, last.instance
        return Finding(
            finding=self.name,
            severity="error",
            job=job,
            instance=where,
            events=(last.seq, last.end_seq),
            says=f"{job} was taken on by {where} at {moment(last.sent_ms)}, {where} went down with it at "
            f"{moment(ended_ms)}, and nobody sent it again in the {moment(known.at_ms - ended_ms)} since.",
        )
