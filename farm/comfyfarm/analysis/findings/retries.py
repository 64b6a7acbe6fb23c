"""Findings about retries: too early, too often, of a job that crashes processes, or not sent at all."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from comfyfarm.analysis.findings.availability import available, has_had_time, other_instances
from comfyfarm.analysis.findings.finding import Finding, FindingRule, RuleContext, moment, rule
from comfyfarm.analysis.findings.job_status import last_of, status_of
from comfyfarm.analysis.findings.resubmitted import needless
from comfyfarm.analysis.findings.retry_after import early
from comfyfarm.analysis.instance_jobs import is_submission, is_turned_away
from comfyfarm.analysis.job_tracker import JobTracker
from comfyfarm.analysis.logical_jobs import Attempt, LogicalJob, is_hash
from comfyfarm.analysis.thresholds import Thresholds
from comfyfarm.events import Event, Exchanged


def excess_kills(job: LogicalJob, bounds: Thresholds) -> list[Attempt]:
    """Return the attempts during which a process crashed; none if they are not more than the threshold."""
    killed = [attempt for attempt in job.attempts if attempt.kill_seq]
    return killed if len(killed) > bounds.kills else []


@rule("no_retry")
class NoRetry(FindingRule):
    """The last attempt of a job was answered with 429, with 5xx or not at all, and no other followed.

    Not if its client has tried often enough, has not had time to react, or may have sent it again under another hash.
    """

    by_absence = True

    def conclude(self, context: RuleContext) -> Iterator[Finding]:
        origins = {retry.job: name for name, retry in context.retries.items()}
        for job in context.tracker.tested:
            if status_of(job, context.bounds) != "failed" or job.name in context.retries:
                continue
            if _count_tries(job, origins, context.tracker) >= context.bounds.tries:
                continue
            last = last_of(job)
            if has_had_time(last, context):
                reported_ms = last.reported_ms or 0
                answer = f"answered {last.status}" if last.status else "gave no answer"
                says = (
                    f"{last.instance} {answer} to attempt {last.number} of {job.name} at {moment(reported_ms)}, and "
                    f"nobody tried again in the {moment(context.at_ms - reported_ms)} since."
                )
                yield self.found(says, job=job.name, instance=last.instance, events=[last.reported_seq])


def _count_tries(job: LogicalJob, origins: Mapping[str, str], tracker: JobTracker) -> int:
    """Return the number of attempts of a job, with those of the jobs that it may be a retry of.

    :param origins: by the name of a job, that of the job that it may be a retry of.
    """
    tries = len(job.attempts)
    while (origin := origins.get(job.name)) is not None:
        job = tracker.jobs[origin]
        tries += len(job.attempts)
    return tries


@rule("retry_storm")
@dataclass(eq=False)
class RetryStorm(FindingRule):
    """A job was sent too often, or several times in a row immediately after a failure.

    A failure is an attempt that was lost, ended in an error, or was not accepted.  Attempts that are part of other
    findings do not count: needless ones (*resubmitted*), early ones (*retry_after_ignored*), those refused with
    400 or 413, and those whose process crashed if these are too many (*poison_carried*).
    While no instance accepts anything, a client may go on with patience: such attempts are not too many.

    :ivar _others: by the ``seq`` of the answer, the instances that seemed available when an attempt was turned away.
    """

    handles = ("POST /prompt",)
    _others: dict[int, tuple[str, ...]] = field(default_factory=dict)

    def on_event(self, event: Event, context: RuleContext) -> None:
        if isinstance(event, Exchanged) and is_submission(event) and is_turned_away(event):
            self._others[event.seq] = other_instances(event, context)

    def conclude(self, context: RuleContext) -> Iterator[Finding]:
        tracker, bounds = context.tracker, context.bounds
        hasty = context.hasty
        for job in tracker.tested:
            if len(job.attempts) <= min(bounds.retries, bounds.quick_retries + 1):
                continue
            others = {attempt for attempt, _ in needless(job)}.union(excess_kills(job, bounds))
            rest = [attempt for attempt in job.attempts if attempt not in hasty and attempt not in others]
            # A refusal may have given the client something to correct before the next attempt.
            counted = [attempt for attempt in rest if not (attempt.missing or attempt.is_invalid)]
            quick = max(_rows(counted, partial(_is_quick, bounds=bounds)), key=len)
            many = self._without_outages(counted, context)
            if is_hash(job.name):   # It may have been wanted several times: only retries count.
                many = max(_rows(many, _follows_failure), key=len)
            if len(many) > bounds.retries:
                why = f"; at most {bounds.retries} are allowed"
                yield self._storm(job, many, context, f"sent {len(many)} times", why)
            elif len(quick) > bounds.quick_retries + 1:
                why = f", each time less than {moment(bounds.backoff)} after it had failed"
                yield self._storm(job, quick, context, f"sent again {len(quick) - 1} times in a row", why)

    def _without_outages(self, attempts: list[Attempt], context: RuleContext) -> list[Attempt]:
        """Return the attempts without those that were sent with patience while every instance turned jobs away."""
        pairs = zip([None, *attempts], attempts, strict=False)
        return [attempt for before, attempt in pairs if not self._is_in_outage(before, attempt, context)]

    def _is_in_outage(self, before: Attempt | None, attempt: Attempt, context: RuleContext) -> bool:
        seq = attempt.answer_seq
        if not attempt.is_retryable or seq not in self._others or available(self._others[seq], seq, context):
            return False
        if before is None:
            return True
        is_quick = _is_quick(before, attempt, context.bounds)
        return not is_quick and not context.fleet.decided_between(before.reported_seq, seq)

    def _storm(
        self, job: LogicalJob, attempts: list[Attempt], context: RuleContext, what: str, why: str
    ) -> Finding:
        first, last = attempts[0], attempts[-1]
        where = " and ".join(dict.fromkeys(attempt.instance for attempt in attempts))
        says = f"{job.name} was {what}, to {where}, from {moment(first.began_ms)} to {moment(last.began_ms)}{why}."
        late = context.was_late(first.began_ms, last.began_ms)
        return self.found(says, job=job.name, events=(first.seq, last.seq), farm_was_late=late)


def _rows(attempts: list[Attempt], belong: Callable[[Attempt, Attempt], bool]) -> Iterator[list[Attempt]]:
    """Split the attempts where one and the next do not belong together; yields at least one row."""
    row: list[Attempt] = []
    for attempt in attempts:
        if row and not belong(row[-1], attempt):
            yield row
            row = []
        row.append(attempt)
    yield row


def _follows_failure(before: Attempt, after: Attempt) -> bool:
    has_failed = before.is_retryable or before.end in {"lost", "error"}
    return has_failed and after.is_sent_after(before.reported_seq, before.reported_ms or 0)


def _is_quick(before: Attempt, after: Attempt, bounds: Thresholds) -> bool:
    return _follows_failure(before, after) and after.began_ms - (before.reported_ms or 0) < bounds.backoff


@rule("retry_after_ignored")
class RetryAfterIgnored(FindingRule):
    """A submission came to an instance before the ``Retry-After`` of its last 429 or 503 had passed.

    One finding for each logical job and instance.
    """

    def concerned(self, jobs: Sequence[LogicalJob], context: RuleContext) -> Iterable[LogicalJob]:
        return [job for job in jobs if job.attempts[0] in context.hasty]

    def conclude(self, context: RuleContext) -> Iterator[Finding]:
        found: dict[tuple[str, str], list[tuple[Attempt, Attempt]]] = {}
        for name in context.tracker.by_instance:
            for attempt, before in early(context.tracker, name, context.bounds.wire):
                found.setdefault((attempt.job, name), []).append((attempt, before))
        for (job, name), cases in sorted(found.items(), key=lambda item: item[1][0][0].seq):
            first, before = cases[0]
            more = f", and {len(cases) - 1} more times" if len(cases) > 1 else ""
            says = (
                f"{job} was sent to {name} at {moment(first.began_ms)}{more}, though {name} had answered "
                f"{before.status} at {moment(before.reported_ms or 0)} and asked to wait "
                f"{moment(before.retry_after_ms or 0)} (Retry-After)."
            )
            late = context.was_under_way(before.reported_ms or 0, first.began_ms)
            events = before.reported_seq, first.seq
            yield self.found(says, job=job, instance=name, events=events, farm_was_late=late)


@rule("poison_carried")
class PoisonCarried(FindingRule):
    """More processes crashed while they ran a job than are allowed, each time after its client had sent it again.

    A process that keeps its queue and runs the job again by itself is the same attempt, and counts once.
    """

    def conclude(self, context: RuleContext) -> Iterator[Finding]:
        for job in context.tracker.tested:
            killed = excess_kills(job, context.bounds)
            if killed:
                where = ", ".join(f"{attempt.instance} (sent at {moment(attempt.began_ms)})" for attempt in killed)
                says = (
                    f"{len(killed)} processes crashed while {job.name} ran on them: {where}; after "
                    f"{context.bounds.kills} its client should have given it up."
                )
                yield self.found(says, job=job.name, events=[attempt.kill_seq for attempt in killed])
