"""The status of logical jobs, and those without a name that may be retries of others."""

from typing import Literal

from comfyfarm.analysis.job_tracker import JobTracker
from comfyfarm.analysis.logical_jobs import Attempt, LogicalJob, is_hash
from comfyfarm.analysis.thresholds import Thresholds

JobStatus = Literal["done", "open", "reported", "lost", "failed"]
"""``done``: it succeeded, or its client has delivered it.  ``open``: an attempt waits or runs.  ``reported``: its
client could see how it ended, or its user was told of a failure or gave it up.  ``lost``: its last attempt was lost
with a process.  ``failed``: its last attempt was not accepted, for a reason that calls for another attempt."""


def status_of(job: LogicalJob, bounds: Thresholds) -> JobStatus:
    if not job.attempts or job.is_returned or job.delivered or any(attempt.has_result for attempt in job.attempts):
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


def possible_retries(tracker: JobTracker, bounds: Thresholds) -> dict[str, Attempt]:
    """Return, for unnamed jobs that were lost or failed, the first attempt of another that may be the retry.

    A prompt with another seed has another hash.  Each attempt is the retry of one job at most, and as many jobs as
    possible have one, so that those without one are certainly as many as were not sent again.
    """
    if not tracker.unnamed_failures:
        return {}
    unnamed = [job for job in tracker.tested if job.attempts and is_hash(job.name)]
    suspects = [job for job in unnamed if job.name in tracker.unnamed_failures]
    failed = [last_of(job) for job in suspects if status_of(job, bounds) in {"lost", "failed"}]
    firsts = sorted((job.attempts[0] for job in unnamed), key=lambda attempt: attempt.seq)
    retries: dict[str, Attempt] = {}
    later: list[Attempt] = []   # than the failure; the earliest comes last
    for last in sorted(failed, key=lambda attempt: attempt.reported_seq, reverse=True):
        while firsts and firsts[-1].seq > last.reported_seq:
            later.append(firsts.pop())
        for index in reversed(range(len(later))):
            if later[index].is_sent_after(last.reported_seq, last.reported_ms or 0):
                retries[last.job] = later.pop(index)
                break
    return retries
