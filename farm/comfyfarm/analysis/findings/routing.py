"""Work sent, again and again, to an instance that does not answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from comfyfarm.analysis.findings.finding import Finding, FindingRule, RuleContext, moment, rule
from comfyfarm.analysis.findings.retries import needless
from comfyfarm.analysis.instance_jobs import route_of
from comfyfarm.analysis.logical_jobs import Attempt
from comfyfarm.events import Draining, Event, Exchanged


@dataclass(eq=False)
class _Row:
    """Submissions that failed one after another at one instance.

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
    """More submissions than may be failed one after another at one instance, while another was available.

    A failure is a 5xx or no answer.  Each was sent after the one before had failed; any other answer ends the row.
    Another instance counts as available unless it has refused the same logical job for something that it lacks.
    """

    handles = (Exchanged,)
    by_absence = True
    _rows: dict[str, _Row] = field(default_factory=dict)
    _longest: dict[str, _Row] = field(default_factory=dict)

    def on_event(self, event: Event, known: RuleContext) -> None:
        """Go on with a row, or end it."""
        if not isinstance(event, Exchanged) or event.method != "POST" or route_of(event.path) != "/prompt":
            return
        if not (event.status == 0 or event.status >= 500):
            self._rows.pop(event.instance, None)
        elif (other := _other(event, known)) is not None:
            self._failed(event, other)

    def _failed(self, event: Exchanged, other: str) -> None:
        name, row = event.instance, self._rows.get(event.instance)
        if row is None:
            row = _Row(event.job, event.began_ms, event.seq, event.seq, event.at_ms, other)
            self._rows[name] = row
        elif event.began_ms > row.last_ms:
            row.last_seq, row.last_ms, row.other = event.seq, event.at_ms, other
            row.count += 1
        if name not in self._longest or self._longest[name].count < row.count:
            self._longest[name] = row

    def conclude(self, known: RuleContext) -> Iterator[Finding]:
        """One finding for each such instance, about its longest row."""
        for name, row in sorted(self._longest.items(), key=lambda each: each[1].first_seq):
            if row.count > known.bounds.failures:
                yield Finding(
                    finding=self.name,
                    severity="error",
                    job=row.job,
                    instance=name,
                    events=(row.first_seq, row.last_seq),
                    says=f"{row.count} submissions one after another failed at {name}, from {moment(row.began_ms)} to "
                    f"{moment(row.last_ms)}, while {row.other} was available.",
                )


def _other(event: Exchanged, known: RuleContext) -> str | None:
    """An instance that this could have been sent to instead."""
    job = known.attempts.jobs.get(event.job)
    lacking = {each.instance for each in job.attempts if each.missing} if job is not None else set()
    return next(
        (
            name
            for name, member in known.fleet.members.items()
            if name != event.instance and name not in lacking and member.is_open_to_work
        ),
        None,
    )


@dataclass(eq=False)
class _Drain:
    """A time in which an instance shall get no new work.

    :ivar end_seq: ``None`` while it lasts.
    """

    instance: str
    seq: int
    at_ms: int
    end_seq: int | None = None

    def covers(self, attempt: Attempt) -> bool:
        """Whether an attempt was sent in it."""
        return attempt.is_behind(self.seq, self.at_ms) and (self.end_seq is None or attempt.seq < self.end_seq)


@rule("sent_to_draining")
@dataclass(eq=False)
class SentToDraining(FindingRule):
    """A submission was sent to an instance after the system under test was told to send it no new work."""

    handles = (Draining,)
    by_absence = True
    _drains: list[_Drain] = field(default_factory=list)
    _current: dict[str, _Drain] = field(default_factory=dict)

    def on_event(self, event: Event, known: RuleContext) -> None:
        """Begin or end such a time."""
        if not isinstance(event, Draining):
            return
        if event.on and event.instance not in self._current:
            drain = self._current[event.instance] = _Drain(event.instance, event.seq, event.at_ms)
            self._drains.append(drain)
        elif not event.on and event.instance in self._current:
            self._current.pop(event.instance).end_seq = event.seq

    def conclude(self, known: RuleContext) -> Iterator[Finding]:
        """One finding for each such time."""
        for drain in self._drains:
            sent = [each for each in known.attempts.at.get(drain.instance, []) if drain.covers(each)]
            if sent:
                more = f" and {len(sent) - 1} more" if len(sent) > 1 else ""
                yield Finding(
                    finding=self.name,
                    severity="error",
                    job=sent[0].job,
                    instance=drain.instance,
                    events=(drain.seq, sent[0].seq),
                    says=f"{sent[0].job}{more} went to {drain.instance}, from {moment(sent[0].began_ms)} on, though it "
                    f"was to be drained from {moment(drain.at_ms)} on.",
                )


