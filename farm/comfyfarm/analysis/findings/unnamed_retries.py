"""Jobs without a name that may be retries of others: a prompt with another seed has another hash."""

from __future__ import annotations

from comfyfarm.analysis.findings.finding import RuleContext
from comfyfarm.analysis.findings.job_status import last_of, status_of
from comfyfarm.analysis.logical_jobs import Attempt, is_hash


def possible_retries(context: RuleContext) -> dict[str, Attempt]:
    """Return, for unnamed jobs that were lost or failed, the first attempt of another that may be the retry.

    Each attempt is the retry of one job at most, and as many jobs as possible have one, so that those without one are
    certainly as many as were not sent again.
    """
    unnamed = [job for job in context.tracker.tested if job.attempts and is_hash(job.name)]
    failed = [last_of(job) for job in unnamed if status_of(job, context.bounds) in {"lost", "failed"}]
    firsts = sorted((job.attempts[0] for job in unnamed), key=lambda attempt: attempt.seq)
    retries: dict[str, Attempt] = {}
    later: list[Attempt] = []   # than the failure; the earliest comes last
    for last in sorted(failed, key=lambda attempt: attempt.reported_seq, reverse=True):
        while firsts and firsts[-1].seq > last.reported_seq:
            later.append(firsts.pop())
        sent_after = (attempt for attempt in reversed(later) if _is_sent_after(attempt, last))
        if (retry := next(sent_after, None)) is not None:
            retries[last.job] = retry
            later.remove(retry)
    return retries


def _is_sent_after(attempt: Attempt, last: Attempt) -> bool:
    return attempt.is_sent_after(last.reported_seq, last.reported_ms or 0)


def count_tries(job: str, retries: dict[str, Attempt], context: RuleContext) -> int:
    """Return the number of attempts of a job, with those of the jobs that it may be a retry of."""
    origins = {retry.job: name for name, retry in retries.items()}
    tries = len(context.tracker.jobs[job].attempts)
    while (origin := origins.get(job)) is not None:
        job = origin
        tries += len(context.tracker.jobs[job].attempts)
    return tries
