"""The verdict on the system under test, as far as the log proves it: pass, fail or unknown (docs/verdict.md)."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import msgspec

from comfyfarm.analysis.findings import RULES, Defects, Finding, FindingRule, RuleContext, Severity, Thresholds
from comfyfarm.analysis.findings.order_outcome import Basis, basis_of, count_outcomes
from comfyfarm.analysis.findings.settled import settled_of
from comfyfarm.analysis.instances import CHANGING_EVENTS, FleetState
from comfyfarm.analysis.job_tracker import JobTracker
from comfyfarm.analysis.lateness import Lateness
from comfyfarm.analysis.listeners_elsewhere import ListenerTracker
from comfyfarm.analysis.logical_jobs import LogicalJob
from comfyfarm.analysis.requests_elsewhere import RequestTracker
from comfyfarm.events import Event
from comfyfarm.events.handler import Methods, by_type, merged, methods_of
from comfyfarm.units import Duration

_ORDER: tuple[Severity, ...] = ("error", "unknown", "warning", "note")
_DOUBT = "(The log is incomplete: what disproves it may be missing.)"


class Verdict(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A verdict on the log up to its latest event.

    :ivar verdict: ``fail`` if a finding is an error; else ``unknown`` if one is unknown; else ``pass``.
    :ivar trial: the name of the trial that it is about; empty before the first.
    :ivar at_ms: of the latest event, in simulated milliseconds.
    :ivar seq: of the latest event.
    :ivar basis: what orders are known from: ``names`` of reported orders, their ``count``, or only the ``prompts``.
    :ivar delivery: what counts as delivered, as stated or as the log shows it; empty if it does not.
    :ivar orders: the number of orders.
    :ivar delivered: of these, those whose user has a result.
    :ivar told: those whose user was told of a failure.
    :ivar withdrawn: those that their user wants no more.
    :ivar jobs: the number of logical jobs that something was sent for.
    :ivar attempts: the number of their attempts.
    :ivar succeeded: logical jobs with at least one successful run.
    :ivar forgotten: those of the jobs that are no longer kept: each succeeded at the first attempt, was delivered,
        and nothing was wrong with it.
    :ivar findings: errors first; those of one kind together, in the order of the log.
    """

    verdict: Literal["pass", "fail", "unknown"]
    trial: str
    at_ms: int
    seq: int
    basis: Basis
    delivery: str
    orders: int
    delivered: int
    told: int
    withdrawn: int
    jobs: int
    attempts: int
    succeeded: int
    forgotten: int = 0
    findings: tuple[Finding, ...]

    def summary(self) -> str:
        """Return the numbers in words: ``3 orders by name: 2 delivered, 1 withdrawn; 4 attempts, 2 jobs succeeded``."""
        ends = {"delivered": self.delivered, "failed with a word": self.told, "withdrawn": self.withdrawn}
        settled = ", ".join(f"{count} {end}" for end, count in ends.items() if count or end == "delivered")
        jobs = f"{_count(self.attempts, 'attempt')}, {_count(self.succeeded, 'job')} succeeded"
        forgotten = f" ({self.forgotten} of them no longer shown)" if self.forgotten else ""
        return f"{_count(self.orders, 'order')} {_BASES[self.basis]}: {settled}; {jobs}{forgotten}"


_BASES: dict[Basis, str] = {"names": "by name", "count": "by count", "prompts": "by what was sent"}


