"""Findings about where clients send: to instances that are down, draining or lack something."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache

from comfyfarm.analysis.findings.availability import available, other_instances
from comfyfarm.analysis.findings.finding import Finding, FindingRule, RuleContext, moment, rule
from comfyfarm.analysis.findings.resubmitted import needless
from comfyfarm.analysis.instance_jobs import is_submission
from comfyfarm.analysis.logical_jobs import Attempt, LogicalJob
from comfyfarm.events import Draining, Event, Exchanged, FaultArmed, FaultExpired, FaultFired, FaultHealed


@dataclass(frozen=True, slots=True)
class _Failure:
    """A submission that failed at an instance.

    :ivar others: the instances that seemed available when it failed.
    """

    seq: int
    began_ms: int
    at_ms: int
    job: str
    others: tuple[str, ...]


@dataclass(eq=False)
class _ArmedFaults:
    """The faults that are armed now, and what was sent to the instances since.

    :ivar by_id: those that are armed.
    :ivar fired: by instance and logical job, the ids of those that fired on a submission that has no answer yet.
    :ivar tried_seq: by instance, of the answer to the latest submission.
    """

    by_id: dict[str, FaultArmed] = field(default_factory=dict)
    fired: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    tried_seq: dict[str, int] = field(default_factory=dict)

    def on_event(self, event: Event) -> None:
        if isinstance(event, FaultArmed):
            self.by_id[event.id] = event
        elif isinstance(event, FaultExpired | FaultHealed):
            self.by_id.pop(event.id, None)
        elif isinstance(event, FaultFired) and event.route == "/prompt":
            self.fired.setdefault((event.instance, event.job), set()).add(event.id)

    def untried_under(self, event: Exchanged) -> set[str]:
        """Return where a fault that fired on a submission may fire, too: nothing was sent there since it was armed."""
        self.tried_seq[event.instance] = event.seq
        fired = self.fired.pop((event.instance, event.job), None)
        if fired is None:
            return set()
        faults = [self.by_id[fault_id] for fault_id in fired if fault_id in self.by_id]
        return {name for fault in faults for name in fault.on if self.tried_seq.get(name, 0) < fault.seq}


@rule("sent_to_down")
@dataclass(eq=False)
class SentToDown(FindingRule):
    """Too many submissions failed in a row at one instance, while another was available.

    A failure is a 5xx or no answer.  Each was sent after the one before had failed; any other answer ends the row.
    Another on which the fault that caused it is armed as well would have failed, too.  One finding for each instance,
    about its longest row.

    :ivar _rows: by instance, the failures between two other answers.
    """

    handles = ("POST /prompt", FaultArmed, FaultFired, FaultExpired, FaultHealed)
    by_absence = True
    _rows: dict[str, list[list[_Failure]]] = field(default_factory=dict)
    _faults: _ArmedFaults = field(default_factory=_ArmedFaults)

    def on_event(self, event: Event, context: RuleContext) -> None:
        if not isinstance(event, Exchanged):
            self._faults.on_event(event)
        elif is_submission(event):
            self._on_answer(event, self._faults.untried_under(event), context)

    def _on_answer(self, event: Exchanged, doubtful: set[str], context: RuleContext) -> None:
        if event.job in context.tracker.others:
            return
        rows = self._rows.setdefault(event.instance, [[]])
        if not (event.status == 0 or event.status >= 500):
            if rows[-1]:
                rows.append([])
        elif others := tuple(name for name in other_instances(event, context) if name not in doubtful):
            rows[-1].append(_Failure(event.seq, event.began_ms, event.at_ms, event.job, others))

    def conclude(self, context: RuleContext) -> Iterator[Finding]:
        found = []
        for name, rows in self._rows.items():
            row = max((_in_a_row(failures, context) for failures in rows), key=len)
            if len(row) > context.bounds.failures:
                first, last = row[0], row[-1]
                other = available(last.others, last.seq, context)[0]
                says = (
                    f"{len(row)} submissions one after another failed at {name} (5xx or no answer), from "
                    f"{moment(first.began_ms)} to {moment(last.at_ms)}, while {other} was available."
                )
                late, events = context.was_late(first.began_ms, last.at_ms), (first.seq, last.seq)
                found.append(self.found(says, job=first.job, instance=name, events=events, farm_was_late=late))
        yield from sorted(found, key=lambda finding: finding.events)


def _in_a_row(failures: list[_Failure], context: RuleContext) -> list[_Failure]:
    """Return those that another instance could have prevented, each sent after the one before had failed."""
    row: list[_Failure] = []
    for failure in failures:
        if row:
            wire_ms = 0 if failure.job == row[-1].job else context.bounds.wire
            if failure.began_ms <= row[-1].at_ms + wire_ms:
                continue
        if available(failure.others, failure.seq, context):
            row.append(failure)
    return row


@dataclass(eq=False)
class _Drain:
    """A period in which an instance is to get no new work.

    :ivar end_seq: ``None`` while it lasts.
    """

    instance: str
    seq: int
    at_ms: int
    end_seq: int | None = None

    def covers(self, attempt: Attempt, wire_ms: int) -> bool:
        is_sent_after = attempt.seq > self.seq and attempt.began_ms > self.at_ms + wire_ms
        is_here = attempt.instance == self.instance
        return is_here and is_sent_after and (self.end_seq is None or attempt.seq < self.end_seq)


@rule("sent_to_draining")
@dataclass(eq=False)
class SentToDraining(FindingRule):
    """A submission was sent to an instance that was to be drained.  One finding for each such period."""

    handles = (Draining,)
    by_absence = True
    _drains: list[_Drain] = field(default_factory=list)
    _current: dict[str, _Drain] = field(default_factory=dict)

    def concerned(self, jobs: Sequence[LogicalJob], context: RuleContext) -> Iterable[LogicalJob]:
        return [job for drain in self._drains for job in jobs if drain.covers(job.attempts[0], 0)]

    def on_event(self, event: Event, context: RuleContext) -> None:
        if not isinstance(event, Draining):
            return
        if event.on and event.instance not in self._current:
            drain = self._current[event.instance] = _Drain(event.instance, event.seq, event.at_ms)
            self._drains.append(drain)
        elif not event.on and event.instance in self._current:
            self._current.pop(event.instance).end_seq = event.seq

    def conclude(self, context: RuleContext) -> Iterator[Finding]:
        for drain in self._drains:
            attempts = context.tracker.by_instance.get(drain.instance, [])
            sent = [attempt for attempt in attempts if drain.covers(attempt, context.bounds.wire)]
            if sent:
                more = f", and {len(sent) - 1} more after it" if len(sent) > 1 else ""
                says = (
                    f"{sent[0].job} was sent to {drain.instance} at {moment(sent[0].began_ms)}{more}, though "
                    f"{drain.instance} was draining from {moment(drain.at_ms)} on, and was to get no new jobs."
                )
                late, events = context.was_under_way(drain.at_ms, sent[0].began_ms), (drain.seq, sent[0].seq)
                yield self.found(
                    says, job=sent[0].job, instance=drain.instance, events=events, farm_was_late=late
                )


@dataclass(eq=False)
class _Lack:
    """Submissions that needed a thing although their instance was known to lack it.

    :ivar discovery: the refusal from which it was known.
    :ivar first: of those sent afterwards.
    """

    thing: str
    discovery: Attempt
    first: Attempt
    count: int = 1


@rule("ineligible")
class Ineligible(FindingRule):
    """A submission was refused for something that the instance lacks, after another had been for the same thing.

    The first refusal in each process is a discovery, and so are those sent before its answer.  The same logical job
    sent there again is *resubmitted*.  One finding for each thing that an instance lacks.
    """

    def conclude(self, context: RuleContext) -> Iterator[Finding]:
        # It looks at each job once.
        needless_of = cache(lambda name: {attempt for attempt, _ in needless(context.tracker.jobs[name])})
        for name in context.tracker.by_instance:
            for lack in self._lacks(name, context, needless_of):
                first, discovery = lack.first, lack.discovery
                more = f", and {lack.count - 1} more like it" if lack.count > 1 else ""
                says = (
                    f"{first.job} was sent to {name} at {moment(first.began_ms)}{more}, though {name} had refused "
                    f"{discovery.job} at {moment(discovery.reported_ms or 0)} because it lacks {lack.thing}."
                )
                late = context.was_under_way(discovery.reported_ms or 0, first.began_ms)
                events = discovery.reported_seq, first.seq
                yield self.found(says, job=first.job, instance=name, events=events, farm_was_late=late)

    def _lacks(
        self, instance: str, context: RuleContext, needless_of: Callable[[str], set[Attempt]]
    ) -> Iterator[_Lack]:
        discoveries: dict[tuple[int, str], Attempt] = {}     # by epoch and thing
        lacks: dict[str, _Lack] = {}
        for attempt in context.tracker.by_instance[instance]:
            epoch = attempt.epoch
            found = ((thing, discoveries[epoch, thing]) for thing in attempt.missing if (epoch, thing) in discoveries)
            wire_ms = context.bounds.wire
            known = next((pair for pair in found if _is_known_to(attempt, pair[1], wire_ms)), None)
            if known is not None and attempt not in needless_of(attempt.job):
                thing, discovery = known
                if thing in lacks:
                    lacks[thing].count += 1
                else:
                    lacks[thing] = _Lack(thing, discovery, attempt)
            if attempt.status == 400 and attempt.answered_ms is not None and not attempt.is_unreadable:
                for thing in attempt.missing:
                    before = discoveries.get((epoch, thing))
                    if before is None or attempt.is_repaired_since(before):
                        discoveries[epoch, thing] = attempt
        yield from lacks.values()


def _is_known_to(attempt: Attempt, discovery: Attempt, wire_ms: int) -> bool:
    return attempt.is_sent_after_failure_of(discovery, wire_ms) and not attempt.is_repaired_since(discovery)
