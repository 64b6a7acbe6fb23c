"""How does it stand with a logical job, and is it its client's turn?"""

from __future__ import annotations

from typing import Literal

from comfyfarm.analysis.findings.finding import RuleContext, Thresholds
from comfyfarm.analysis.logical_jobs import Attempt, LogicalJob

JobStatus = Literal["done", "open", "told", "lost", "failed"]
"""``done``: it succeeded, or its client says so.  ``open``: an attempt waits or runs.  ``told``: it ended in a way that
its client could see, or its user gave it up.  ``lost``: its last attempt went down with a process.  ``failed``: its
last attempt came to nothing before it was taken on, in a way that asks for another."""


def status_of(job: LogicalJob, bounds: Thresholds) -> JobStatus:
    """How it stands with a job by now."""
    if not job.attempts or job.delivered or any(_has_result(each) for each in job.attempts):
        return "done"
    if any(each.is_open for each in job.attempts):
        return "open"
    if job.given_up_seq > job.attempts[-1].seq or _has_killed_enough(job, bounds):
        return "told"
    last = last_of(job)
    return "lost" if last.end == "lost" else "failed" if last.is_retryable else "told"


def _has_result(attempt: Attempt) -> bool:
    """Whether its client has it, or could: also where the process died right behind the last node."""
    return attempt.end == "success" or (attempt.done_seq > 0 and attempt.fetched > 0)


def _has_killed_enough(job: LogicalJob, bounds: Thresholds) -> bool:
    """Whether it took so many processes with it that to give it up is right."""
    kills = sum(each.kill_seq > 0 for each in job.attempts)
    return kills > 0 and kills >= bounds.kills


def last_of(job: LogicalJob) -> Attempt:
    """Of a job whose attempts are all over: the one that ended last."""
    return max(job.attempts, key=lambda each: each.end_seq)


def has_had_time(last: Attempt, known: RuleContext) -> bool:
    """Whether its client should have sent it again by now: it had somebody to send it to, for long enough."""
    available_ms = known.fleet.available_since_ms
    if available_ms is None or not has_somewhere_to_go(last, known):
        return False
    patience_ms = max(known.bounds.reaction, last.retry_after_ms or 0)
    return known.at_ms >= max((last.reported_ms or 0) + patience_ms, available_ms + known.bounds.reaction)


def has_somewhere_to_go(last: Attempt, known: RuleContext) -> bool:
    """Whether an instance is there now for its job; not one that has refused it for something that it lacks."""
    lacking = {each.instance for each in known.attempts.jobs[last.job].attempts if each.missing}
    return any(each.is_open_to_work and each.name not in lacking for each in known.fleet.members.values())


def is_stuck(attempt: Attempt, known: RuleContext) -> bool:
    """Whether it has been open for too long in a farm that was healed."""
    calm = known.fleet.calm
    return attempt.is_open and calm is not None and known.at_ms - max(calm[1], attempt.sent_ms) > known.bounds.liveness
