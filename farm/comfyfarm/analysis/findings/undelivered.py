"""Findings about orders whose user got neither a result nor word of a failure."""

from collections.abc import Iterator

from comfyfarm.analysis.findings.finding import Finding, FindingRule, RuleContext, Severity, moment, rule
from comfyfarm.analysis.findings.job_status import last_of
from comfyfarm.analysis.findings.order_outcome import (
    SETTLED,
    basis_of,
    count_outcomes,
    failure_of,
    is_late,
    outcome_of,
    settles_count,
    state_of,
)
from comfyfarm.analysis.findings.wrong_instance import missed_elsewhere
from comfyfarm.analysis.logical_jobs import Attempt, LogicalJob, is_hash

_NOTHING_TAKEN = (
    "so that the farm cannot know if any user got a picture. Let the test state what counts as delivered: "
    'delivery = "http", "told", "folder" or "none".'
)

_MOST_EVENTS = 20


@rule("orphaned")
class Orphaned(FindingRule):
    """A job succeeded, and nobody has taken its result in time; not if that is *asked_* or *listened_elsewhere*."""

    by_absence = True

    def conclude(self, context: RuleContext) -> Iterator[Finding]:
        for job in context.tracker.tested:
            if outcome_of(job, context) != "untaken" or missed_elsewhere(job, context):
                continue
            if is_late(job, "untaken", context):
                runs = context.taking.missing(job)
                run = runs[0]
                says = (
                    f"{job.name} succeeded on {run.instance} at {moment(run.ended_ms or 0)}, and nobody has taken its "
                    f"result so far{_why_orphaned(job, run, context)}."
                )
                yield self.found(says, job=job.name, instance=run.instance, events=[run.end_seq for run in runs])


def _why_orphaned(job: LogicalJob, run: Attempt, context: RuleContext) -> str:
    if (fetch := run.broken_fetch) is not None:
        return f": the answer of {fetch.instance} to GET /view for {fetch.name} at {moment(fetch.at_ms)} {fetch.what}"
    if run.status == 0:
        return f": the answer to its submission at {moment(run.began_ms)} never came"
    if run.status is not None and run.status >= 400:
        return f": its submission at {moment(run.began_ms)} was answered {run.status}"
    after = next((attempt for attempt in job.attempts if attempt.number > run.number), None)
    if after is not None:
        return f": it was sent again, to {after.instance}, at {moment(after.began_ms)}"
    if run.is_socket_closed:
        return ": its client's websocket was gone by then"
    why = _why_missed(run, context)
    return f": {why}" if why else ""


def _why_missed(run: Attempt, context: RuleContext) -> str:
    """Return why the client did not learn of a run's result: half a sentence; empty if the log does not show it."""
    requests = context.requests.by_job().get(run.job)
    if requests is not None and run in requests.attempts:
        what, instance = next(iter(requests.whats)), requests.first.instance
        return f"its {what} was requested from {instance} at {moment(requests.first.at_ms)}"
    return context.listeners.silenced.get(run, "")


@rule("nothing_taken")
class NothingTaken(FindingRule):
    """Jobs succeeded, nobody ever took a result of such a job, and the test did not state what counts as delivered."""

    severity = "unknown"
    by_absence = True

    def conclude(self, context: RuleContext) -> Iterator[Finding]:
        jobs = [job for job in context.tracker.tested if outcome_of(job, context) == "unknown"]
        jobs = [job for job in jobs if not missed_elsewhere(job, context)]
        if not jobs:
            return
        runs = [run for job in jobs for run in context.taking.missing(job)]
        what = "fetched a file of any of them" if any(run.files for run in runs) else "asked for their results"
        number = "1 job" if len(jobs) == 1 else f"{len(jobs)} jobs"
        says = f"{number} succeeded and nobody {what}, {_NOTHING_TAKEN}"
        yield self.found(says, events=sorted(run.end_seq for run in runs)[:_MOST_EVENTS])


