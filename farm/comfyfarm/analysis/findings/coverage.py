"""Findings about the test itself: unused faults and instances, no job at all, an incomplete log, comfyfarm's errors."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from comfyfarm.analysis.findings.finding import Finding, FindingRule, RuleContext, moment, rule
from comfyfarm.events import Event, FaultArmed, FaultFired, InternalError


@rule("fault_never_fired")
@dataclass(eq=False)
class FaultNeverFired(FindingRule):
    """A fault was armed, and has not fired so far."""

    severity = "note"
    handles = (FaultArmed, FaultFired)
    by_absence = True
    _armed: dict[str, FaultArmed] = field(default_factory=dict)

    def on_event(self, event: Event, context: RuleContext) -> None:
        if isinstance(event, FaultArmed):
            self._armed[event.id] = event
        elif isinstance(event, FaultFired):
            self._armed.pop(event.id, None)

    def conclude(self, context: RuleContext) -> Iterator[Finding]:
        for fault_id, armed in self._armed.items():
            says = (
                f"The fault {fault_id} ({_effect_of(armed)}), armed at {moment(armed.at_ms)} on {', '.join(armed.on)}, "
                "never fired, so this run says nothing about it; check its filters and times."
            )
            yield self.found(says, instance=armed.on[0] if len(armed.on) == 1 else "", events=[armed.seq])


def _effect_of(armed: FaultArmed) -> str:
    at = armed.fault.get("at")
    phase = at.get("phase") if isinstance(at, dict) else at
    do = armed.fault.get("do", "?")
    return f"{do} at {phase}" if phase else str(do)


@rule("instance_never_used")
class InstanceNeverUsed(FindingRule):
    """Jobs were sent to the farm, but none to this instance."""

    severity = "note"
    by_absence = True

    def conclude(self, context: RuleContext) -> Iterator[Finding]:
        used = {attempt.instance for job in context.tracker.jobs.values() for attempt in job.attempts}
        used |= context.tracker.forgotten.instances
        if used:
            for name in context.fleet.members:
                if name not in used:
                    yield self.found(
                        f"No job was ever sent to {name}; check that the software under test knows it.", instance=name
                    )


@rule("log_incomplete")
class LogIncomplete(FindingRule):
    """The log itself has defects: a torn line, unknown kinds of events, missing numbers.

    What it contains is still proof.  What it does not contain proves nothing: errors by absence become *unknown*.
    """

    severity = "unknown"

    def conclude(self, context: RuleContext) -> Iterator[Finding]:
        defects = context.defects
        if not defects.count:
            return
        others = defects.count - len(defects.examples)
        more = f"; and {others} more" if others else ""
        what = "; ".join(text for _, text in defects.examples)
        says = (
            f"The log is incomplete ({what}{more}): what it does not say may have happened all the same, so that "
            "a job that seems lost, unanswered or without success may be none of that."
        )
        yield self.found(says, events=[seq for seq, _ in defects.examples if seq])


@rule("no_job")
class NoJob(FindingRule):
    """The system under test submitted no job, so the log says nothing about it."""

    severity = "unknown"
    by_absence = True

    def conclude(self, context: RuleContext) -> Iterator[Finding]:
        if context.tracker.forgotten.runs or any(job.attempts for job in context.tracker.tested):
            return
        requests = context.fleet.requests
        if requests:
            what = f"{requests} {'request' if requests == 1 else 'requests'} came, but none submitted one"
            look_at = "see in the log what they were"
        else:
            what = "no request came at all"
            look_at = "check the URL and port that the system under test uses; a refused connection is not in the log"
        yield self.found(f"No job came: {what} ({look_at}).")


@rule("internal")
@dataclass(eq=False)
class Internal(FindingRule):
    """An error of comfyfarm's own: the job that it ran, or the request that it answered, proves nothing.

    One finding for each line of the package that raised.
    """

    severity = "unknown"
    handles = (InternalError,)
    _errors: dict[str, list[InternalError]] = field(default_factory=dict)

    def on_event(self, event: Event, context: RuleContext) -> None:
        if isinstance(event, InternalError):
            self._errors.setdefault(event.raised_at, []).append(event)

    def conclude(self, context: RuleContext) -> Iterator[Finding]:
        for raised_at, errors in self._errors.items():
            first = errors[0]
            where = f"in job {first.job}" if first.job else f"at {first.request or 'the end of a job'}"
            more = f", and {len(errors) - 1} more times in the same way" if len(errors) > 1 else ""
            says = (
                f"comfyfarm itself failed {where} on {first.instance} at {moment(first.at_ms)}{more}: {first.error} "
                f"({raised_at}). This is not the fault of the software under test. Please report it, with the log."
            )
            yield self.found(says, job=first.job, instance=first.instance, events=[error.seq for error in errors])
