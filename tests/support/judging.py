"""The verdict on a log made by hand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from comfyfarm.analysis.findings import Finding, Thresholds
from comfyfarm.analysis.verdict import Verdict, VerdictBuilder
from tests.support.logs import Piece, log, ran


def verdict_of(*pieces: Piece, defects: Iterable[str] = (), **bounds: Any) -> Verdict:
    """Return the verdict on a log.

    :param defects: of the log itself.
    :param bounds: for :class:`Thresholds`.
    """
    builder = VerdictBuilder(bounds=Thresholds(**bounds))
    for event in log(*pieces):
        builder.on_event(event)
    for defect in defects:
        builder.note_defect(defect)
    return builder.verdict()


def found(*pieces: Piece, **bounds: Any) -> list[tuple[str, str, str]]:
    """Return the rule, the logical job and the instance of each finding."""
    return [(finding.finding, finding.job, finding.instance) for finding in verdict_of(*pieces, **bounds).findings]


def only(*pieces: Piece, **bounds: Any) -> Finding:
    """Return the only finding."""
    (finding,) = verdict_of(*pieces, **bounds).findings
    return finding


def sentence(*pieces: Piece, **bounds: Any) -> str:
    """Return the sentence of the only finding."""
    return only(*pieces, **bounds).says


def used(*instances: str) -> list[Piece]:
    """Give each instance a job of no interest."""
    return [ran(f"other-{name}", on=name, at=0, until=1) for name in instances]
