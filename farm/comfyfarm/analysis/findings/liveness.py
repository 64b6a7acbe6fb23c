"""What should have ended by now."""

from __future__ import annotations

from collections.abc import Iterator

from comfyfarm.analysis.findings.finding import Finding, FindingRule, RuleContext, moment, rule
from comfyfarm.analysis.findings.job_status import has_had_time, has_somewhere_to_go, is_stuck, last_of, status_of
from comfyfarm.analysis.logical_jobs import Attempt, LogicalJob


@rule("stuck")
class Stuck(FindingRule):
    """The farm was healed, and an attempt of a logical job without success is open for longer than everything may take.

    Counted from the heal, or from when it was taken on, whichever came later; not once something else has gone wrong on
    purpose.  A job that was lost and not sent again is *lost*, healed or not.
    """

    by_absence = True

    def conclude(self, known: RuleContext) -> Iterator[Finding]:
        """One finding for each such job."""
        for job in known.attempts.tested:
            if status_of(job, known.bounds) != "open":
                continue
            attempt = next((each for each in job.attempts if is_stuck(each, known)), None)
            if attempt is None or known.fleet.calm is None:
                continue
            seq, calm_ms = known.fleet.calm
            does = "waits" if attempt.taken_ms is None else "runs"
            yield Finding(
                finding=self.name,
                severity="error",
                job=job.name,
                instance=attempt.instance,
                events=tuple(sorted((attempt.seq, seq))),
                says=f"{job.name} still {does} on {attempt.instance}, {moment(known.at_ms - attempt.sent_ms)} after it "
                f"was taken on and {moment(known.at_ms - calm_ms)} after the farm was healed.",
            )


@rule("unfinished")
class Unfinished(FindingRule):
    """A logical job has not succeeded, and may yet: an attempt is open, or its client still has time to send one."""

    def conclude(self, known: RuleContext) -> Iterator[Finding]:
        """One finding for each such job."""
        for job in known.attempts.tested:
            fate = status_of(job, known.bounds)
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


def _pending(last: Attempt, known: RuleContext) -> tuple[Attempt, int, str]:
    what = f"was lost with {last.instance}" if last.end == "lost" else f"failed at {last.instance} ({last.status})"
    reported_ms = last.reported_ms or 0
    if not has_somewhere_to_go(last, known):
        then = "there has been no instance to send it to again"
    else:
        then = f"its client has had only {moment(known.at_ms - reported_ms)} to send it again"
    return last, last.reported_seq, f"{what} at {moment(reported_ms)}, and {then}"
