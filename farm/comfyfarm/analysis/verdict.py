"""What the log proves about the system under test: pass, fail or unknown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from comfyfarm.analysis.findings import RULES, Defects, Finding, FindingRule, RuleContext, Severity, Thresholds
from comfyfarm.analysis.instances import FleetState
from comfyfarm.analysis.job_tracker import JobTracker
from comfyfarm.events import Event

_ORDER: tuple[Severity, ...] = ("error", "unknown", "warning", "note")
_DOUBT = "(The log is incomplete: what disproves it may be missing.)"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """A judgement of all that has happened until a moment.

    :ivar verdict: ``fail`` where a finding is an error; else ``unknown`` where one is unknown; else ``pass``.
    :ivar at_ms: of the latest event, in simulated milliseconds.
    :ivar seq: of the latest event.
    :ivar jobs: logical jobs.
    :ivar attempts: how often they were sent.
    :ivar succeeded: logical jobs with at least one successful run.
    :ivar findings: errors first; those of one kind together, in the order of the log.
    """

    verdict: Literal["pass", "fail", "unknown"]
    at_ms: int
    seq: int
    jobs: int
    attempts: int
    succeeded: int
    findings: tuple[Finding, ...]


@dataclass(eq=False)
class VerdictBuilder:
    """Follows a log from its first event, and can judge at any moment."""

    bounds: Thresholds = field(default_factory=Thresholds)
    attempts: JobTracker = field(default_factory=JobTracker)
    fleet: FleetState = field(default_factory=FleetState)
    rules: list[FindingRule] = field(default_factory=lambda: [kind() for _, kind in sorted(RULES.items())])
    _defects: Defects = field(default_factory=Defects)
    _seq: int = 0

    def __post_init__(self) -> None:
        """Find out which rules listen to what."""
        self._listening: dict[type[Event], list[FindingRule]] = {}
        for each in self.rules:
            for kind in each.handles:
                self._listening.setdefault(kind, []).append(each)

    def on_event(self, event: Event) -> None:
        """Take the next event into account."""
        self._seq = max(self._seq, event.seq)
        self.attempts.on_event(event)
        self.fleet.on_event(event)
        if (listening := self._listening.get(type(event))) is not None:
            known = self._known(self.bounds)
            for each in listening:
                each.on_event(event, known)

    def note_defect(self, text: str, seq: int = 0) -> None:
        """Something is wrong with the log itself: from now on nothing is proven by what it does not say.

        :param text: such as ``seq 17 to 19 are missing``.
        :param seq: where; 0 where that is not known.
        """
        self._defects.note(text, seq)

    def verdict(self, bounds: Thresholds | None = None) -> Verdict:
        """Judge by all that was heard.

        :param bounds: others than the judge's own.
        """
        known = self._known(bounds or self.bounds)
        found = [finding for each in self.rules for finding in self._concluded(each, known)]
        found.sort(key=lambda each: _ORDER.index(each.severity))
        severities = {each.severity for each in found}
        jobs = self.attempts.tested
        return Verdict(
            verdict="fail" if "error" in severities else "unknown" if "unknown" in severities else "pass",
            at_ms=self.attempts.at_ms,
            seq=self._seq,
            jobs=sum(bool(job.attempts) for job in jobs),
            attempts=sum(len(job.attempts) for job in jobs),
            succeeded=sum(bool(job.ended("success")) for job in jobs),
            findings=tuple(found),
        )

    def _concluded(self, each: FindingRule, known: RuleContext) -> Iterator[Finding]:
        """What a rule finds; where the log has holes, an error by absence is none."""
        is_doubtful = each.by_absence and known.defects.count > 0
        for finding in each.conclude(known):
            if is_doubtful and finding.severity == "error":
                yield msgspec.structs.replace(finding, severity="unknown", says=f"{finding.says} {_DOUBT}")
            else:
                yield finding

    def _known(self, bounds: Thresholds) -> RuleContext:
        return RuleContext(self.attempts, self.fleet, bounds, self.attempts.at_ms, self._defects)
