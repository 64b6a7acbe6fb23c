"""Everything that is folded from a log: one pass for the verdict, the placement and the timeline."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

from comfyfarm.analysis.findings import Thresholds
from comfyfarm.analysis.placement.placement import Placement, PlacementAnalyzer, PlacementThresholds
from comfyfarm.analysis.timeline.faults import FaultRow, FaultRows
from comfyfarm.analysis.timeline.timeline import Timeline
from comfyfarm.analysis.verdict import Verdict, VerdictBuilder
from comfyfarm.events import Event
from comfyfarm.events.saved_log import read_events

_MOST_WAITING = 1000


@dataclass(eq=False)
class LogAnalysis:
    """Follows a log from its first event, and can tell at any moment what it comes to.

    Events are folded when somebody asks, or when a thousand wait: who never asks in a short run pays nothing, and in a
    long one the farm stands still for a few milliseconds now and then.
    """

    judge: VerdictBuilder = field(default_factory=VerdictBuilder)
    _waiting: list[Event] = field(default_factory=list)
    _faults: FaultRows = field(default_factory=FaultRows)

    def __post_init__(self) -> None:
        """Let all of them look at the same jobs and instances."""
        self.placed = PlacementAnalyzer(attempts=self.judge.attempts, fleet=self.judge.fleet)
        self._timeline = Timeline(self.judge.attempts)

    @classmethod
    def of_saved(cls, lines: Iterable[bytes]) -> Self:
        """What a saved log comes to, as far as it can be read; what is wrong with it stands in the verdict.

        :param lines: see :func:`~comfyfarm.events.saved_log.read_events`.
        """
        analysis = cls()
        for event in read_events(lines, analysis.judge.note_defect):
            analysis._fold(event)
        return analysis

    def on_event(self, event: Event) -> None:
        """Take the next event into account."""
        self._waiting.append(event)
        if len(self._waiting) >= _MOST_WAITING:
            self._fold_all()

    def verdict(self, bounds: Thresholds | None = None) -> Verdict:
        """Judge by all that was heard.

        :param bounds: others than the usual ones.
        """
        self._fold_all()
        return self.judge.verdict(bounds)

    def placement(self, terms: PlacementThresholds | None = None) -> Placement:
        """Measure by all that was heard.

        :param terms: others than the usual ones.
        """
        self._fold_all()
        return self.placed.placement(terms)

    def timeline(self) -> Timeline:
        """What each instance did when, until now; it goes on when more is heard."""
        self._fold_all()
        return self._timeline

    def faults(self) -> list[FaultRow]:
        """The faults that there were, in the order in which they were armed."""
        self._fold_all()
        return list(self._faults.rows.values())

    @property
    def seed(self) -> int | None:
        """The farm's, or ``None`` where the log does not say."""
        self._fold_all()
        return self.judge.fleet.seed

    def _fold_all(self) -> None:
        waiting, self._waiting = self._waiting, []
        for event in waiting:
            self._fold(event)

    def _fold(self, event: Event) -> None:
        try:
            self.judge.on_event(event)
            self.placed.follow(event)
            self._timeline.on_event(event)
            self._faults.on_event(event)
        except Exception as why:  # noqa: BLE001 (anybody may have written a saved log, and a live farm has to go on)
            what = f"seq {event.seq} could not be taken into account ({type(why).__name__}: {why})"
            self.judge.note_defect(what, event.seq)
