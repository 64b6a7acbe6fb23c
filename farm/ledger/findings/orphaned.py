"""Work that was done, and that nobody took."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from farm.ledger.attempts import Attempt, LogicalJob

from .base import Finding, Known, Rule, moment, rule

__all__ = ["Orphaned"]


@dataclass(frozen=True)
class _Ways:
    """How the system under test takes results in this log; a way that it never goes proves nothing.

    :ivar prompt_ids: of what was delivered.
    """

    fetches: bool
    looks: bool
    delivers: bool
    prompt_ids: frozenset[str]

    @classmethod
    def of(cls, known: Known) -> _Ways:
        """As far as can be seen by now."""
        jobs = known.attempts.tested
        delivered = [each for job in jobs for each in job.delivered]
        return cls(
            fetches=any(each.fetched for job in jobs for each in job.attempts),
            looks=any(each.seen for job in jobs for each in job.attempts),
            delivers=bool(delivered),
            prompt_ids=frozenset(prompt_id for each in delivered for prompt_id in each.prompt_ids),
        )

    def judge(self, run: Attempt) -> bool:
        """Whether it would show in the log had somebody taken the result of this run."""
        return self.delivers or (self.fetches if run.files else self.looks)

    def took(self, run: Attempt) -> bool:
        """Whether somebody did."""
        return run.fetched > 0 or run.prompt_id in self.prompt_ids or (run.seen > 0 and not run.files)


@rule("orphaned")
class Orphaned(Rule):
    """A logical job succeeded, and nobody has taken the result of any of its runs so far.

    To take is to fetch one of its files, or to deliver it; where a run wrote no file (a static instance), to be shown
    its result is enough.  A second run of the same job is told as *ran twice*, not here.
    """

    by_absence = True

    def conclude(self, known: Known) -> Iterator[Finding]:
        """One finding for each such job."""
        ways = _Ways.of(known)
        for job in known.attempts.tested:
            runs = job.ended("success")
            if not runs or job.delivered or not all(ways.judge(each) and not ways.took(each) for each in runs):
                continue
            run = runs[0]
            yield Finding(
                finding=self.name,
                severity="warning",
                job=job.name,
                instance=run.instance,
                events=tuple(each.end_seq for each in runs),
                says=f"{job.name} succeeded on {run.instance} at {moment(run.ended_ms or 0)}, and nobody has taken its "
                f"result so far{_why(job, run)}.",
            )


def _why(job: LogicalJob, run: Attempt) -> str:
    """Half a sentence on the cause, as far as it is known."""
    if run.status == 0:
        return f": the answer to its submission at {moment(run.began_ms)} never came"
    if run.status is not None and run.status >= 400:
        return f": its submission at {moment(run.began_ms)} was answered {run.status}"
    after = next((each for each in job.attempts if each.number > run.number), None)
    if after is not None:
        return f": it was sent again, to {after.instance}, at {moment(after.began_ms)}"
    return ": its client's websocket was gone by then" if run.is_unheard else ""