def _count(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


@dataclass(eq=False)
class VerdictBuilder:
    """Follows a log from its first event, and returns a verdict at any time.

    :ivar methods: by kind of events, those that process them, in this order.
    """

    bounds: Thresholds = field(default_factory=Thresholds)
    tracker: JobTracker = field(default_factory=JobTracker)
    fleet: FleetState = field(default_factory=FleetState)
    rules: list[FindingRule] = field(default_factory=lambda: [kind() for _, kind in sorted(RULES.items())])
    _defects: Defects = field(default_factory=Defects)
    _lateness: Lateness = field(default_factory=Lateness)

    def __post_init__(self) -> None:
        self._requests, self._listeners = RequestTracker(self.tracker, self.fleet), ListenerTracker(self.tracker)
        self._context = self._context_with(self.bounds)
        self.methods = self._methods_by_type()

    def _methods_by_type(self) -> Methods:
        tracker = self.tracker
        trackers = tracker, tracker.runs, tracker.results, tracker.orders, self.fleet, self._requests, self._listeners
        changes: Methods = {kind: [self.fleet.on_change] for kind in CHANGING_EVENTS}
        rules = ({kind: [partial(self._pass, rule)] for kind in rule.handles} for rule in self.rules)
        return merged(by_type(*trackers, self._lateness), changes, *rules)

    def on_event(self, event: Event) -> None:
        self.tracker.note_time(event)
        self.fleet.note_process(event)
        for method in methods_of(event, self.methods):
            method(event)

    def _pass(self, rule: FindingRule, event: Event) -> None:
        rule.on_event(event, self._context)

    def note_defect(self, text: str, seq: int = 0) -> None:
        """Note a defect of the log and its place (0 if not known); from now on, findings by absence prove nothing."""
        self._defects.note(text, seq)

    def verdict(self, bounds: Thresholds | None = None) -> Verdict:
        """Return the verdict on the log so far; ``None``: with the builder's own bounds."""
        context = self._context_with(bounds or self.bounds)
        findings = [finding for rule in self.rules for finding in self._conclude(rule, context)]
        findings.sort(key=lambda finding: _ORDER.index(finding.severity))
        severities = {finding.severity for finding in findings}
        jobs, forgotten, outcomes = self.tracker.tested, self.tracker.forgotten, count_outcomes(context)
        return Verdict(
            verdict="fail" if "error" in severities else "unknown" if "unknown" in severities else "pass",
            trial=self.tracker.trial,
            at_ms=self.tracker.at_ms,
            seq=self.tracker.seq,
            basis=basis_of(context),
            delivery=context.taking.mode or ("http" if outcomes["delivered"] else ""),
            orders=outcomes.total() if self.tracker.orders.expected is None else self.tracker.orders.expected,
            delivered=outcomes["delivered"],
            told=outcomes["told"],
            withdrawn=outcomes["withdrawn"],
            jobs=forgotten.count + sum(job.is_returned or bool(job.attempts) for job in jobs),
            attempts=forgotten.runs + sum(len(job.attempts) for job in jobs),
            succeeded=forgotten.count + sum(job.is_returned or bool(job.ended("success")) for job in jobs),
            forgotten=forgotten.count,
            findings=tuple(findings),
        )

    def settled(self, jobs: Iterable[LogicalJob]) -> list[LogicalJob]:
        """Return those of some jobs of which nothing more can be found."""
        bounds = msgspec.structs.replace(self.bounds, wire=Duration(0))      # with which there are the most findings
        context = self._context_with(bounds)
        return settled_of(jobs, self.rules, context)

    def forget(self, jobs: Sequence[LogicalJob]) -> None:
        """Drop such jobs; from then on only their number is known, and their names if they come again."""
        self._listeners.forget(attempt for job in jobs for attempt in job.attempts)
        self.tracker.forget(jobs)

    def _conclude(self, rule: FindingRule, context: RuleContext) -> Iterator[Finding]:
        # An error by absence may be disproved by what is missing from the log.
        is_doubtful = rule.by_absence and context.defects.count > 0
        for finding in rule.conclude(context):
            if is_doubtful and finding.severity == "error":
                yield msgspec.structs.replace(finding, severity="unknown", says=f"{finding.says} {_DOUBT}")
            else:
                yield finding

    def _context_with(self, bounds: Thresholds) -> RuleContext:
        trackers = self.tracker, self.fleet, self._requests, self._listeners
        return RuleContext(*trackers, bounds, self._defects, self._lateness)
