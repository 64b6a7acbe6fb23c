"""Findings about clients that address another instance than the one that has the job, or one that fails every job."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from comfyfarm.analysis.findings.finding import Finding, FindingRule, RuleContext, moment, rule
from comfyfarm.analysis.findings.order_outcome import is_untaken
from comfyfarm.analysis.logical_jobs import Attempt, LogicalJob
from comfyfarm.events import Event, Finished


@rule("asked_elsewhere")
class AskedElsewhere(FindingRule):
    """A job's history entry, state, file or interrupt was requested from an instance that never had the job.

    Another instance had it then, and could be reached.  An error if the job succeeded, nobody has taken its result so
    far, and the right instance would have answered one of these requests otherwise; else a warning.
    """

    severity = "warning"
    by_absence = True

    def concerned(self, jobs: Sequence[LogicalJob], context: RuleContext) -> Iterable[LogicalJob]:
        requested = context.requests.jobs()
        return [job for job in jobs if job.name in requested]

    def conclude(self, context: RuleContext) -> Iterator[Finding]:
        in_order = sorted(context.requests.by_job().items(), key=lambda item: item[1].first.seq)
        for name, requests in in_order:
            job, first, last = context.tracker.jobs[name], requests.first, requests.last
            attempt, was_missed = first.attempt, is_untaken(job, context)
            when = f"at {moment(first.at_ms)}"
            if requests.count > 1:
                when = f"{requests.count} times, from {moment(first.at_ms)} to {moment(last.at_ms)}"
            whats, instances = " or ".join(f"its {what}" for what in requests.whats), ", ".join(requests.instances)
            ran_on = ["it ran to its end"] if "interrupt" in requests.whats and attempt.end == "success" else []
            says = (
                f"{name} was on {attempt.instance}, but {whats} was requested from {instances} "
                f"{when}{_outcome(job, attempt, first.seq, first.at_ms, ran_on, was_missed=was_missed)}."
            )
            yield self.found(
                says,
                job=name,
                instance=attempt.instance,
                events=(attempt.seq, *dict.fromkeys((first.seq, last.seq))),
                severity="error" if was_missed and requests.is_decisive else "warning",
            )


def _outcome(
    job: LogicalJob, attempt: Attempt, seq: int, at_ms: int, known: Sequence[str] = (), *, was_missed: bool
) -> str:
    """Return what happened to a job after its client had addressed a wrong instance, after what is known already."""
    again = next((later for later in job.attempts if later.is_sent_after(seq, at_ms)), None)
    was_needless = again is not None and (attempt.is_open or attempt.end == "success" or attempt.end_seq > again.seq)
    outcomes = list(known)
    if again is not None and was_needless:
        outcomes.append(f"it was submitted again, to {again.instance}, at {moment(again.began_ms)}")
    if was_missed:
        outcomes.append("nobody has taken its result so far")
    elif job.ended("success") and not outcomes:
        outcomes.append("its result was taken all the same")
    return "; " + ", and ".join(outcomes) if outcomes else ""


def missed_elsewhere(job: LogicalJob, context: RuleContext) -> bool:
    """Return whether nobody has taken the result of a job because its client addressed another instance."""
    requests = context.requests.by_job().get(job.name)
    has_asked = requests is not None and requests.is_decisive
    has_listened = any(context.listeners.listener_of(attempt) for attempt in job.attempts)
    return (has_asked or has_listened) and is_untaken(job, context)


@rule("listened_elsewhere")
class ListenedElsewhere(FindingRule):
    """A job ran while its client had its websocket at another instance only: its messages reached nobody.

    An error if the job succeeded and nobody has taken its result so far; else a warning.  One finding for each logical
    job.
    """

    severity = "warning"
    by_absence = True

    def concerned(self, jobs: Sequence[LogicalJob], context: RuleContext) -> Iterable[LogicalJob]:
        return [job for job in jobs if context.listeners.listener_of(job.attempts[0]) is not None]

    def conclude(self, context: RuleContext) -> Iterator[Finding]:
        for job in context.tracker.tested:
            for attempt in job.attempts:
                listener = context.listeners.listener_of(attempt)
                if listener is None:
                    continue
                was_missed = is_untaken(job, context)
                outcome = _outcome(job, attempt, attempt.seq, attempt.sent_ms, was_missed=was_missed)
                says = (
                    f"{job.name} ran on {attempt.instance} from {moment(attempt.taken_ms or 0)} to "
                    f"{moment(attempt.ended_ms or 0)} while its client {attempt.client_id} had its websocket at "
                    f"{listener.instance} only, so that its messages reached nobody{outcome}."
                )
                yield self.found(
                    says,
                    job=job.name,
                    instance=attempt.instance,
                    events=sorted((listener.seq, attempt.seq, attempt.end_seq)),
                    severity="error" if was_missed else "warning",
                )
                break


@dataclass(eq=False)
class _ErrorRow:
    """Jobs that ended in an error in a row at one instance.

    :ivar attempts: the first failed attempt of each logical job; each was sent after the one before had failed.
    :ivar others: by instance, the jobs that succeeded elsewhere since the first of them had failed.
    """

    attempts: list[Attempt] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)


@rule("failing_server")
@dataclass(eq=False)
class FailingServer(FindingRule):
    """More than the allowed number of jobs in a row ended in an error at one instance, while others succeeded.

    Each was sent after the one before had failed.  A job that also failed on another instance does not count: it may
    be the reason itself.  One finding for each instance, about its longest row.
    """

    severity = "warning"
    handles = (Finished,)
    by_absence = True
    _rows: dict[str, list[_ErrorRow]] = field(default_factory=dict)

    def on_event(self, event: Event, context: RuleContext) -> None:
        attempt = _ended_with(event, context)
        if attempt is None or attempt.end == "interrupted":
            return
        if (rows := self._rows.get(attempt.instance)) is None:
            rows = self._rows[attempt.instance] = [_ErrorRow()]
        if attempt.end == "error":
            rows[-1].attempts.append(attempt)
            return
        if rows[-1].attempts:
            rows.append(_ErrorRow())
        for name, others in self._rows.items():
            if name != attempt.instance and others[-1].attempts:
                others[-1].others[attempt.instance] += 1

    def conclude(self, context: RuleContext) -> Iterator[Finding]:
        for name, rows in self._rows.items():
            counted = [(_counted(row.attempts, context), row.others) for row in rows if row.others]
            attempts, others = max(counted, key=lambda pair: len(pair[0]), default=([], Counter()))
            if len(attempts) > context.bounds.failed_jobs:
                first, last = attempts[0], attempts[-1]
                other, count = max(others.items(), key=lambda item: item[1])
                says = (
                    f"{len(attempts)} jobs one after another ended in an error at {name}, from "
                    f"{moment(first.ended_ms or 0)} to {moment(last.ended_ms or 0)}, each sent after the one before "
                    f"had failed, while {count} succeeded at {other}."
                )
                yield self.found(says, instance=name, job=first.job, events=(first.end_seq, last.end_seq))


def _ended_with(event: Event, context: RuleContext) -> Attempt | None:
    """Return the attempt of the tested system that ended with an event."""
    attempts = context.tracker.by_prompt_id.get(event.prompt_id, ()) if isinstance(event, Finished) else ()
    for attempt in reversed(attempts):
        if attempt.end_seq == event.seq and not attempt.is_load:
            return attempt
    return None


def _counted(row: list[Attempt], context: RuleContext) -> list[Attempt]:
    counted: dict[str, Attempt] = {}    # by logical job
    last: Attempt | None = None
    for attempt in row:
        if attempt.job in counted or (
            last is not None and not attempt.is_sent_after_failure_of(last, context.bounds.wire)
        ):
            continue
        attempts = context.tracker.jobs[attempt.job].attempts
        if not any(other.end == "error" and other.instance != attempt.instance for other in attempts):
            last = counted[attempt.job] = attempt
    return list(counted.values())
