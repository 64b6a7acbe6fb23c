"""Findings about work: lost, done twice, left behind, or stopped by mistake."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import NamedTuple

from comfyfarm.analysis.findings.availability import has_had_time
from comfyfarm.analysis.findings.finding import Finding, FindingRule, RuleContext, moment, rule
from comfyfarm.analysis.findings.job_status import last_of, status_of
from comfyfarm.analysis.logical_jobs import Attempt, LogicalJob, Stop, is_hash


@rule("lost")
class Lost(FindingRule):
    """The last attempt of a job was lost with its process, and its client has not resent it in time.

    Not if the job has succeeded, was delivered (*false_completion*), was given up by its user, if so many processes
    crashed under it that its client is right to give it up, or if it may have been sent again under another hash.
    """

    by_absence = True

    def conclude(self, context: RuleContext) -> Iterator[Finding]:
        for job in context.tracker.tested:
            if status_of(job, context.bounds) != "lost" or not has_had_time(last_of(job), context):
                continue
            if job.name in context.retries:
                continue
            last = last_of(job)
            ended_ms, where = last.ended_ms or 0, last.instance
            says = (
                f"{job.name} was accepted by {where} at {moment(last.sent_ms)}, {where} went down with it at "
                f"{moment(ended_ms)}, and nobody sent it again in the {moment(context.at_ms - ended_ms)} since."
            )
            yield self.found(says, job=job.name, instance=where, events=(last.seq, last.end_seq))


@rule("ran_twice")
class RanTwice(FindingRule):
    """A job has more than one successful run, whether or not the second was delivered.

    Identical prompts without a name may be wanted several times, so that one must have been a retry of another.
    """

    def conclude(self, context: RuleContext) -> Iterator[Finding]:
        for job in context.tracker.tested:
            runs = runs_of_one_wish(job)
            if job.is_returned and not is_hash(job.name) and runs:
                run, again = runs[0], "again" if len(runs) == 1 else f"{len(runs)} times again"
                where = f"on {run.instance} at {moment(run.ended_ms or 0)}"
                says = f"{job.name} ran to its end and was delivered long ago, and ran {again}, {where}."
                yield self.found(says, job=job.name, events=[run.end_seq for run in runs])
            elif len(runs) > 1:
                where = ", ".join(f"on {run.instance} at {moment(run.ended_ms or 0)}" for run in runs)
                says = f"{job.name} ran {len(runs)} times to its end, {where}{_why_twice(runs)}."
                yield self.found(says, job=job.name, events=[run.end_seq for run in runs])
        yield from self._more_than_announced(context)

    def _more_than_announced(self, context: RuleContext) -> Iterator[Finding]:
        """Yield a finding if more prompts without a name succeeded than were ordered."""
        expected, forgotten = context.tracker.orders.expected, context.tracker.forgotten
        jobs = [job for job in context.tracker.tested if job.ended("success")]
        unnamed = [run for job in jobs if is_hash(job.name) for run in job.ended("success")]
        unnamed_count = len(unnamed) + forgotten.unnamed
        if expected is None or not unnamed_count:
            return
        named_count = sum(not (is_hash(job.name) or job.is_returned) for job in jobs)
        count = len(unnamed) + named_count + forgotten.runs
        if count > expected:
            says = f"{count} jobs ran to their end for {expected} orders; {unnamed_count} of them had no name."
            yield self.found(says, events=[run.end_seq for run in unnamed[-20:]])


def runs_of_one_wish(job: LogicalJob) -> list[Attempt]:
    """Return the successful runs that were certainly meant to be one, in the order of their ends."""
    runs = sorted(job.ended("success"), key=lambda run: run.end_seq)
    if not is_hash(job.name):
        return runs
    doubtful = (run for run in runs if run.is_doubtful)
    pairs = ((first, second) for first in doubtful for second in runs if second.may_be_retry_of(first))
    return sorted(next(pairs, ()), key=lambda run: run.end_seq)


def _why_twice(runs: list[Attempt]) -> str:
    first, second = sorted(runs, key=lambda run: run.number)[:2]
    if first.status is not None and first.status != 200:
        answer = f"was answered {first.status}" if first.status else "was never answered"
        return f"; its first submission, to {first.instance}, {answer}"
    when = "after the first had ended" if first.end_seq < second.seq else "while the first was under way"
    return f"; the second was sent at {moment(second.began_ms)}, {when}"


@rule("wrong_cancel")
class WrongCancel(FindingRule):
    """An interrupt hit a job that it was not meant for.

    This is proven if its client named another logical job.  If it named neither a job nor a prompt id, no fault had
    fired on the attempt, and the instance had another job that the interrupt may have been meant for, it counts as
    proven in two cases: the job that was hit has a name, and was sent again afterwards; or its user still wanted it,
    and the user of such another job had withdrawn that one shortly before.
    """

    def conclude(self, context: RuleContext) -> Iterator[Finding]:
        withdrawn = _Withdrawn(context.tracker.tested, context.bounds.reaction)
        for job in context.tracker.jobs.values():
            for attempt in job.attempts:
                stop = attempt.stop
                if stop is None:
                    continue
                proof = _named_another(attempt, stop) or _unnamed_proof(job, attempt, stop, withdrawn)
                if proof is not None:
                    events, why = proof
                    says = f"An interrupt on {attempt.instance} at {moment(stop.at_ms)} stopped {job.name}, {why}."
                    yield self.found(says, job=job.name, instance=attempt.instance, events=events)


_Proof = tuple[tuple[int, ...], str] | None
"""The events that prove it, and why it is wrong: half a sentence."""


def _named_another(attempt: Attempt, stop: Stop) -> _Proof:
    return ((stop.seq,), f"though it was meant for {stop.job}") if stop.job not in {"", attempt.job} else None


def _unnamed_proof(job: LogicalJob, attempt: Attempt, stop: Stop, withdrawn: _Withdrawn) -> _Proof:
    if stop.is_load or stop.job or stop.names_prompt or not stop.had_other_jobs:
        return None
    if attempt.end != "interrupted" or attempt.had_fault:
        return None
    named_nothing = "the interrupt named no prompt_id, so it stopped whatever was running"
    again = next((attempt for attempt in job.attempts if attempt.is_sent_after(stop.seq, stop.at_ms)), None)
    if again is not None and not is_hash(job.name):
        why = f"which nobody wanted stopped: it was sent again at {moment(again.began_ms)}"
        return (stop.seq, again.seq), f"{why}; {named_nothing}"
    if job.order is None or job.order.withdrawn_seq:
        return None
    meant = withdrawn.meant_by(stop, attempt)
    if meant is None:
        return None
    why = f"which its user still wanted: it was {meant.name} that was withdrawn, at {moment(meant.withdrawn_ms)}"
    return (meant.withdrawn_seq, stop.seq), f"{why}; {named_nothing}"


class _Candidate(NamedTuple):
    """An attempt of a withdrawn order that a nameless interrupt at its instance may have been meant for.

    :ivar place: of its logical job.
    """

    withdrawn_ms: int
    place: int
    withdrawn_seq: int
    name: str
    attempt: Attempt

    def may_be_meant(self, stop: Stop, hit: Attempt) -> bool:
        attempt = self.attempt
        is_earlier = self.withdrawn_seq <= stop.seq and attempt.seq < stop.seq
        return is_earlier and (attempt.is_open or attempt.end_seq > min(hit.seq, self.withdrawn_seq))


class _Withdrawn:
    """The orders that their users withdrew, by instance and time: a stop looks at the few just before it."""

    def __init__(self, jobs: Iterable[LogicalJob], reaction_ms: int) -> None:
        self._reaction_ms = reaction_ms
        self._candidates: dict[str, list[_Candidate]] = {}
        for place, job in enumerate(jobs):
            order = job.order
            if order is None or not order.withdrawn_seq:
                continue
            for attempt in job.attempts:
                if attempt.stop is None or attempt.end == "deleted":
                    candidate = _Candidate(order.withdrawn_ms, place, order.withdrawn_seq, job.name, attempt)
                    self._candidates.setdefault(attempt.instance, []).append(candidate)
        for candidates in self._candidates.values():
            candidates.sort(key=attrgetter("withdrawn_ms"))

    def meant_by(self, stop: Stop, hit: Attempt) -> _Candidate | None:
        """Return the first job that a nameless interrupt was probably meant for: withdrawn shortly before."""
        candidates = self._candidates.get(hit.instance, [])
        first = bisect_left(candidates, stop.at_ms - self._reaction_ms, key=attrgetter("withdrawn_ms"))
        last = bisect_right(candidates, stop.at_ms, key=attrgetter("withdrawn_ms"))
        meant = (candidate for candidate in candidates[first:last] if candidate.may_be_meant(stop, hit))
        return min(meant, key=attrgetter("place"), default=None)
