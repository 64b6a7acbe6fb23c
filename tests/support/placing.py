"""Hand-made logs, placed."""

from __future__ import annotations

from typing import Any

from comfyfarm.analysis.placement.placement import Placement, PlacementAnalyzer, PlacementThresholds
from comfyfarm.analysis.placement.records import OptionRecord
from tests.support.logs import log

__all__ = ["follow", "option", "place"]


def follow(*pieces: Any) -> PlacementAnalyzer:
    """What has heard a whole log."""
    placed = PlacementAnalyzer()
    for event in log(*pieces):
        placed.on_event(event)
    return placed


def place(*pieces: Any, terms: PlacementThresholds | None = None) -> Placement:
    """All measures of a log."""
    return follow(*pieces).placement(terms)


def option(job: str, instance: str, *pieces: Any) -> OptionRecord:
    """What was true of an instance when a job was sent for the first time."""
    record = next(each for each in follow(*pieces).records() if each.job == job)
    return next(each for each in record.options if each.instance == instance)
