"""The placement of hand-made logs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from comfyfarm.analysis.placement.choices import Choice, Option
from comfyfarm.analysis.placement.placement import Placement, PlacementAnalyzer, PlacementThresholds
from tests.support.logs import log


@dataclass(frozen=True)
class OptionRecord:
    """One instance at a dispatch, as the table in docs/placement.md has it."""

    instance: str
    health: str
    depth: int
    work_left_ms: int
    is_exact: bool
    is_eligible: bool
    models: Literal["in_memory", "loadable", "missing"] | None
    shown: int | None
    shown_age_ms: int | None
    sent_since: int


@dataclass(frozen=True)
class DispatchRecord:
    """One dispatch with every instance, in configuration order."""

    at_ms: int
    job: str
    attempt: int
    instance: str
    is_accepted: bool
    options: tuple[OptionRecord, ...]


def follow(*pieces: Any) -> PlacementAnalyzer:
    """Return an analyzer that has processed the whole log."""
    analyzer = PlacementAnalyzer()
    for event in log(*pieces):
        analyzer.on_event(event)
    return analyzer


def place(*pieces: Any, thresholds: PlacementThresholds | None = None) -> Placement:
    """Return all measures of a log."""
    return follow(*pieces).placement(thresholds)


def option(job: str, instance: str, *pieces: Any) -> OptionRecord:
    """Return the record of an instance at the first dispatch of a job."""
    record = next(record for record in records(follow(*pieces)) if record.job == job)
    return next(option for option in record.options if option.instance == instance)


def records(analyzer: PlacementAnalyzer) -> list[DispatchRecord]:
    return [_record(choice) for choice in analyzer.choices()]


def _record(choice: Choice) -> DispatchRecord:
    attempt = choice.dispatch.attempt
    options = tuple(_option_record(option, attempt.sent_ms) for option in choice.options)
    return DispatchRecord(
        attempt.sent_ms, attempt.job, attempt.number, attempt.instance, attempt.is_accepted, options
    )


def _option_record(option: Option, at_ms: int) -> OptionRecord:
    snapshot = option.snapshot
    models: Literal["in_memory", "loadable", "missing"] | None = "missing"
    if option.is_eligible:
        models = None if option.needs is None else "in_memory" if option.is_warm else "loadable"
    return OptionRecord(
        instance=snapshot.instance,
        health=snapshot.health,
        depth=snapshot.depth,
        work_left_ms=option.left.ms,
        is_exact=option.left.is_exact,
        is_eligible=option.is_eligible,
        models=models,
        shown=snapshot.shown.remaining if snapshot.shown else None,
        shown_age_ms=at_ms - snapshot.shown.at_ms if snapshot.shown else None,
        sent_since=snapshot.sent_since,
    )
