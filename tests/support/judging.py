"""What a log made by hand proves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from comfyfarm.analysis.findings import Finding, Thresholds
from comfyfarm.analysis.verdict import Verdict, VerdictBuilder
from tests.support.logs import Piece, log

__all__ = ["found", "judged", "only", "said"]


def judged(*pieces: Piece, defects: Iterable[str] = (), **bounds: Any) -> Verdict:
    """The verdict on a log.

    :param defects: what is wrong with the log itself.
    :param bounds: for :class:`Thresholds`.
    """
    judge = VerdictBuilder(bounds=Thresholds(**bounds))
    for event in log(*pieces):
        judge.on_event(event)
    for each in defects:
        judge.note_defect(each)
    return judge.verdict()


def found(*pieces: Piece, **bounds: Any) -> list[tuple[str, str, str]]:
    """Of all findings: the rule, the logical job, the instance."""
    return [(each.finding, each.job, each.instance) for each in judged(*pieces, **bounds).findings]


def only(*pieces: Piece, **bounds: Any) -> Finding:
    """The one finding that there is."""
    (finding,) = judged(*pieces, **bounds).findings
    return finding


def said(*pieces: Piece, **bounds: Any) -> str:
    """The sentence of the one finding that there is."""
    return only(*pieces, **bounds).says
