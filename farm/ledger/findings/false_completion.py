"""A client that says *done*, and is wrong."""

from __future__ import annotations

from collections.abc import Iterator

from farm.ledger.attempts import LogicalJob

from .base import Finding, Known, Rule, moment, rule
from .misattributed import owner_of

__all__ = ["FalseCompletion"]


@rule("false_completion")
class FalseCompletion(Rule):
    """A logical job was said to be delivered when no attempt of it had come through its last node.

    A delivery that is misattributed is told as that alone.
    """

    by_absence = True

    def conclude(self, known: Known) -> Iterator[Finding]:
        """One finding for each such job."""
        for job in known.attempts.tested:
            done_seq = min((each.done_seq for each in job.attempts if each.done_seq), default=None)
            early = [each for each in job.delivered if done_seq is None or each.seq < done_seq]
            false = next((each for each in early if owner_of(job.name, each, known.attempts) is None), None)
            if false is not None:
                when, state = moment(false.at_ms), _state(job, false.seq)
                yield Finding(
                    finding=self.name,
                    severity="error",
                    job=job.name,
                    instance=false.instance,
                    events=(false.seq,),
                    says=f"{job.name} was said to be delivered at {when}, when {state}.",
                )


def _state(job: LogicalJob, seq: int) -> str:
    """How it stood with a job then."""
    sent = [each for each in job.attempts if each.seq < seq]
    if not sent:
        return "it had been sent to no instance"
    last = sent[-1]
    if last.end is None or last.end_seq > seq:
        return f"its attempt on {last.instance} was still open"
    return f"its last attempt, on {last.instance}, had ended otherwise ({last.error or last.end})"
