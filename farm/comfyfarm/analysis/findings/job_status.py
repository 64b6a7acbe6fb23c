"""The status of a logical job, and whether its client should have acted by now."""

from collections.abc import Iterable
from typing import Literal

from comfyfarm.analysis.findings.finding import RuleContext
from comfyfarm.analysis.logical_jobs import Attempt, LogicalJob
from comfyfarm.analysis.thresholds import Thresholds
from comfyfarm.events import Exchanged

JobStatus = Literal["done", "open", "reported", "lost", "failed"]
"""``done``: it succeeded, or its client has delivered it.  ``open``: an attempt waits or runs.  ``reported``: its
client could see how it ended, or its user was told of a failure or gave it up.  ``lost``: its last attempt was lost
with a process.  ``failed``: its last attempt was not accepted, for a reason that calls for another attempt."""


def status_of(job: LogicalJob, bounds: Thresholds) -> JobStatus:
    if not job.attempts or job.delivered or any(attempt.has_result for attempt in job.attempts):
        return "done"
    if job.order is not None and (job.order.failed_seq or job.order.withdrawn_seq):
        return "reported"
    if any(attempt.is_open for attempt in job.attempts):
        return "open"
    if job.given_up_seq > job.attempts[-1].seq or _may_give_up(job, bounds):
        return "reported"
    last = last_of(job)
    if last.end == "lost":
        return "lost"
    return "failed" if last.is_retryable and not _is_invalid(job) else "reported"


def _is_invalid(job: LogicalJob) -> bool:
    """Return whether the job was refused for good and never accepted since, so that its client may give it up."""
    accepted_seq = max((attempt.seq for attempt in job.attempts if attempt.is_accepted), default=0)
    return any(attempt.is_invalid and attempt.seq > accepted_seq for attempt in job.attempts)


def _may_give_up(job: LogicalJob, bounds: Thresholds) -> bool:
    """Return whether so many processes crashed under the job that its client is right to give it up."""
    kills = sum(attempt.kill_seq > 0 for attempt in job.attempts)
    return kills > 0 and kills >= bounds.kills


def last_of(job: LogicalJob) -> Attempt:
    """Return the attempt that ended last, of a job without open attempts."""
    return max(job.attempts, key=lambda attempt: attempt.end_seq)


def has_had_time(last: Attempt, context: RuleContext) -> bool:
    """Return whether the client should have resent the job by now: an instance has been available for long enough."""
    available_ms = available_since_ms(last, context)
    if available_ms is None:
        return False
    reaction_ms = context.bounds.reaction
    patience_ms = max(reaction_ms, last.retry_after_ms or 0)
    return context.at_ms >= max((last.reported_ms or 0) + patience_ms, available_ms + reaction_ms)


def available_since_ms(last: Attempt, context: RuleContext) -> int | None:
    """Return since when a job could be sent again; ``None`` if it cannot now.

    An instance that has refused it for something that it lacks does not count.
    """
    lacking = {attempt.instance for attempt in context.tracker.jobs[last.job].attempts if attempt.missing}
    members = (member for member in context.fleet.members.values() if member.name not in lacking)
    answering_ms = min((member.answering_since_ms for member in members if member.accepts_jobs), default=None)
    if answering_ms is None or context.fleet.available_since_ms is None:
        return None
    return max(context.fleet.available_since_ms, answering_ms)


def other_instances(event: Exchanged, context: RuleContext) -> tuple[str, ...]:
    """Return the instances that would have accepted a submission that failed at another one just now."""
    job = context.tracker.jobs.get(event.job)
    refusing = {attempt.instance for attempt in job.attempts if attempt.missing or attempt.status == 400} if job else ()
    names = (name for name in context.fleet.members if name != event.instance and name not in refusing)
    return tuple(name for name in names if context.fleet.would_accept(name))


def available(others: Iterable[str], seq: int, context: RuleContext) -> list[str]:
    """Return those of :func:`other_instances` at an event whose next answer is no failure, too."""
    # One that fails next may have been down already.
    return [name for name in others if not context.fleet.turned_away_next(name, seq)]


def is_stuck(attempt: Attempt, context: RuleContext) -> bool:
    """Return whether an attempt has been open for too long after a heal."""
    heal, liveness_ms = context.fleet.undisturbed_heal, context.bounds.liveness
    return attempt.is_open and heal is not None and context.at_ms - max(heal[1], attempt.sent_ms) > liveness_ms
