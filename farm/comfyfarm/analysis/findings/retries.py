"""Findings about retries: sent needlessly, too early, too often, or not at all."""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter

from comfyfarm.analysis.findings.finding import Finding, FindingRule, RuleContext, moment, rule
from comfyfarm.analysis.findings.job_status import available, has_had_time, last_of, other_instances, status_of
from comfyfarm.analysis.findings.unnamed_retries import count_tries, possible_retries
from comfyfarm.analysis.instance_jobs import is_submission, is_turned_away
from comfyfarm.analysis.job_tracker import JobTracker
from comfyfarm.analysis.logical_jobs import Attempt, LogicalJob, is_hash
from comfyfarm.analysis.thresholds import Thresholds
from comfyfarm.events import Event, Exchanged


@dataclass(frozen=True)
class Ban:
    """A reason not to send a job again.

    :ivar seq: of the event that gave it.
    :ivar why: half a sentence.
    :ivar refusal: the attempt whose refusal it is; ``None`` for an interrupt.
    """

    seq: int
    at_ms: int
    why: str
    refusal: Attempt | None = None

    def covers(self, attempt: Attempt) -> bool:
        if not attempt.is_sent_after(self.seq, self.at_ms):
            return False
        return self.refusal is None or _is_refused_again(attempt, self.refusal)


def _is_refused_again(attempt: Attempt, refusal: Attempt) -> bool:
    """Return whether an attempt was refused as an earlier one was, so that nothing had been corrected."""
    if attempt.end != "refused" or attempt.is_repaired_since(refusal) or attempt.error != refusal.error:
        return False
    if refusal.missing or attempt.missing:
        return not set(attempt.missing).isdisjoint(refusal.missing)
    return bool(attempt.error) or attempt.status == refusal.status


_Scope = str | tuple[str, int] | None
"""Where a ban holds: everywhere (``None``), at an instance, or at one process of it (its epoch)."""


def needless(job: LogicalJob) -> list[tuple[Attempt, Ban]]:
    """Return the attempts of a job that were refused again without any correction, or sent after its user's stop."""
    if len(job.attempts) < 2:
        return []
    bans = _first_bans(job)
    found = []
    for attempt in job.attempts:
        scopes: tuple[_Scope, ...] = (None, attempt.instance, (attempt.instance, attempt.epoch))
        in_scope = (bans[scope].first_for(attempt) for scope in scopes if scope in bans)
        ban = next((ban for ban in in_scope if ban is not None), None)
        if ban is not None:
            found.append((attempt, ban))
    return found


@dataclass(eq=False)
class _Bans:
    """The first ban of one scope for each reason, in the order of the log.

    :ivar stop: the one that is no refusal.
    """

    refusals: list[Ban] = field(default_factory=list)
    stop: Ban | None = None

    def first_for(self, attempt: Attempt) -> Ban | None:
        """Return the first that covers an attempt."""
        refusal = next((ban for ban in self._uncorrected(attempt) if ban.covers(attempt)), None)
        stop = self.stop if self.stop is not None and self.stop.covers(attempt) else None
        return min((ban for ban in (refusal, stop) if ban is not None), key=_BY_SEQ, default=None)

    def _uncorrected(self, attempt: Attempt) -> list[Ban]:
        """Return the refusals since the latest repair: of a job that is corrected many times, few of many."""
        if not self.refusals or attempt.end != "refused":
            return []
        is_lack = all(ban.refusal is not None and ban.refusal.missing for ban in self.refusals[:1])
        repaired_seq = attempt.equipped_seq if is_lack else max(attempt.upload_seq, attempt.equipped_seq)
        begin = bisect_left(self.refusals, repaired_seq, key=_BY_SEQ)
        return self.refusals[begin : bisect_left(self.refusals, attempt.seq, key=_BY_SEQ)]


_BY_SEQ = attrgetter("seq")


