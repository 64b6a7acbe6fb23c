"""The instances that a job could have been sent to, and whether its client has had the time to do so."""

from collections.abc import Iterable

from comfyfarm.analysis.findings.finding import RuleContext
from comfyfarm.analysis.logical_jobs import Attempt
from comfyfarm.events import Exchanged


def has_had_time(last: Attempt, context: RuleContext) -> bool:
    """Return whether the client should have resent the job by now: an instance has been available for long enough."""
    available_ms = available_since_ms(last, context)
    if available_ms is None:
        return False
    reaction_ms = context.bounds.reaction
    patience_ms = max(reaction_ms, last.retry_after_ms or 0)
    return context.has_passed(last.reported_ms or 0, patience_ms) and context.has_passed(available_ms, reaction_ms)


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
