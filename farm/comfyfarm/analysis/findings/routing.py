"""Findings about where clients send: to instances that are down, draining or lack something; and too many polls."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from comfyfarm.analysis.findings.finding import Finding, FindingRule, RuleContext, moment, rule
from comfyfarm.analysis.findings.job_status import instances_lacking
from comfyfarm.analysis.findings.retries import needless
from comfyfarm.analysis.instance_jobs import route_of
from comfyfarm.analysis.logical_jobs import Attempt
from comfyfarm.events import Draining, Event, Exchanged


@dataclass(eq=False)
class _FailureRow:
    """Submissions that failed in a row at one instance.

    :ivar job: of the first.
    :ivar other: an instance that was available when the last one failed.
    """

    job: str
    began_ms: int
    first_seq: int
    last_seq: int
    last_ms: int
    other: str
    count: int = 1


@rule("sent_to_down")
@dataclass(eq=False)
class SentToDown(FindingRule):
    """Too many submissions failed in a row at one instance, while another was available.

    A failure is a 5xx or no answer.  Each was sent after the one before had failed; any other answer ends the row.
    Another instance is available unless it has refused the same logical job for something that it lacks.  One finding
    for each instance, about its longest row.
    """

    handles = (Exchanged,)
    by_absence = True
    _rows: dict[str, _FailureRow] = field(default_factory=dict)
    _longest: dict[str, _FailureRow] = field(default_factory=dict)

    def on_event(self, event: Event, context: RuleContext) -> None:
        if not isinstance(event, Exchanged) or event.method != "POST" or route_of(event.path) != "/prompt":
            return
        if not (event.status == 0 or event.status >= 500):
            self._rows.pop(event.instance, None)
        elif (other := _other_instance(event, context)) is not None:
            self._on_failure(event, other)

    def _on_failure(self, event: Exchanged, other: str) -> None:
        name, row = event.instance, self._rows.get(event.instance)
        if row is None:
            row = _FailureRow(event.job, event.began_ms, event.seq, event.seq, event.at_ms, other)
            self._rows[name] = row
        elif event.began_ms > row.last_ms:
            row.last_seq, row.last_ms, row.other = event.seq, event.at_ms, other
            row.count += 1
        if name not in self._longest or self._longest[name].count < row.count:
            self._longest[name] = row

    def conclude(self, context: RuleContext) -> Iterator[Finding]:
        for name, row in sorted(self._longest.items(), key=lambda item: item[1].first_seq):
            if row.count > context.bounds.failures:
                says = (
                    f"{row.count} submissions one after another failed at {name}, from {moment(row.began_ms)} to "
                    f"{moment(row.last_ms)}, while {row.other} was available."
                )
                yield self.found(says, job=row.job, instance=name, events=(row.first_seq, row.last_seq))


def _other_instance(event: Exchanged, context: RuleContext) -> str | None:
    """Return an instance that a submission could have been sent to instead."""
    job = context.tracker.jobs.get(event.job)
    excluded = {event.instance} | (instances_lacking(job) if job is not None else set())
    members = context.fleet.members.items()
    return next((name for name, member in members if name not in excluded and member.accepts_jobs), None)


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
        return is_sent_after and (self.end_seq is None or attempt.seq < self.end_seq)


@rule("sent_to_draining")
@dataclass(eq=False)
class SentToDraining(FindingRule):
    """A submission was sent to an instance that was to be drained.  One finding for each such period."""

    handles = (Draining,)
    by_absence = True
    _drains: list[_Drain] = field(default_factory=list)
    _current: dict[str, _Drain] = field(default_factory=dict)

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
                more = f" and {len(sent) - 1} more" if len(sent) > 1 else ""
                says = (
                    f"{sent[0].job}{more} went to {drain.instance}, from {moment(sent[0].began_ms)} on, though it "
                    f"was to be drained from {moment(drain.at_ms)} on."
                )
                yield self.found(says, job=sent[0].job, instance=drain.instance, events=(drain.seq, sent[0].seq))


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
        for name in context.tracker.by_instance:
            for lack in self._lacks(name, context):
                first, discovery = lack.first, lack.discovery
                more = f", and {lack.count - 1} more such submissions" if lack.count > 1 else ""
                says = (
                    f"{first.job} was sent to {name} at {moment(first.began_ms)}{more}, though {name} had refused "
                    f"{discovery.job} at {moment(discovery.reported_ms or 0)} for lack of {lack.thing}."
                )
                yield self.found(says, job=first.job, instance=name, events=(discovery.reported_seq, first.seq))

    def _lacks(self, instance: str, context: RuleContext) -> Iterator[_Lack]:
        discoveries: dict[tuple[int, str], Attempt] = {}     # by epoch and thing
        lacks: dict[str, _Lack] = {}
        for attempt in context.tracker.by_instance[instance]:
            epoch = attempt.epoch
            found = ((thing, discoveries[epoch, thing]) for thing in attempt.missing if (epoch, thing) in discoveries)
            wire_ms = context.bounds.wire
            known = next((pair for pair in found if attempt.is_sent_after_failure_of(pair[1], wire_ms)), None)
            if known is not None and not _is_needless(attempt, context):
                thing, discovery = known
                if thing in lacks:
                    lacks[thing].count += 1
                else:
                    lacks[thing] = _Lack(thing, discovery, attempt)
            if attempt.status == 400 and attempt.answered_ms is not None and not attempt.is_unreadable:
                for thing in attempt.missing:
                    discoveries.setdefault((epoch, thing), attempt)
        yield from lacks.values()


def _is_needless(attempt: Attempt, context: RuleContext) -> bool:
    return any(other is attempt for other, _ in needless(context.tracker.jobs[attempt.job]))


_STATE_ROUTES = ("/history", "/jobs", "/prompt", "/queue", "/system_stats")


@rule("costly_polls")
@dataclass(eq=False)
class CostlyPolls(FindingRule):
    """For each accepted job, state was polled too often, or the answers were too long, on average.

    A poll is a ``GET`` of ``/history``, ``/jobs`` (or one entry of them), ``/prompt``, ``/queue`` or
    ``/system_stats``.  Nothing is found if no job was accepted.
    """

    severity = "warning"
    handles = (Exchanged,)
    _polls: Counter[str] = field(default_factory=Counter)
    _size_bytes: int = 0

    def on_event(self, event: Event, context: RuleContext) -> None:
        if isinstance(event, Exchanged) and event.method == "GET":
            route = "/" + route_of(event.path).split("/")[1] if "/" in event.path else ""
            if route in _STATE_ROUTES:
                self._polls[route] += 1
                self._size_bytes += event.size_bytes

    def conclude(self, context: RuleContext) -> Iterator[Finding]:
        jobs = sum(any(attempt.is_accepted for attempt in job.attempts) for job in context.tracker.tested)
        polls, size_bytes, bounds = self._polls.total(), self._size_bytes, context.bounds
        if jobs and (polls > bounds.polls * jobs or size_bytes > bounds.poll_size_bytes * jobs):
            routes = ", ".join(f"{self._polls[route]} of {route}" for route in _STATE_ROUTES if self._polls[route])
            yield self.found(
                f"For {jobs} jobs taken on, state was asked for {polls} times ({routes}), and the answers had "
                f"{size_bytes} bytes: {polls / jobs:.1f} questions and {size_bytes / jobs:.0f} bytes for each, where "
                f"{bounds.polls} and {bounds.poll_size_bytes} are allowed."
            )