def _first_bans(job: LogicalJob) -> dict[_Scope, _Bans]:
    pairs = sorted((pair for attempt in job.attempts for pair in _bans_of(attempt)), key=lambda pair: pair[1].seq)
    reasons: set[object] = set()
    bans: dict[_Scope, _Bans] = {}
    for scope, ban in pairs:
        in_scope, refusal = bans.setdefault(scope, _Bans()), ban.refusal
        if refusal is None:
            in_scope.stop = in_scope.stop or ban
            continue
        reason = scope, refusal.status, refusal.error, refusal.missing, refusal.upload_seq, refusal.equipped_seq
        if reason not in reasons:
            reasons.add(reason)
            in_scope.refusals.append(ban)
    return bans


def _bans_of(attempt: Attempt) -> Iterator[tuple[_Scope, Ban]]:
    if attempt.end == "refused" and attempt.status in {400, 413} and attempt.answered_ms is not None:
        lacks = f" because it lacks {', '.join(attempt.missing)}" if attempt.missing else ""
        refused = f"{attempt.instance} had refused it with {attempt.status} at {moment(attempt.answered_ms)}{lacks}"
        why = f"{refused}, and nothing was corrected since"
        scope = (attempt.instance, attempt.epoch) if attempt.missing else None
        yield scope, Ban(attempt.answer_seq, attempt.answered_ms, why, attempt)
    stop = attempt.stop
    if stop is None:
        return
    # Clients also stop an attempt by its prompt id alone to move the job, or because a fault fired on it.
    is_final_here = stop.names_prompt and not stop.job and not attempt.had_fault
    if stop.job == attempt.job or is_final_here:
        why = f"its user had stopped it on {attempt.instance} at {moment(stop.at_ms)}"
        yield None if stop.job else attempt.instance, Ban(stop.seq, stop.at_ms, why)


_MOST_WAITS = 100
"""How many answers with ``Retry-After`` are remembered of a client, or for a job."""


def early(tracker: JobTracker, instance: str, wire_ms: int) -> Iterator[tuple[Attempt, Attempt]]:
    """Yield each attempt at an instance that came before its ``Retry-After``, and the attempt that received that.

    A ``Retry-After`` holds for the client id that received it, and for the logical job.
    """
    attempts = tracker.by_instance.get(instance, [])
    if all(attempt.retry_after_ms is None for attempt in attempts):
        return
    waits: dict[tuple[str, str], list[Attempt]] = {}
    for attempt in attempts:
        keys = [("job", attempt.job)] + ([("client", attempt.client_id)] if attempt.client_id is not None else [])
        for key in keys:
            if key in waits:    # The latest may not be known to its client yet, so earlier ones matter, too.
                in_force = [wait for wait in waits[key] if attempt.began_ms < _earliest_retry_ms(wait)]
                waits[key] = in_force[-_MOST_WAITS:]
        received = [wait for key in keys for wait in reversed(waits.get(key, []))]
        before = next((wait for wait in received if attempt.is_sent_after_failure_of(wait, wire_ms)), None)
        if before is not None:
            yield attempt, before
        if attempt.end == "refused" and attempt.status in {429, 503} and attempt.retry_after_ms is not None:
            for key in keys:
                waits.setdefault(key, []).append(attempt)


def _earliest_retry_ms(attempt: Attempt) -> int:
    return (attempt.reported_ms or 0) + (attempt.retry_after_ms or 0)


def excess_kills(job: LogicalJob, bounds: Thresholds) -> list[Attempt]:
    """Return the attempts during which a process crashed; none if they are not more than the threshold."""
    killed = [attempt for attempt in job.attempts if attempt.kill_seq]
    return killed if len(killed) > bounds.kills else []


def _unwanted(job: LogicalJob, wire_ms: int) -> list[tuple[Attempt, Ban]]:
    """Return the attempts that were sent after the user had withdrawn the order."""
    order = job.order
    if order is None or not order.withdrawn_seq:
        return []
    ban = Ban(order.withdrawn_seq, order.withdrawn_ms, f"its user had withdrawn it at {moment(order.withdrawn_ms)}")
    late = [attempt for attempt in job.attempts if attempt.began_ms > order.withdrawn_ms + wire_ms]
    return [(attempt, ban) for attempt in late if ban.covers(attempt)]


