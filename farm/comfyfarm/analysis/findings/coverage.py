"""A test that did not test what it set out to: the fault never came."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from comfyfarm.analysis.findings.finding import Finding, FindingRule, RuleContext, moment, rule
from comfyfarm.events import Event, FaultArmed, FaultFired


@rule("fault_never_fired")
@dataclass(eq=False)
class FaultNeverFired(FindingRule):
    """A fault was armed, and has struck no instance so far."""

    handles = (FaultArmed, FaultFired)
    by_absence = True
    _waiting: dict[str, FaultArmed] = field(default_factory=dict)

    def on_event(self, event: Event, known: RuleContext) -> None:
        """Expect a fault, or have it."""
        if isinstance(event, FaultArmed):
            self._waiting[event.id] = event
        elif isinstance(event, FaultFired):
            self._waiting.pop(event.id, None)

    def conclude(self, known: RuleContext) -> Iterator[Finding]:
        """One finding for each such fault."""
        for fault_id, armed in self._waiting.items():
            yield Finding(
                finding=self.name,
                severity="note",
                instance=armed.on[0] if len(armed.on) == 1 else "",
                events=(armed.seq,),
                says=f"The fault {fault_id} ({armed.fault.get('do', '?')}), armed at {moment(armed.at_ms)} on "
                f"{', '.join(armed.on)}, never struck.",
            )


@rule("instance_never_used")
class InstanceNeverUsed(FindingRule):
    """Jobs were sent to the farm, and none to this instance."""

    by_absence = True

    def conclude(self, known: RuleContext) -> Iterator[Finding]:
        """One finding for each such instance."""
        used = known.attempts.at
        if used:
            for name in known.fleet.members:
                if name not in used:
                    yield Finding(
                        finding=self.name,
                        severity="note",
                        instance=name,
                        says=f"No job was ever sent to {name}.",
                    )


@rule("log_incomplete")
class LogIncomplete(FindingRule):
    """Something is wrong with the log itself: a torn line, unknown kinds of events, missing numbers.

    What it says stands.  What it does not say proves nothing: an error of that sort is *unknown* then.
    """

    def conclude(self, known: RuleContext) -> Iterator[Finding]:
        """At most one finding."""
        defects = known.defects
        if not defects.count:
            return
        more = f"; and {defects.count - len(defects.told)} more" if defects.count > len(defects.told) else ""
        what = "; ".join(text for _, text in defects.told)
        yield Finding(
            finding=self.name,
            severity="unknown",
            events=tuple(seq for seq, _ in defects.told if seq),
            says=f"The log is incomplete ({what}{more}): what it does not say may have happened all the same, so that "
            "a job that seems lost, unanswered or without success may be none of that.",
        )