@rule("undelivered")
class Undelivered(FindingRule):
    """An order ended without its user having a result, or being told that there is none.

    Unknown instead of an error, if the order is not known by name: then the farm does not know what the user was told.
    """

    by_absence = True

    def conclude(self, context: RuleContext) -> Iterator[Finding]:
        is_complete = settles_count(context)
        for job in context.tracker.tested:
            outcome = outcome_of(job, context)
            if outcome == "failed" and not job.is_ordered:
                # If as many orders as announced are settled, another submission was in place of an unnamed one.
                if not (is_complete and is_hash(job.name)):
                    yield self._untold(job)
            elif outcome in {"unsent", "failed", "undelivered"} and is_late(job, outcome, context):
                yield self.found(f"{state_of(job, context)}.", job=job.name, events=_events(job))
        yield from self._uncounted(context)

    def _untold(self, job: LogicalJob) -> Finding:
        says = (
            f"{failure_of(last_of(job))}, and it was not reported if its user was told; report that with the name "
            "of the order (docs/verdict.md)."
        )
        return self.found(says, job=job.name, instance=last_of(job).instance, events=_events(job), severity="unknown")

    def _uncounted(self, context: RuleContext) -> Iterator[Finding]:
        expected = context.tracker.orders.expected
        if expected is None or settles_count(context):
            return
        counts = count_outcomes(context)
        if basis_of(context) == "names" and counts.total() >= expected:
            return      # Each of them has a finding of its own.
        rest = expected - sum(counts[outcome] for outcome in SETTLED)
        says = (
            f"{expected} orders were announced: {counts['delivered']} were delivered, {counts['told']} failed and "
            f"their users were told, {counts['withdrawn']} were withdrawn, and the users of the other {rest} have "
            f"got nothing so far; {_came(context)}."
        )
        yield self.found(says, severity="error" if _is_over(context) else "unknown")


def _is_over(context: RuleContext) -> bool:
    """Return whether no job is open, and nothing was ordered, sent or ended for some time."""
    jobs = context.tracker.tested
    attempts = [attempt for job in jobs for attempt in job.attempts]
    if any(attempt.is_open for attempt in attempts):
        return False
    asked_ms = (job.order.asked_ms for job in jobs if job.order is not None)
    ended_ms = (attempt.reported_ms or 0 for attempt in attempts)
    return context.has_passed(max((context.tracker.trial_ms, *asked_ms, *ended_ms)), context.bounds.reaction)


def _came(context: RuleContext) -> str:
    sent = context.tracker.forgotten.count + sum(bool(job.attempts) for job in context.tracker.tested)
    return "1 job was sent in all" if sent == 1 else f"{sent} jobs were sent in all"


def _events(job: LogicalJob) -> list[int]:
    order = [job.order.seq] if job.order is not None else []
    return [*order, last_of(job).reported_seq] if job.attempts else order


@rule("contradicted")
class Contradicted(FindingRule):
    """A user was told of a failure, and got the result as well; a warning if the result was only there."""

    def conclude(self, context: RuleContext) -> Iterator[Finding]:
        for job in context.tracker.tested:
            order = job.order
            if order is None or not order.failed_seq:
                continue
            told = f"The user of {job.name} was told at {moment(order.failed_ms)} that it had failed"
            run = next(iter(job.ended("success")), None)
            if job.delivered:
                delivery = job.delivered[0]
                says = f"{told}, and it was delivered at {moment(delivery.at_ms)}."
                yield self.found(says, job=job.name, events=sorted((order.failed_seq, delivery.seq)))
            elif job.is_returned:
                was_delivered = context.tracker.forgotten.is_complete
                says = f"{told}, but it had {'been delivered' if was_delivered else 'succeeded'} long before."
                severity: Severity = "error" if was_delivered else "warning"
                yield self.found(says, job=job.name, events=[order.failed_seq], severity=severity)
            elif run is not None:
                says = f"{told}, but it succeeded on {run.instance} at {moment(run.ended_ms or 0)}."
                events = sorted((order.failed_seq, run.end_seq))
                yield self.found(says, job=job.name, instance=run.instance, events=events, severity="warning")
