"""The finding that a job was sent again, although it was refused for good or its user had stopped it."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import attrgetter

from comfyfarm.analysis.findings.finding import Finding, FindingRule, RuleContext, moment, rule
from comfyfarm.analysis.logical_jobs import Attempt, LogicalJob


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
                late, events = context.was_under_way(ban.at_ms, first.began_ms), (ban.seq, first.seq)
                yield self.found(says, job=job.name, instance=where, events=events, farm_was_late=late)
