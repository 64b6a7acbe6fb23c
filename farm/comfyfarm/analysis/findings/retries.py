"""Which attempts should not have been made, or not yet?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from comfyfarm.analysis.findings.finding import Finding, FindingRule, RuleContext, Thresholds, moment, rule
from comfyfarm.analysis.findings.job_status import has_had_time, last_of, status_of
from comfyfarm.analysis.job_tracker import JobTracker
from comfyfarm.analysis.logical_jobs import Attempt, LogicalJob


@dataclass(frozen=True)
class _Final:
    """What told a client not to send a job again.

    :ivar why: half a sentence.
    """

    seq: int
    at_ms: int
    why: str


@dataclass(frozen=True)
class Needless:
    """An attempt that was made although an earlier one said that it leads nowhere.

    :ivar seq: of the event that said so.
    :ivar why: half a sentence.
    """

    attempt: Attempt
    seq: int
    why: str


def needless(job: LogicalJob) -> list[Needless]:
    """The attempts of a job that were sent after it was refused for good, or stopped by its user."""
    if len(job.attempts) < 2:
        return []
    finals = _finals(job)
    found = []
    for each in job.attempts:
        known = [finals[key] for key in (None, each.instance, (each.instance, each.epoch)) if key in finals]
        final = next((it for it in known if each.is_behind(it.seq, it.at_ms)), None)
        if final is not None:
            found.append(Needless(each, final.seq, final.why))
    return found


_Where = str | tuple[str, int] | None


def _finals(job: LogicalJob) -> dict[_Where, _Final]:
    """The first word against sending it: anywhere (``None``), to an instance, or to an epoch of it."""
    finals: dict[_Where, _Final] = {}
    for each in job.attempts:
        for where, final in _said(each):
            if where not in finals or final.seq < finals[where].seq:
                finals[where] = final
    return finals


def _said(attempt: Attempt) -> Iterator[tuple[_Where, _Final]]:
    stop, where = attempt.stop, (attempt.instance, attempt.epoch)
    if attempt.end == "refused" and attempt.status in {400, 413} and attempt.answered_ms is not None:
        lacks = f", for it lacks {', '.join(attempt.missing)}" if attempt.missing else ""
        why = f"{attempt.instance} answered {attempt.status} at {moment(attempt.answered_ms)}{lacks}"
        yield where if attempt.missing else None, _Final(attempt.answer_seq, attempt.answered_ms, why)
    if stop is not None and (stop.job == attempt.job or _is_to_end_here(attempt)):
        why = f"its user stopped it on {attempt.instance} at {moment(stop.at_ms)}"
        yield None if stop.job else attempt.instance, _Final(stop.seq, stop.at_ms, why)


def _is_to_end_here(attempt: Attempt) -> bool:
    """Stopped by its prompt id alone: a client that moves a job does so too, and one that something befell."""
    stop = attempt.stop
    return stop is not None and stop.names_prompt and not stop.job and not attempt.had_fault


def early(attempts: JobTracker, instance: str) -> Iterator[tuple[Attempt, Attempt]]:
    """Each attempt at an instance that came earlier than it had asked for, and the one to which it had said so.

    What it says is for the client that it says it to, and for the logical job.
    """
    said: dict[tuple[str, str], Attempt] = {}
    for each in attempts.at.get(instance, []):
        keys = [("job", each.job)] + ([("client", each.client_id)] if each.client_id is not None else [])
        known = [said[key] for key in keys if key in said]
        before = next((it for it in known if each.is_reported(it)), None)
        if before is not None and each.began_ms < _not_before_ms(before):
            yield each, before
        if each.end == "refused" and each.status in {429, 503} and each.retry_after_ms is not None:
            for key in keys:
                if key not in said or _not_before_ms(said[key]) <= _not_before_ms(each):
                    said[key] = each


def _not_before_ms(attempt: Attempt) -> int:
    return (attempt.reported_ms or 0) + (attempt.retry_after_ms or 0)


def carried(job: LogicalJob, bounds: Thresholds) -> list[Attempt]:
    """The attempts during which a process crashed, where those are more than it may take with it."""
    killed = [each for each in job.attempts if each.kill_seq]
    return killed if len(killed) > bounds.kills else []


@rule("resubmitted")
class Resubmitted(FindingRule):
    """A logical job was sent again after an answer of 400 or 413, or after its user had stopped it.

    After a 400 that is about what the instance lacks, only to the same process of the same instance: another may have
    it.  A user stops it by an interrupt that hits it and names the logical job; one that names its prompt id alone
    counts only where it is sent to the same instance again and no fault befell it, for clients move jobs in that way.
    """

    def conclude(self, known: RuleContext) -> Iterator[Finding]:
        """One finding for each such job."""
        for job in known.attempts.tested:
            found = needless(job)
            if found:
                first = found[0]
                more = f", and {len(found) - 1} more times" if len(found) > 1 else ""
                yield Finding(
                    finding=self.name,
                    severity="error",
                    job=job.name,
                    instance=first.attempt.instance,
                    events=(first.seq, first.attempt.seq),
                    says=f"{job.name} was sent to {first.attempt.instance} at {moment(first.attempt.began_ms)}{more}, "
                    f"although {first.why}.",
                )


@rule("no_retry")
class NoRetry(FindingRule):
    """The last attempt of a logical job failed before it was taken on, in a way that asks for another; none followed.

    Such ways are 429, any 5xx, and no answer at all.  A client that has tried often enough may give up, and before it
    has had time to react nothing is said.
    """

    by_absence = True

    def conclude(self, known: RuleContext) -> Iterator[Finding]:
        """One finding for each such job."""
        for job in known.attempts.tested:
            if len(job.attempts) >= known.bounds.tries or status_of(job, known.bounds) != "failed":
                continue
            if has_had_time(last_of(job), known):
                yield self._found(job, known)

    def _found(self, job: LogicalJob, known: RuleContext) -> Finding:
        last = last_of(job)
        reported_ms = last.reported_ms or 0
        answer = f"answered {last.status}" if last.status else "gave no answer"
        return Finding(
            finding=self.name,
            severity="error",
            job=job.name,
            instance=last.instance,
            events=(last.reported_seq,),
            says=f"{last.instance} {answer} to attempt {last.number} of {job.name} at {moment(reported_ms)}, and "
            f"nobody tried again in the {moment(known.at_ms - reported_ms)} since.",
        )


@rule("retry_storm")
class RetryStorm(FindingRule):
    """A logical job was sent more often than it may be, or several times in a row right behind a failure.

    A failure is an attempt that was lost, ended in an error, or came to nothing before it was taken on.  What other
    rules tell does not count: attempts that were needless (*resubmitted*), too early (*retry_after_ignored*), refused
    for what the instance lacks, or that took a process with them where those are too many (*poison_carried*).
    """

    def conclude(self, known: RuleContext) -> Iterator[Finding]:
        """One finding for each such job."""
        hasty = {each for name in known.attempts.at for each, _ in early(known.attempts, name)}
        for job in known.attempts.tested:
            if len(job.attempts) <= min(known.bounds.retries, known.bounds.quick_retries + 1):
                continue
            told = hasty | {each.attempt for each in needless(job)} | set(carried(job, known.bounds))
            counted = [each for each in job.attempts if each not in told and not each.missing]
            quick = _longest(_rows(counted, known.bounds))
            if len(counted) > known.bounds.retries:
                yield self._found(job, counted, f"sent {len(counted)} times", "")
            elif len(quick) > known.bounds.quick_retries + 1:
                why = f", each time less than {moment(known.bounds.backoff)} after it had failed"
                yield self._found(job, quick, f"sent again {len(quick) - 1} times in a row", why)

    def _found(self, job: LogicalJob, attempts: list[Attempt], what: str, why: str) -> Finding:
        first, last = attempts[0], attempts[-1]
        return Finding(
            finding=self.name,
            severity="error",
            job=job.name,
            events=(first.seq, last.seq),
            says=f"{job.name} was {what}, from {moment(first.began_ms)} to {moment(last.began_ms)}{why}.",
        )


def _rows(attempts: list[Attempt], bounds: Thresholds) -> Iterator[list[Attempt]]:
    """The attempts, each with those that follow it at once."""
    row: list[Attempt] = []
    for each in attempts:
        if row and not _is_quick(row[-1], each, bounds):
            yield row
            row = []
        row.append(each)
    yield row


def _is_quick(before: Attempt, after: Attempt, bounds: Thresholds) -> bool:
    has_failed = before.is_retryable or before.end in {"lost", "error"}
    failed_ms = before.reported_ms
    if not has_failed or failed_ms is None or not after.is_behind(before.reported_seq, failed_ms):
        return False
    return after.began_ms - failed_ms < bounds.backoff


def _longest(rows: Iterable[list[Attempt]]) -> list[Attempt]:
    return max(rows, key=len)


@rule("retry_after_ignored")
class RetryAfterIgnored(FindingRule):
    """A submission came to an instance earlier than its last 429 or 503 had asked for.

    What such an answer asks for holds for the client id that it went to, and for the logical job.
    """

    def conclude(self, known: RuleContext) -> Iterator[Finding]:
        """One finding for each logical job and instance."""
        found: dict[tuple[str, str], list[tuple[Attempt, Attempt]]] = {}
        for name in known.attempts.at:
            for each, before in early(known.attempts, name):
                found.setdefault((each.job, name), []).append((each, before))
        for (job, name), cases in sorted(found.items(), key=lambda each: each[1][0][0].seq):
            first, before = cases[0]
            more = f", and {len(cases) - 1} more times" if len(cases) > 1 else ""
            asked_for = f"{moment(before.reported_ms or 0)} and asked for {moment(before.retry_after_ms or 0)}"
            yield Finding(
                finding=self.name,
                severity="error",
                job=job,
                instance=name,
                events=(before.reported_seq, first.seq),
                says=f"{job} was sent to {name} at {moment(first.began_ms)}{more}, though {name} had answered "
                f"{before.status} at {asked_for}.",
            )


@rule("poison_carried")
class PoisonCarried(FindingRule):
    """A logical job was running on more processes than it may when they crashed, each time sent again by its client.

    A process that kept its queue and took the job up again by itself is the same attempt, and counts once.
    """

    def conclude(self, known: RuleContext) -> Iterator[Finding]:
        """One finding for each such job."""
        for job in known.attempts.tested:
            killed = carried(job, known.bounds)
            if killed:
                where = ", ".join(f"{each.instance} (sent at {moment(each.began_ms)})" for each in killed)
                yield Finding(
                    finding=self.name,
                    severity="error",
                    job=job.name,
                    events=tuple(each.kill_seq for each in killed),
                    says=f"{len(killed)} processes crashed while {job.name} ran on them: {where}.",
                )
