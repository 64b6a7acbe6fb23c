"""The analysis of a live farm: verdict and placement until now, and the reports of the system under test."""

from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count

from msgspec.structs import replace

from comfyfarm.analysis.journal import Journal
from comfyfarm.analysis.log_analysis import LogAnalysis
from comfyfarm.analysis.trials import Trials
from comfyfarm.events import (
    Delivered,
    Draining,
    Event,
    Finished,
    Judged,
    OrderReported,
    Reset,
    TrialBegan,
)
from comfyfarm.events.log import Log
from comfyfarm.events.orders import DeliveryMode
from comfyfarm.events.stamp import Stamp
from comfyfarm.server.media.contents import kind_of, short_digest
from comfyfarm.server.media.stamps import read_stamp

_REPORTS_IN_A_TURN = 1000   # about 5 ms


class UnknownInstance(ValueError):
    """The farm has no instance of this name; the message names those that there are."""


class TrialExists(ValueError):
    """The log has a trial of this name already."""


@dataclass(frozen=True)
class Selection:
    """A part of the log that is to be analysed.

    :ivar events: how many it has, at most: with many, the analysis and its results take long.
    :ivar analyse: returns its analysis; it raises :class:`~comfyfarm.analysis.trials.UnknownTrial` if the log no longer
        has what is needed.
    """

    events: int
    analyse: Callable[[], LogAnalysis]


