"""The trials of a log, each with its own analysis."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from comfyfarm.analysis.findings import Defects
from comfyfarm.analysis.log_analysis import MOST_FORMER, PARTS, LogAnalysis, Part
from comfyfarm.analysis.prologue import Prologue
from comfyfarm.events import (
    Delivered,
    Event,
    Exchanged,
    OrderReported,
    PromptRefused,
    SocketOpened,
    Submitted,
    TrialBegan,
)
from comfyfarm.events.log import KEPT
from comfyfarm.events.saved_log import read_events

_JUST_BEGUN_MS = 1000
_CHECKPOINT = 10_000        # events between two copies of the prologue
_MOST_KEPT = 100            # trials
_MOST_SIDE_BY_SIDE = 32
_MOST_NAMED = 20            # trials in an error
_BY_CLIENTS = Submitted, PromptRefused, Exchanged, SocketOpened, Delivered, OrderReported
_NOTED = frozenset({*_BY_CLIENTS, *Prologue.handlers})


class UnknownTrial(ValueError):
    """There is no such trial, or it is no longer kept; the message says which, and what to do."""


def analyse_saved(
    lines: Iterable[bytes], *, needs_end: bool = False, trial: str | None = None, parts: Collection[Part] = PARTS
) -> LogAnalysis:
    """Analyse a trial of a saved log as far as it can be read; the log's defects become part of the verdict.

    The other arguments are those of :func:`~comfyfarm.events.saved_log.read_events`.

    :param trial: ``None`` for the last one.
    :raises UnknownTrial: if there is none of that name.
    """
    trials = Trials(wanted=trial, parts=parts)
    for event in read_events(lines, trials.note_defect, needs_end=needs_end, kinds=trials.kinds()):
        trials.on_event(event)
    return trials.find(trial)


@dataclass(eq=False)
class Trials:
    """Follows a log from its first event, and has an analysis of each of its latest trials.

    A trial ends when the next one begins, except those side by side: each ends when another one with the same glob of
    client ids begins.  What came before the first trial has the empty name; if that was only the first second of the
    farm, and no client did anything, it is part of the first trial.  A trial that has ended is kept if it is one of
    the latest 100, and began in the latest 100,000 events.

    :ivar wanted: the name of a trial that is kept in any case.
    :ivar parts: those of each analysis.
    :ivar names: of all trials so far, in their order.
    """

    wanted: str | None = None
    parts: Collection[Part] = PARTS
    names: dict[str, None] = field(default_factory=dict)
    _current: LogAnalysis = field(init=False)
    _latest: TrialBegan | None = None       # not of those side by side
    _side_by_side: dict[str, LogAnalysis] = field(default_factory=dict)     # by glob, in the order of their beginning
    _kept: dict[str, LogAnalysis] = field(default_factory=dict)
    _prologue: Prologue = field(default_factory=Prologue)
    _checkpoints: deque[tuple[int, Prologue]] = field(default_factory=lambda: deque(maxlen=KEPT // _CHECKPOINT + 1))
    _former: dict[str, None] = field(default_factory=dict)
    _has_clients: bool = False

    def __post_init__(self) -> None:
        self._current = self._kept[""] = LogAnalysis(parts=self.parts)
        self._checkpoints.append((0, Prologue()))

    def on_event(self, event: Event) -> None:
        kind = type(event)
        if kind is TrialBegan:
            assert isinstance(event, TrialBegan)
            self._begin(event).on_event(event)
        else:
            self._current.on_event(event)
            if self._side_by_side:
                for analysis in self._side_by_side.values():
                    analysis.on_event(event)
        if kind in _NOTED:
            self._note(event)
        if event.seq % _CHECKPOINT == 0:
            self._checkpoints.append((event.seq, self._prologue.copy()))

    def _note(self, event: Event) -> None:
        """Note what later trials have to know."""
        if not self._has_clients and isinstance(event, _BY_CLIENTS):
            self._has_clients = not (isinstance(event, Submitted | PromptRefused) and event.is_load)
        try:
            self._prologue.on_event(event)
        except Exception as error:  # noqa: BLE001 (as in LogAnalysis)
            says = f"seq {event.seq} says no state of a farm ({type(error).__name__}: {error})"
            self.note_defect(says, event.seq)

    def kinds(self) -> set[type[Event]]:
        """Return the types of events that are handled."""
        return {*self._current.kinds(), *(kind for kind in _NOTED if isinstance(kind, type)), TrialBegan}

    def note_defect(self, text: str, seq: int) -> None:
        """Note a defect of the log and its place (0 if not known), for the trials that have not ended."""
        for analysis in (self._current, *self._side_by_side.values()):
            analysis.note_defect(text, seq)

    @property
    def current_name(self) -> str:
        """The name of the current trial; empty before the first."""
        return "" if self._latest is None else self._latest.name

    def find(self, name: str | None = None) -> LogAnalysis:
        """Return the analysis of a trial; ``None`` for the current one.

        :raises UnknownTrial: if there is none of that name, or it is no longer kept.
        """
        if name is None:
            return self._current
        if name in self._kept:
            return self._kept[name]
        if name in self.names:
            raise UnknownTrial(
                f"trial: {name!r} is over and no longer kept; judge the farm's log file: "
                f"comfyfarm judge FILE --trial {name}"
            )
        others = list(self.names)
        listed = ", ".join([*(["..."] if len(others) > _MOST_NAMED else []), *others[-_MOST_NAMED:]])
        raise UnknownTrial(f"trial: there is no {name!r} (there are: {listed or 'none'})")

    def since(self, seq: int | None, events: Sequence[Event], client: str = "") -> LogAnalysis:
        """Analyse what came after an event, as if a trial had begun there.

        :param seq: of the event; ``None``: the beginning of the current trial.
        :param events: the latest events of the log.
        :param client: if not empty, only the jobs of clients whose id matches this glob count.
        :raises UnknownTrial: if the log no longer has what is needed.
        """
        if seq is None:
            seq = 0 if self._current.began is None else self._current.began.seq
        first_seq = events[0].seq if events else 1
        usable = [checkpoint for checkpoint in self._checkpoints if first_seq - 1 <= checkpoint[0] <= seq]
        if not usable:
            raise UnknownTrial(
                f"since: what came after seq {seq} is no longer in memory, which has the latest {KEPT:,} events; "
                "the farm's log file has all of them"
            )
        prologue, earlier = usable[-1][1].copy(), [event for event in events if event.seq <= seq]
        for event in earlier:
            if event.seq > usable[-1][0]:
                prologue.on_event(event)
        at_ms = earlier[-1].at_ms if earlier else 0
        former = self._former.keys() | {event.job for event in earlier if isinstance(event, Submitted)}
        delivery = None if self._latest is None else self._latest.delivery
        began = TrialBegan(seq=seq, at_ms=at_ms, name="", delivery=delivery, client=client)
        analysis = LogAnalysis(began, prologue.events(at_ms), former, parts=self.parts)
        analysis.on_event(began)
        for event in events:
            if event.seq > seq and type(event) is not TrialBegan:
                analysis.on_event(event)
        return analysis

    def _begin(self, event: TrialBegan) -> LogAnalysis:
        """Return the analysis of the trial that begins with this event."""
        if self.names or self._has_clients or event.client or event.at_ms > _JUST_BEGUN_MS:
            analysis = self._new(event)
        else:
            analysis = self._current
            self._kept.clear()
        if not event.client:
            self._latest = event
        self.names[event.name] = None
        self._kept[event.name] = analysis
        self._forget_old(event.seq)
        return analysis

    def _new(self, event: TrialBegan) -> LogAnalysis:
        if not event.client:
            self._former |= dict.fromkeys(self._current.job_names())
            for name in list(self._former)[:-MOST_FORMER]:
                del self._former[name]
        defects = Defects(list(self._current.defects.examples), self._current.defects.count)
        before = self._prologue.events(event.at_ms)
        analysis = LogAnalysis(event, before, self._former, defects, parts=self.parts)
        if event.client:
            ended = self._side_by_side.pop(event.client, None)
            self._side_by_side[event.client] = analysis
            if len(self._side_by_side) > _MOST_SIDE_BY_SIDE:
                ended = self._side_by_side.pop(next(iter(self._side_by_side)))
        else:
            ended, self._current = self._current, analysis
        if ended is not None:
            ended.end_seq = event.seq - 1
        return analysis

    def _forget_old(self, seq: int) -> None:
        recent = set(list(self._kept)[-_MOST_KEPT:])
        for name, analysis in list(self._kept.items()):
            is_recent = name in recent and analysis.first_seq > seq - KEPT
            if analysis.end_seq is not None and name != self.wanted and not is_recent:
                del self._kept[name]
