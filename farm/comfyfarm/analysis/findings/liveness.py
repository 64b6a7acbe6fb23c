"""Findings about jobs that have not ended."""

from collections.abc import Iterator

from comfyfarm.analysis.findings.availability import available_since_ms, has_had_time
from comfyfarm.analysis.findings.finding import Finding, FindingRule, RuleContext, moment, rule
from comfyfarm.analysis.findings.job_status import last_of, status_of
from comfyfarm.analysis.findings.order_outcome import is_late, outcome_of, state_of
from comfyfarm.analysis.logical_jobs import Attempt, LogicalJob


@rule("stuck")
class Stuck(FindingRule):
    """A job without success still has an open attempt long after the farm was healed.

    The time counts from the heal or from the attempt's acceptance, whichever came later, and only while nothing has
    gone wrong on purpose since the heal.  A job that was lost and not resent is *lost*, healed or not.
    """

    by_absence = True

    def conclude(self, context: RuleContext) -> Iterator[Finding]:
        heal = context.fleet.undisturbed_heal
        if heal is None:
            return
        heal_seq, heal_ms = heal
        for job in context.tracker.tested:
            attempt = next((attempt for attempt in job.attempts if _is_stuck(attempt, context)), None)
            if attempt is None or status_of(job, context.bounds) != "open":
                continue
            does, look_at = ("waits", "; look at the jobs before it") if attempt.taken_ms is None else ("runs", "")
            says = (
                f"{job.name} still {does} on {attempt.instance}, {moment(context.at_ms - attempt.sent_ms)} after it "
                f"was accepted and {moment(context.at_ms - heal_ms)} after the farm was healed, undisturbed since"
                f"{look_at}."
            )
            yield self.found(says, job=job.name, instance=attempt.instance, events=sorted((attempt.seq, heal_seq)))


@rule("unfinished")
class Unfinished(FindingRule):
    """A job may yet be done, or its user get its result: an attempt is open, or its client still has time."""

    severity = "unknown"

    def conclude(self, context: RuleContext) -> Iterator[Finding]:
        for job in context.tracker.tested:
            if job.name in context.retries:
                continue
            status = status_of(job, context.bounds)
            if status == "open" and not any(_is_stuck(attempt, context) for attempt in job.attempts):
                attempt = next(attempt for attempt in job.attempts if attempt.is_open)
                seq, state = attempt.seq, _open(attempt)
            elif status in {"lost", "failed"} and not has_had_time(last_of(job), context):
                attempt = last_of(job)
                seq, state = attempt.reported_seq, _pending(attempt, context)
            else:
                yield from self._waiting(job, context)
                continue
            late = _lateness(attempt.began_ms, context)
            yield self.found(f"{job.name} {state}{late}.", job=job.name, instance=attempt.instance, events=[seq])

    def _waiting(self, job: LogicalJob, context: RuleContext) -> Iterator[Finding]:
        """Yield a finding if the job's user may yet get a result, or word of its failure."""
        outcome = outcome_of(job, context)
        may_be_told = outcome == "failed" and job.is_ordered
        if (may_be_told or outcome in {"unsent", "untaken", "undelivered"}) and not is_late(job, outcome, context):
            seq = last_of(job).reported_seq if job.attempts else job.order.seq if job.order is not None else 0
            asked_ms = job.order.asked_ms if job.order is not None else context.tracker.trial_ms
            since_ms = last_of(job).began_ms if job.attempts else asked_ms
            yield self.found(f"{state_of(job, context)}{_lateness(since_ms, context)}.", job=job.name, events=[seq])


def _lateness(since_ms: int, context: RuleContext) -> str:
    """Return the end of a sentence if the farm itself was late since then; else nothing."""
    late_ms = context.late_ms(since_ms)
    return f"; for {moment(late_ms)} of that time the farm itself was late" if late_ms else ""


def _open(attempt: Attempt) -> str:
    if attempt.taken_ms is None:
        return f"still waits on {attempt.instance}, since {moment(attempt.sent_ms)}; the run was judged before its end"
    return f"still runs on {attempt.instance}, since {moment(attempt.taken_ms)}; the run was judged before its end"


def _pending(last: Attempt, context: RuleContext) -> str:
    answered = f"was answered {last.status} by" if last.status else "got no answer from"
    what = "was lost with" if last.end == "lost" else answered
    reported_ms = last.reported_ms or 0
    available_ms = available_since_ms(last, context)
    if available_ms is not None:
        then = f"its client has had only {moment(context.at_ms - max(reported_ms, available_ms))} to send it again"
    else:
        then = "no instance has been available since to send it to again"
    return f"{what} {last.instance} at {moment(reported_ms)}, and {then}"


def _is_stuck(attempt: Attempt, context: RuleContext) -> bool:
    """Return whether an attempt has been open for too long after a heal."""
    heal, liveness_ms = context.fleet.undisturbed_heal, context.bounds.liveness
    return attempt.is_open and heal is not None and context.has_passed(max(heal[1], attempt.sent_ms), liveness_ms + 1)
