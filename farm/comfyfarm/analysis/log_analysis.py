"""The whole analysis of a log in one pass: verdict, placement, timeline and faults."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

from comfyfarm.analysis.findings import Thresholds
from comfyfarm.analysis.placement.placement import Placement, PlacementAnalyzer, PlacementThresholds
from comfyfarm.analysis.timeline.faults import FaultRow, FaultRows
from comfyfarm.analysis.timeline.timeline import Timeline
from comfyfarm.analysis.verdict import Verdict, VerdictBuilder
from comfyfarm.events import Event, LogEnded
from comfyfarm.events.handler import by_type
from comfyfarm.events.saved_log import read_events

_MOST_PENDING = 1000


@dataclass(eq=False)
class LogAnalysis:
    """Follows a log from its first event, and returns its results at any time."""

    # Events are processed when a result is requested, or 1,000 at a time.  A short run without such requests costs
    # nothing; in a long run the farm pauses for a few milliseconds now and then.
    _pending: list[Event] = field(default_factory=list)
    _verdict: VerdictBuilder = field(default_factory=VerdictBuilder)
    _faults: FaultRows = field(default_factory=FaultRows)

    def __post_init__(self) -> None:
        self._placement = PlacementAnalyzer(attempts=self._verdict.tracker, fleet=self._verdict.fleet)
        self._timeline = Timeline(self._verdict.tracker)
        self._methods = by_type(self._timeline, self._faults)

    @classmethod
    def of_saved(cls, lines: Iterable[bytes], *, needs_end: bool = False) -> Self:
        """Analyse a saved log as far as it can be read; its defects become part of the verdict.

        The arguments are those of :func:`~comfyfarm.events.saved_log.read_events`.
        """
        analysis = cls()
        for event in read_events(lines, analysis._verdict.note_defect, needs_end=needs_end):
            analysis._process(event)
        return analysis

    def on_event(self, event: Event) -> None:
        self._pending.append(event)
        if len(self._pending) >= _MOST_PENDING:
            self._process_pending()

    def verdict(self, bounds: Thresholds | None = None) -> Verdict:
        """Return the verdict on the log so far; ``None``: with the default bounds."""
        self._process_pending()
        return self._verdict.verdict(bounds)

    def placement(self, terms: PlacementThresholds | None = None) -> Placement:
        """Return the placement measures of the log so far; ``None``: with the default terms."""
        self._process_pending()
        return self._placement.placement(terms)

    def timeline(self) -> Timeline:
        """Return the timeline of the log so far; it is updated by later events."""
        self._process_pending()
        return self._timeline

    def faults(self) -> list[FaultRow]:
        """Return the faults of the log so far, in the order in which they were armed."""
        self._process_pending()
        return list(self._faults.rows.values())

    @property
    def seed(self) -> int | None:
        """The farm's seed; ``None`` if the log lacks it."""
        self._process_pending()
        return self._verdict.fleet.seed

    def _process_pending(self) -> None:
        pending, self._pending = self._pending, []
        for event in pending:
            self._process(event)

    def _process(self, event: Event) -> None:
        if type(event) is LogEnded:
            return
        try:
            self._verdict.on_event(event)
            self._placement.follow(event)
            for method in self._methods.get(type(event), ()):
                method(event)
        except Exception as error:  # noqa: BLE001 (a saved log may hold anything, and a live farm must go on)
            text = f"seq {event.seq} could not be taken into account ({type(error).__name__}: {error})"
            self._verdict.note_defect(text, event.seq)