@rule("resubmitted")
class Resubmitted(FindingRule):
    """A job was refused with 400 or 413 again, with nothing corrected, or was sent after its user had stopped it.

    A 400 about something that the instance lacks forbids only the same process of that instance.  A user stops a job
    by an interrupt that hits it and names it.  An interrupt that names its prompt id alone forbids only the same
    instance, and only if no fault fired on the attempt, because clients also move jobs in that way.
    """

    def conclude(self, context: RuleContext) -> Iterator[Finding]:
        for job in context.tracker.tested:
            found = needless(job) or _unwanted(job, context.bounds.wire)
            if found:
                first, ban = found[0]
                where, more = first.instance, f", and {len(found) - 1} more times" if len(found) > 1 else ""
                says = f"{job.name} was sent to {where} at {moment(first.began_ms)}{more}, although {ban.why}."
                yield self.found(says, job=job.name, instance=where, events=(ban.seq, first.seq))


@rule("no_retry")
class NoRetry(FindingRule):
    """The last attempt of a job was answered with 429, with 5xx or not at all, and no other followed.

    Not if its client has tried often enough, has not had time to react, or may have sent it again under another hash.
    """

    by_absence = True

    def conclude(self, context: RuleContext) -> Iterator[Finding]:
        retries = possible_retries(context)
        for job in context.tracker.tested:
            if status_of(job, context.bounds) != "failed" or job.name in retries:
                continue
            if count_tries(job.name, retries, context) >= context.bounds.tries:
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

    handles = (Exchanged,)
    _others: dict[int, tuple[str, ...]] = field(default_factory=dict)

    def on_event(self, event: Event, context: RuleContext) -> None:
        if isinstance(event, Exchanged) and is_submission(event) and is_turned_away(event):
            self._others[event.seq] = other_instances(event, context)

    def conclude(self, context: RuleContext) -> Iterator[Finding]:
        tracker, bounds = context.tracker, context.bounds
        hasty = {attempt for name in tracker.by_instance for attempt, _ in early(tracker, name, bounds.wire)}
        for job in tracker.tested:
            if len(job.attempts) <= min(bounds.retries, bounds.quick_retries + 1):
                continue
            others = hasty | {attempt for attempt, _ in needless(job)} | set(excess_kills(job, bounds))
            counted = [attempt for attempt in job.attempts if attempt not in others and not _is_correctable(attempt)]
            quick = max(_rows(counted, partial(_is_quick, bounds=bounds)), key=len)
            many = self._without_outages(counted, context)
            if is_hash(job.name):   # It may have been wanted several times: only retries count.
                many = max(_rows(many, _follows_failure), key=len)
            if len(many) > bounds.retries:
                yield self._storm(job, many, f"sent {len(many)} times", f"; at most {bounds.retries} are allowed")
            elif len(quick) > bounds.quick_retries + 1:
                why = f", each time less than {moment(bounds.backoff)} after it had failed"
                yield self._storm(job, quick, f"sent again {len(quick) - 1} times in a row", why)

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

    def _storm(self, job: LogicalJob, attempts: list[Attempt], what: str, why: str) -> Finding:
        first, last = attempts[0], attempts[-1]
        where = " and ".join(dict.fromkeys(attempt.instance for attempt in attempts))
        says = f"{job.name} was {what}, to {where}, from {moment(first.began_ms)} to {moment(last.began_ms)}{why}."
        return self.found(says, job=job.name, events=(first.seq, last.seq))


def _is_correctable(attempt: Attempt) -> bool:
    """Return whether its refusal gave its client something to correct before the next attempt."""
    return bool(attempt.missing) or attempt.is_invalid


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
            yield self.found(says, job=job, instance=name, events=(before.reported_seq, first.seq))


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
