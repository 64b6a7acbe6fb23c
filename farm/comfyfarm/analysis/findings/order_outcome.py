"""The outcome of each order."""

from collections import Counter
from typing import Literal

from comfyfarm.analysis.findings.availability import has_had_time
from comfyfarm.analysis.findings.deliveries import is_good
from comfyfarm.analysis.findings.finding import RuleContext, moment
from comfyfarm.analysis.findings.job_status import last_of, status_of
from comfyfarm.analysis.logical_jobs import Attempt, LogicalJob, is_hash
from comfyfarm.analysis.taking import Outcome

SETTLED: tuple[Outcome, ...] = ("delivered", "told", "withdrawn")
"""The outcomes after which a user waits for nothing more."""

_ENDS = {"interrupted": "was interrupted on", "deleted": "was deleted from the queue of"}

Basis = Literal["names", "count", "prompts"]
"""What orders are known from.  ``names``: they were reported; ``count``: their number was; ``prompts``: from what was
sent only."""


def outcome_of(job: LogicalJob, context: RuleContext) -> Outcome:
    if (outcome := context.outcomes.get(job.name)) is None:
        outcome = context.outcomes[job.name] = _outcome_of(job, context)
    return outcome


def _outcome_of(job: LogicalJob, context: RuleContext) -> Outcome:
    if job.is_returned:
        return "delivered"
    order, taking = job.order, context.taking
    if taking.has_delivered(job):
        is_bad = job.delivered and not any(is_good(job, delivery, context.tracker) for delivery in job.delivered)
        return "open" if is_bad else "delivered"
    if order is not None and order.withdrawn_seq:
        return "withdrawn"
    if order is not None and order.failed_seq:
        return "told"
    if not job.attempts:
        return "unsent"
    status = status_of(job, context.bounds)
    if status == "reported" and last_of(job).end == "internal":
        return "open"
    if status == "reported":
        return "withdrawn" if _is_withdrawn(job, context) else "failed"
    if status != "done":
        return "failed" if status == "failed" and _has_tried_enough(job, context) else "open"
    missing = taking.missing(job)
    if any(taking.has_taken(run) for run in missing):
        return "undelivered"
    return "untaken" if any(taking.shows(run) for run in missing) else "unknown"


def _has_tried_enough(job: LogicalJob, context: RuleContext) -> bool:
    """Return whether a job was refused so often that its client may give it up, and was not sent again in time."""
    if is_hash(job.name) or len(job.attempts) < context.bounds.tries:
        return False
    return has_had_time(last_of(job), context)


def is_untaken(job: LogicalJob, context: RuleContext) -> bool:
    """Return whether a job succeeded, and no client received its result in any way, also if none might want it."""
    outcome = outcome_of(job, context)
    return outcome == "untaken" or (
        outcome == "unknown" and not any(run.result_reads for run in context.taking.missing(job))
    )


def _is_withdrawn(job: LogicalJob, context: RuleContext) -> bool:
    """Return whether a client's interrupt or deletion tells that the user wants the job no more.

    It does not if the test reports withdrawals, and not of this job.
    """
    if job.order is not None and context.withdrawals_are_reported:
        return False
    last = last_of(job)
    was_stopped_by_name = last.stop is not None and last.stop.names_prompt and last.end in {"interrupted", "deleted"}
    return was_stopped_by_name or last.end == "forgotten" or job.given_up_seq > last.seq


def basis_of(context: RuleContext) -> Basis:
    if context.tracker.forgotten.is_ordered or any(job.is_ordered for job in context.tracker.tested):
        return "names"
    return "prompts" if context.tracker.orders.expected is None else "count"


def is_late(job: LogicalJob, outcome: Outcome, context: RuleContext) -> bool:
    """Return whether a job with such an outcome should have been delivered, or its user told, by now."""
    if outcome == "unsent":
        since_ms = job.order.asked_ms if job.order is not None else 0
        return context.has_passed(since_ms, context.bounds.reaction)
    if outcome == "untaken":
        return has_had_time(context.taking.missing(job)[0], context)
    return context.has_passed(last_of(job).reported_ms or 0, context.bounds.reaction)


def count_outcomes(context: RuleContext) -> Counter[Outcome]:
    """Return the number of orders for each outcome; each delivered run of an unnamed job may be an order of its own."""
    counts: Counter[Outcome] = Counter({"delivered": context.tracker.forgotten.count})
    for job in context.tracker.tested:
        outcome = outcome_of(job, context)
        wishes = 1
        if is_hash(job.name) and outcome == "delivered":
            wishes = max(len(job.ended("success")) + job.is_returned, 1)
        counts[outcome] += wishes
    return counts


def settles_count(context: RuleContext) -> bool:
    """Return whether at least as many orders as were announced are delivered, withdrawn, or failed with a word."""
    expected = context.tracker.orders.expected
    if expected is None:
        return False
    counts = count_outcomes(context)
    return sum(counts[outcome] for outcome in SETTLED) >= expected


def state_of(job: LogicalJob, context: RuleContext) -> str:
    """Describe an order whose user has neither a result nor word of a failure."""
    asked = f"{job.name} was ordered at {moment(job.order.asked_ms)}" if job.order is not None else job.name
    if not job.attempts:
        return f"{asked}, and nothing has been sent for it so far"
    runs = context.taking.missing(job)
    if runs:
        run = runs[0]
        succeeded = f"{job.name} succeeded on {run.instance} at {moment(run.ended_ms or 0)}"
        if context.taking.has_taken(run):
            return f"{succeeded} and its result was taken, but no delivery to its user has been reported so far"
        return f"{succeeded}, and its result has not been taken so far"
    return f"{failure_of(last_of(job))}, and its user has not been told so far"


def failure_of(last: Attempt) -> str:
    when = moment(last.reported_ms or 0)
    if last.end == "refused":
        return f"{last.job} was refused by {last.instance} at {when} ({last.error or last.status})"
    if last.end == "error":
        return f"{last.job} ended in an error on {last.instance} at {when} ({last.error})"
    return f"{last.job} {_ENDS.get(last.end or '', 'was lost with')} {last.instance} at {when}"
