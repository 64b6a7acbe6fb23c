"""The verdict on a log made by hand.

Most of these logs say nothing of deliveries.  So ``delivery`` is ``none`` here if not given (a job that succeeds is
done), and what is reported only because nobody said if the user of a failed job was told is left out of the findings.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from comfyfarm.analysis.findings import Finding, Thresholds
from comfyfarm.analysis.verdict import Verdict, VerdictBuilder
from comfyfarm.events import Configured, Delivered, Event, TrialBegan
from comfyfarm.events.orders import DeliveryMode
from tests.support.logs import Piece, log, ran


def verdict_of(
    *pieces: Piece,
    defects: Iterable[str] = (),
    delivery: DeliveryMode | None = "none",
    may_forget: bool = True,
    **bounds: Any,
) -> Verdict:
    """Return the verdict on a log, which is the same if each job is forgotten as soon as it is settled and delivered.

    :param may_forget: False for a log that says something of a job that it would only matter for if it were kept.
    :param defects: of the log itself.
    :param delivery: what counts as delivered, if the log does not state it.
    :param bounds: for :class:`Thresholds`.
    """
    verdict = _verdict_of(log(*pieces), defects, delivery, bounds, forgets=False)
    if may_forget:
        forgetful = _verdict_of(log(*pieces), defects, delivery, bounds, forgets=True)
        assert _gist(forgetful) == _gist(verdict), "a job was forgotten of which something could still be found"
    return verdict


def _verdict_of(
    events: list[Event], defects: Iterable[str], delivery: DeliveryMode | None, bounds: dict[str, Any], *, forgets: bool
) -> Verdict:
    """Return the verdict on a log; ``forgets``: every job is forgotten as soon as nothing more can be found of it."""
    builder = VerdictBuilder(bounds=Thresholds(**bounds))
    is_reported = any(isinstance(event, Delivered) for event in events)
    for event in events:
        builder.on_event(event)
        if not isinstance(event, Configured | TrialBegan):
            builder.tracker.orders.delivery = builder.tracker.orders.delivery or delivery
        if forgets:
            settled = builder.settled(builder.tracker.jobs.values())
            builder.forget([job for job in settled if job.delivered or not is_reported])
    for defect in defects:
        builder.note_defect(defect)
    return builder.verdict()


def _gist(verdict: Verdict) -> object:
    """Return what a verdict says whether or not jobs were forgotten."""
    numbers = verdict.orders, verdict.delivered, verdict.jobs, verdict.attempts, verdict.succeeded
    return verdict.verdict, numbers, [(finding.finding, finding.severity, finding.job) for finding in verdict.findings]


def findings(*pieces: Piece, delivery: DeliveryMode | None = "none", **bounds: Any) -> list[Finding]:
    """Return the findings, without those that a failed job of an unknown user has."""
    verdict = verdict_of(*pieces, delivery=delivery, **bounds)
    return [f for f in verdict.findings if (f.finding, f.severity) != ("undelivered", "unknown")]


def found(*pieces: Piece, **bounds: Any) -> list[tuple[str, str, str]]:
    """Return the rule, the logical job and the instance of each finding."""
    return [(finding.finding, finding.job, finding.instance) for finding in findings(*pieces, **bounds)]


def only(*pieces: Piece, **bounds: Any) -> Finding:
    """Return the only finding."""
    (finding,) = findings(*pieces, **bounds)
    return finding


def sentence(*pieces: Piece, **bounds: Any) -> str:
    """Return the sentence of the only finding."""
    return only(*pieces, **bounds).says


def used(*instances: str) -> list[Piece]:
    """Give each instance a job of no interest."""
    return [ran(f"other-{name}", on=name, at=0, until=1) for name in instances]
