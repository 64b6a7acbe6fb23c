"""The same work, done more than once."""

from __future__ import annotations

from collections.abc import Iterator

from farm.ledger.attempts import Attempt, LogicalJob

from .base import Finding, Known, Rule, is_hash, moment, rule

__all__ = ["RanTwice"]


@rule("ran_twice")
class RanTwice(Rule):
    """A logical job has more than one successful run, whether or not the second was delivered."""

    def conclude(self, known: Known) -> Iterator[Finding]:
        """One finding for each such job."""
        for job in known.attempts.tested:
            runs = sorted(job.ended("success"), key=lambda each: each.end_seq)
            if len(runs) > 1:
                where = ", ".join(f"on {each.instance} at {moment(each.ended_ms or 0)}" for each in runs)
                yield Finding(
                    finding=self.name,
                    severity="error",
                    job=job.name,
                    events=tuple(each.end_seq for each in runs),
                    says=f"{job.name} ran {len(runs)} times to its end, {where}{_why(job, runs)}.",
                )


def _why(job: LogicalJob, runs: list[Attempt]) -> str:
    """Half a sentence on how it came to that, as far as the log tells."""
    first, second = sorted(runs, key=lambda each: each.number)[:2]
    if first.status is not None and first.status != 200:
        heard = f"was answered {first.status}" if first.status else "was never answered"
        return f"; its first submission, to {first.instance}, {heard}"
    if is_hash(job.name):
        return " (it has no name but its prompt's hash: who sends a prompt twice on purpose names the jobs)"
    when = "after the first had ended" if first.end_seq < second.seq else "while the first was under way"
    return f"; the second was sent at {moment(second.began_ms)}, {when}"