@dataclass(eq=False)
class LiveAnalysis:
    """Analyses a farm's log from its first event on, trial by trial; the log itself keeps only the latest events.

    :ivar now_ms: runs everything that is due, and returns the simulated time.
    :ivar epochs: returns the epoch of each instance, by name.
    :ivar drained: the instances that shall get no new work.
    :ivar finished: by instance, the jobs that have ended, well or badly, since the start or the last reset.
    """

    log: Log
    now_ms: Callable[[], int]
    epochs: Callable[[], Mapping[str, int]]
    drained: set[str] = field(default_factory=set)
    finished: Counter[str] = field(default_factory=Counter)
    _trials: Trials = field(default_factory=Trials)

    def __post_init__(self) -> None:
        self.log.listen(self._count, kinds=(Finished, Reset))
        self.log.listen(self._trials.on_event)

    def _count(self, event: Event) -> None:
        if isinstance(event, Finished):
            self.finished[event.instance] += 1
        else:
            self.finished[event.instance] = 0

    def log_analysis(
        self, *, trial: str | None = None, since: int | None = None, client: str | None = None
    ) -> LogAnalysis:
        """Return the analysis of what :meth:`select` selects.

        :raises UnknownTrial: if there is no such trial, or the log no longer has what is needed.
        :raises ValueError: if ``trial`` is given together with another.
        """
        return self.select(trial=trial, since=since, client=client).analyse()

    def select(
        self, *, trial: str | None = None, since: int | None = None, client: str | None = None, logged: bool = True
    ) -> Selection:
        """Select the current trial until now, or another part of the log.

        :param trial: the name of a trial.
        :param since: the ``seq`` of an event: what came after it is analysed as if a trial had begun there.
        :param client: only the jobs of clients whose id matches this glob count; others are the farm's load.
        :param logged: whether the log gets the time of this request, so that a saved log is judged at the same time.
        :raises UnknownTrial: if there is no such trial.
        :raises ValueError: if ``trial`` is given together with ``since`` or ``client``, or they with ``logged`` false.
        """
        if trial is not None and (since is not None or client is not None):
            raise ValueError("trial: stands alone, without since and client")
        if not logged and (since is not None or client is not None):
            raise ValueError("logged: since and client need true")
        if logged:
            self._note_time()
        if since is None and client is None:
            analysis = self._trials.find(trial)
            if not logged and analysis.end_seq is None:
                analysis.on_event(Judged(seq=self.log.seq, at_ms=self.now_ms()))
            last_seq = self.log.seq if analysis.end_seq is None else analysis.end_seq
            return Selection(last_seq + 1 - analysis.first_seq, lambda: analysis)
        return Selection(len(self.log.events), partial(self._trials.since, since, self.log.events, client or ""))

    def _note_time(self) -> None:
        # The time of the last event counts as now; an event is needed if time has passed since.
        now_ms = self.now_ms()
        if not self.log.events or self.log.events[-1].at_ms < now_ms:
            self.log.publish(Judged(at_ms=now_ms))

    def journal(self, trial: str | None = None) -> Journal:
        """Return the events of a trial, as far as the log has them; that of the current one follows the log.

        :raises UnknownTrial: if there is none of that name, or it is no longer kept.
        """
        analysis = self._trials.find(trial)
        return Journal(self.log.events, analysis.first_seq, analysis.end_seq)

    @property
    def trial(self) -> str:
        """The name of the current trial; empty before the first."""
        return self._trials.current_name

    def begin_trial(
        self,
        name: str | None = None,
        *,
        jobs: int | None = None,
        delivery: DeliveryMode | None = None,
        client: str = "",
    ) -> TrialBegan:
        """Begin a trial.

        :param name: ``None`` for ``trial-N``.
        :param jobs: the number of orders that it will have.
        :param client: if not empty, it runs side by side with others; see :class:`TrialBegan`.
        :raises TrialExists: if there is one of that name.
        """
        names = self._trials.names
        if name is None:
            numbers = count(len(names) + 1)
            name = next(free for number in numbers if (free := f"trial-{number}") not in names)
        if name in names:
            raise TrialExists(f"name: there is a trial {name!r} already")
        self._note_time()       # so that the trial that ends here is judged at the present time
        now_ms = self.now_ms()
        began = TrialBegan(
            seq=self.log.seq + 1, at_ms=now_ms, name=name, jobs=jobs, delivery=delivery, client=client
        )
        self.log.publish(began)
        return began

    def delivered(
        self,
        job: str,
        *,
        prompt_id: str | None = None,
        instance: str = "",
        file: str = "",
        stamp: str | None = None,
        picture: bytes | None = None,
    ) -> Stamp | None:
        """Record that the system under test has handed a result to its user; return the picture's stamp.

        :param stamp: the text in the picture.
        :param picture: the picture itself, if there is no ``stamp``; it may have none, as pictures of static instances.
        :raises ValueError: if the stamp cannot be parsed.
        :raises UnknownInstance: if there is no instance of that name.
        """
        if instance:
            self._epoch(instance)
        found = _parse(stamp) if stamp is not None else read_stamp(picture or b"")
        event = Delivered(at_ms=self.now_ms(), job=job, prompt_id=prompt_id, file=file)
        if found is not None:
            event = replace(event, stamp_job=found.job, stamp_prompt_id=found.prompt_id)
        if picture is not None:
            facts = {"content": kind_of(picture), "size_bytes": len(picture), "digest": short_digest(picture)}
            event = replace(event, **facts)
        self.log.publish(event, instance)
        return found

    def report_orders(self, reports: Sequence[OrderReported]) -> Generator[None, None, None]:
        """Record the states of orders, in this order and in steps; they get the present time.

        :raises ValueError: if one is of the future; then none is recorded.
        """
        now_ms = self.now_ms()
        for number, report in enumerate(reports):
            if (report.when_ms or 0) > now_ms:
                raise ValueError(f"orders[{number}].at_ms: {report.when_ms} is in the future; it is {now_ms} now")
        for number, report in enumerate(reports, 1):
            self.log.publish(replace(report, at_ms=now_ms))
            if not number % _REPORTS_IN_A_TURN:
                yield
                now_ms = self.now_ms()

    def drain(self, instance: str, *, on: bool) -> None:
        """Record that the system under test shall send an instance no new work; with ``on`` False: some again.

        :raises UnknownInstance: if there is no instance of that name.
        """
        epoch = self._epoch(instance)
        if on == (instance in self.drained):
            return
        (self.drained.add if on else self.drained.discard)(instance)
        self.log.publish(Draining(at_ms=self.now_ms(), on=on), instance, epoch)

    def _epoch(self, instance: str) -> int:
        epochs = self.epochs()
        if instance not in epochs:
            raise UnknownInstance(f"instance: there is no {instance!r} (there are: {', '.join(epochs)})")
        return epochs[instance]


def _parse(stamp: str) -> Stamp:
    try:
        return Stamp.parse(stamp)
    except ValueError as error:
        raise ValueError(f"stamp: {error}") from error
