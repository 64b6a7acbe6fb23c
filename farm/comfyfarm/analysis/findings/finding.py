"""Findings, and the registry of the rules that make them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, Literal, TypeVar

import msgspec

from comfyfarm.analysis.findings.job_status import possible_retries
from comfyfarm.analysis.findings.retry_after import early
from comfyfarm.analysis.instances import FleetState
from comfyfarm.analysis.job_tracker import JobTracker
from comfyfarm.analysis.lateness import Lateness
from comfyfarm.analysis.listeners_elsewhere import ListenerTracker
from comfyfarm.analysis.logical_jobs import Attempt, LogicalJob
from comfyfarm.analysis.requests_elsewhere import RequestTracker
from comfyfarm.analysis.taking import Outcome, ResultTaking
from comfyfarm.analysis.thresholds import Thresholds
from comfyfarm.events import Event
from comfyfarm.events.handler import Kind

_MOST_EXAMPLES = 20

Severity = Literal["error", "warning", "note", "unknown"]
"""``error``: the verdict is *fail*; ``unknown``: it is not *pass*; ``warning``, ``note``: the verdict is unaffected."""


class Finding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that the log proves.

    :ivar finding: the rule's name (docs/verdict.md).
    :ivar job: the logical job concerned; empty if there is none.
    :ivar instance: the instance concerned; empty if there is none, or several.
    :ivar events: the ``seq`` of each event that proves it, in order.
    :ivar says: one sentence in plain words.
    """

    finding: str
    severity: Severity
    job: str = ""
    instance: str = ""
    events: tuple[int, ...] = ()
    says: str


@dataclass(eq=False)
class Defects:
    """The defects of the log itself.

    :ivar examples: the first of them: the ``seq`` of each (0 if not known) and its description.
    :ivar count: of all.
    """

    examples: list[tuple[int, str]] = field(default_factory=list)
    count: int = 0

    def note(self, text: str, seq: int) -> None:
        self.count += 1
        if len(self.examples) < _MOST_EXAMPLES:
            self.examples.append((seq, text))


@dataclass(frozen=True)
class RuleContext:
    """All that a rule may use besides its own events; what is cached here holds for one verdict."""

    tracker: JobTracker
    fleet: FleetState
    requests: RequestTracker
    listeners: ListenerTracker
    bounds: Thresholds
    defects: Defects
    lateness: Lateness

    @property
    def at_ms(self) -> int:
        """The time of the verdict, which is that of the latest event."""
        return self.tracker.at_ms

    @cached_property
    def taking(self) -> ResultTaking:
        """How results are taken."""
        return ResultTaking.of(self.tracker)

    @cached_property
    def retries(self) -> dict[str, Attempt]:
        """The possible retries of unnamed jobs that were lost or failed, by the name of the job."""
        return possible_retries(self.tracker, self.bounds)

    @cached_property
    def retrying(self) -> set[str]:
        """The names of the jobs that may be such a retry."""
        return {retry.job for retry in self.retries.values()}

    @cached_property
    def hasty(self) -> set[Attempt]:
        """The attempts that came before a ``Retry-After`` had passed."""
        instances, wire_ms = self.tracker.by_instance, self.bounds.wire
        return {attempt for name in instances for attempt, _ in early(self.tracker, name, wire_ms)}

    @cached_property
    def outcomes(self) -> dict[str, Outcome]:
        """The outcomes of orders that are known so far, by logical job."""
        return {}

    @cached_property
    def withdrawals_are_reported(self) -> bool:
        """True if it was reported of any order that its user wants it no more."""
        return any(job.order is not None and job.order.withdrawn_seq > 0 for job in self.tracker.tested)


    # The farm's own lateness.

    def late_ms(self, since_ms: int) -> int:
        """Return how much of the time since then the farm itself was late, which does not count as a client's."""
        return self.lateness.within_ms(since_ms, self.at_ms, above_ms=self.bounds.lag)

    def has_passed(self, since_ms: int, span_ms: int) -> bool:
        """Return whether a client has had so much time since then."""
        return self.at_ms >= since_ms + span_ms + self.late_ms(since_ms)

    def was_late(self, since_ms: int, until_ms: int) -> bool:
        """Return whether failures in that time may be those of the farm itself."""
        return self.lateness.within_ms(since_ms, until_ms, above_ms=self.bounds.lag) > 0

    def was_under_way(self, known_ms: int, began_ms: int) -> bool:
        """Return whether a request may have come earlier than a late farm read it: before its client knew something."""
        late_ms = self.lateness.within_ms(known_ms, began_ms)
        return late_ms > 0 and began_ms - known_ms - late_ms <= self.bounds.wire


class FindingRule:
    """The base of a rule, which makes findings of one kind.

    :cvar name: the finding's.
    :cvar severity: of its findings, unless one has its own.
    :cvar handles: the kinds of events that are passed to :meth:`on_event`.
    :cvar by_absence: it concludes from what the log does *not* contain; if the log is incomplete, it proves nothing.
    """

    name: ClassVar[str] = ""
    severity: ClassVar[Severity] = "error"
    handles: ClassVar[tuple[Kind, ...]] = ()
    by_absence: ClassVar[bool] = False

    def on_event(self, event: Event, context: RuleContext) -> None:
        """Process an event; the tracker and the fleet in the context have already done so.

        Of exchanges also others of the same first part of the route may come.
        """

    def conclude(self, context: RuleContext) -> Iterator[Finding]:
        """Yield the findings so far, in the order of the log.  May be called again after further events."""
        raise NotImplementedError(self.name)

    def concerned(self, jobs: Sequence[LogicalJob], context: RuleContext) -> Iterable[LogicalJob]:
        """Return those of some jobs about which there may be a finding, now or later.

        :param jobs: each succeeded at its only attempt, and was delivered well.
        """
        return ()

    def found(
        self,
        says: str,
        *,
        job: str = "",
        instance: str = "",
        events: Iterable[int] = (),
        severity: Severity | None = None,
        farm_was_late: bool = False,
    ) -> Finding:
        """Make a finding of this rule; ``severity`` if it is not the rule's, or unknown if the farm was late."""
        if farm_was_late:
            severity, says = "unknown", f"{says} (Unknown: the farm itself was late in that time.)"
        return Finding(
            finding=self.name,
            severity=severity or self.severity,
            job=job,
            instance=instance,
            events=tuple(events),
            says=says,
        )


RULES: dict[str, type[FindingRule]] = {}
"""The rules by name."""

R = TypeVar("R", bound=type[FindingRule])


def rule(name: str) -> Callable[[R], R]:
    """Register a rule under the name of its finding."""

    def register(kind: R) -> R:
        kind.name = name
        RULES[name] = kind
        return kind

    return register


def moment(ms: int) -> str:
    """Format a simulated time or duration for a sentence: ``3.2 s``."""
    return f"{ms / 1000:.3f}".rstrip("0").rstrip(".") + " s"
