"""The verdict on a log made by hand.

Most of these logs say nothing of deliveries.  So ``delivery`` is ``none`` here if not given (a job that succeeds is
done), and what is reported only because nobody said if the user of a failed job was told is left out of the findings.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from comfyfarm.analysis.findings import Finding, Thresholds
from comfyfarm.analysis.verdict import Verdict, VerdictBuilder
from comfyfarm.events.orders import DeliveryMode
from tests.support.logs import Piece, log, ran


def verdict_of(
    *pieces: Piece, defects: Iterable[str] = (), delivery: DeliveryMode | None = "none", **bounds: Any
) -> Verdict:
    """Return the verdict on a log.

    :param defects: of the log itself.
    :param delivery: what counts as delivered, if the log does not state it.
    :param bounds: for :class:`Thresholds`.
    """
    builder = VerdictBuilder(bounds=Thresholds(**bounds))
    for event in log(*pieces):
        builder.on_event(event)
    builder.tracker.orders.delivery = builder.tracker.orders.delivery or delivery
    for defect in defects:
        builder.note_defect(defect)
    return builder.verdict()


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
