"""What cannot be said yet."""

from __future__ import annotations

from collections.abc import Iterator

from farm.ledger.attempts import Attempt, LogicalJob

from .base import Finding, Known, Rule, moment, rule
from .fates import fate_of, has_had_time, has_somewhere_to_go, is_stuck, last_of

__all__ = ["Unfinished"]


@rule("unfinished")
class Unfinished(Rule):
    """A logical job has not succeeded, and may yet: an attempt is open, or its client still has time to send one."""

    def conclude(self, known: Known) -> Iterator[Finding]:
        """One finding for each such job."""
        for job in known.attempts.tested:
            fate = fate_of(job, known.bounds)
            if fate == "open" and not any(is_stuck(each, known) for each in job.attempts):
                yield self._found(job, *_open(next(each for each in job.attempts if each.is_open)))
            elif fate in {"lost", "failed"} and not has_had_time(last_of(job), known):
                yield self._found(job, *_pending(last_of(job), known))

    def _found(self, job: LogicalJob, attempt: Attempt, seq: int, says: str) -> Finding:
        return Finding(
            finding=self.name,
            severity="unknown",
            job=job.name,
            instance=attempt.instance,
            events=(seq,),
            says=f"{job.name} {says}.",
        )


def _open(attempt: Attempt) -> tuple[Attempt, int, str]:
    if attempt.taken_ms is None:
        return attempt, attempt.seq, f"still waits on {attempt.instance}, since {moment(attempt.sent_ms)}"
    return attempt, attempt.seq, f"still runs on {attempt.instance}, since {moment(attempt.taken_ms)}"


def _pending(last: Attempt, known: Known) -> tuple[Attempt, int, str]:
    what = f"was lost with {last.instance}" if last.end == "lost" else f"failed at {last.instance} ({last.status})"
    told_ms = last.told_ms or 0
    if not has_somewhere_to_go(last, known):
        then = "there has been no instance to send it to again"
    else:
        then = f"its client has had only {moment(known.at_ms - told_ms)} to send it again"
    return last, last.told_seq, f"{what} at {moment(told_ms)}, and {then}"
