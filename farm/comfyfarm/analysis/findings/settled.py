"""The jobs of which nothing more can be found, so that they need not be kept."""

from collections.abc import Iterable

from comfyfarm.analysis.findings.deliveries import is_good
from comfyfarm.analysis.findings.finding import FindingRule, RuleContext
from comfyfarm.analysis.logical_jobs import LogicalJob


def settled_of(jobs: Iterable[LogicalJob], rules: Iterable[FindingRule], context: RuleContext) -> list[LogicalJob]:
    """Return the jobs that succeeded at their first attempt and were delivered, and about which no rule has a finding.

    A job of the farm's load is settled when its one attempt has ended, and no interrupt hit it.
    """
    ended = [job for job in jobs if _has_ended(job, context)]
    well = [job for job in ended if not job.is_load and _went_well(job, context)]
    concerned = {job for rule in rules for job in rule.concerned(well, context)}
    settled = {job for job in ended if job.is_load}.union(well) - concerned
    return [job for job in ended if job in settled]


def _has_ended(job: LogicalJob, context: RuleContext) -> bool:
    """Return whether a job's only attempt has ended, and nobody stopped it."""
    if len(job.attempts) != 1 or job.given_up_seq or job.is_returned:
        return False
    attempt = job.attempts[0]
    if attempt.prompt_id is None or attempt.is_open or attempt.stop is not None:
        return False
    return len(context.tracker.by_prompt_id.get(attempt.prompt_id, ())) == 1


def _went_well(job: LogicalJob, context: RuleContext) -> bool:
    attempt, order = job.attempts[0], job.order
    return (
        attempt.end == "success"
        and attempt.status is not None      # its answer has come
        and not attempt.kill_seq
        and not attempt.delivered_as
        and (order is None or not (order.failed_seq or order.withdrawn_seq))
        and all(is_good(job, delivery, context.tracker) for delivery in job.delivered)
        and (bool(job.delivered) or context.taking.has_delivered(job))
    )
