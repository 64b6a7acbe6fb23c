"""The jobs of which nothing more can be found, so that they need not be kept."""

from collections.abc import Iterable

from comfyfarm.analysis.findings.finding import FindingRule, RuleContext
from comfyfarm.analysis.findings.order_outcome import outcome_of
from comfyfarm.analysis.logical_jobs import Attempt, LogicalJob


def is_settled(job: LogicalJob, rules: Iterable[FindingRule], context: RuleContext) -> bool:
    """Return whether a job succeeded at its first attempt, was delivered, and no rule may have a finding about it.

    A job of the farm's load is settled when its one attempt has ended, and no interrupt hit it.
    """
    if len(job.attempts) != 1 or job.given_up_seq or job.is_returned:
        return False
    attempt = job.attempts[0]
    if attempt.prompt_id is None or attempt.is_open or attempt.stop is not None or _shares_id(attempt, context):
        return False
    if job.is_load:
        return True
    order = job.order
    return (
        attempt.end == "success"
        and attempt.status is not None      # its answer has come
        and not attempt.kill_seq
        and not attempt.delivered_as
        and (order is None or not (order.failed_seq or order.withdrawn_seq))
        and outcome_of(job, context) == "delivered"
        and not any(rule.concerns(job, context) for rule in rules)
    )


def _shares_id(attempt: Attempt, context: RuleContext) -> bool:
    return len(context.tracker.by_prompt_id.get(attempt.prompt_id or "", ())) != 1