@dataclass(eq=False)
class _Case:
    """A thing that an instance lacks, and who was sent there for it although that was known."""

    thing: str
    discovery: Attempt
    first: Attempt
    count: int = 1


@rule("ineligible")
class Ineligible(FindingRule):
    """A submission was refused for something that the instance lacks, after another had been for the same thing.

    The first refusal in each process's life is a discovery, as are those on their way before its answer; the same
    logical job sent there again is *resubmitted*.
    """

    def conclude(self, known: RuleContext) -> Iterator[Finding]:
        """One finding for each thing that an instance lacks."""
        for name in known.attempts.at:
            for case in self._cases(known.attempts.at[name], known):
                first, discovery = case.first, case.discovery
                more = f", and {case.count - 1} more such submissions" if case.count > 1 else ""
                yield Finding(
                    finding=self.name,
                    severity="error",
                    job=first.job,
                    instance=name,
                    events=(discovery.reported_seq, first.seq),
                    says=f"{first.job} was sent to {name} at {moment(first.began_ms)}{more}, though {name} had refused "
                    f"{discovery.job} at {moment(discovery.reported_ms or 0)} for lack of {case.thing}.",
                )

    def _cases(self, attempts: list[Attempt], known: RuleContext) -> Iterator[_Case]:
        discovered: dict[tuple[int, str], Attempt] = {}
        cases: dict[str, _Case] = {}
        for each in attempts:
            if not each.missing:
                continue
            thing = next((it for it in each.missing if _is_known(discovered.get((each.epoch, it)), each)), None)
            if thing is not None and not _is_told(each, known):
                if thing in cases:
                    cases[thing].count += 1
                else:
                    cases[thing] = _Case(thing, discovered[each.epoch, thing], each)
            if each.status == 400 and each.answered_ms is not None and not each.is_unreadable:
                for it in each.missing:
                    discovered.setdefault((each.epoch, it), each)
        yield from cases.values()


def _is_known(discovery: Attempt | None, attempt: Attempt) -> bool:
    return discovery is not None and attempt.is_reported(discovery)


def _is_told(attempt: Attempt, known: RuleContext) -> bool:
    """Whether another rule says it."""
    return any(each.attempt is attempt for each in needless(known.attempts.jobs[attempt.job]))


_FAMILIES = ("/history", "/jobs", "/prompt", "/queue", "/system_stats")


@rule("costly_polls")
@dataclass(eq=False)
class CostlyPolls(FindingRule):
    """For each logical job that was taken on, state was asked for too often, or the answers were too long, on average.

    Asking for state is a ``GET`` of ``/history``, ``/jobs`` (or one entry of them), ``/prompt``, ``/queue`` or
    ``/system_stats``.  Where no job was taken on, nothing is said.
    """

    handles = (Exchanged,)
    _asked: Counter[str] = field(default_factory=Counter)
    _bytes: Counter[str] = field(default_factory=Counter)

    def on_event(self, event: Event, known: RuleContext) -> None:
        """Count a question."""
        if isinstance(event, Exchanged) and event.method == "GET":
            family = "/" + route_of(event.path).split("/")[1] if "/" in event.path else ""
            if family in _FAMILIES:
                self._asked[family] += 1
                self._bytes[family] += event.size_bytes

    def conclude(self, known: RuleContext) -> Iterator[Finding]:
        """At most one finding."""
        jobs = sum(any(each.is_accepted for each in job.attempts) for job in known.attempts.tested)
        asked, size_bytes = self._asked.total(), self._bytes.total()
        bounds = known.bounds
        if jobs and (asked > bounds.polls * jobs or size_bytes > bounds.poll_size_bytes * jobs):
            families = ", ".join(f"{self._asked[each]} of {each}" for each in _FAMILIES if self._asked[each])
            yield Finding(
                finding=self.name,
                severity="warning",
                says=f"For {jobs} jobs taken on, state was asked for {asked} times ({families}), and the answers had "
                f"{size_bytes} bytes: {asked / jobs:.1f} questions and {size_bytes / jobs:.0f} bytes for each, where "
                f"{bounds.polls} and {bounds.poll_size_bytes} are allowed.",
            )
