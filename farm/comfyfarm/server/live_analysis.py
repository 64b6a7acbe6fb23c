"""What a live farm can be asked about the system under test, and what that system may tell it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from comfyfarm.analysis.findings import Thresholds
from comfyfarm.analysis.journal import Journal
from comfyfarm.analysis.log_analysis import LogAnalysis
from comfyfarm.analysis.placement.placement import Placement, PlacementThresholds
from comfyfarm.analysis.thresholds import as_table
from comfyfarm.analysis.verdict import Verdict
from comfyfarm.config.decoding import decode_alone
from comfyfarm.events import Delivered, Draining, Event, Finished, Judged, Reset
from comfyfarm.events.log import Log
from comfyfarm.events.stamp import Stamp
from comfyfarm.server.media.stamps import read_stamp


class UnknownInstance(ValueError):
    """The farm has no instance of this name; the message says which there are."""


@dataclass(eq=False)
class LiveAnalysis:
    """Listens to a farm's log from its first event on, so that the log's bound in memory loses it nothing.

    :ivar now_ms: lets happen what is due, and gives the simulated moment.
    :ivar epochs: by instance, which of its lives this is.
    :ivar drained: the instances that shall get no new work.
    """

    log: Log
    now_ms: Callable[[], int]
    epochs: Callable[[], Mapping[str, int]]
    drained: set[str] = field(default_factory=set)
    _truth: LogAnalysis = field(default_factory=LogAnalysis)

    def __post_init__(self) -> None:
        """Listen."""
        self.log.listen(self._truth.on_event)

    def verdict(self, bounds: Thresholds | None = None) -> Verdict:
        """Judge by all that has happened until now.

        :param bounds: others than the usual ones.
        """
        self._look()
        return self._truth.verdict(bounds)

    def placement(self, terms: PlacementThresholds | None = None) -> Placement:
        """Measure by all that has happened until now.

        :param terms: others than the usual ones.
        """
        self._look()
        return self._truth.placement(terms)

    def log_analysis(self) -> LogAnalysis:
        """All that is known until now, for whoever shows it."""
        self._look()
        return self._truth

    def _look(self) -> None:
        """Have the log know that time has passed, where nothing else says so: it is judged by its latest moment."""
        now_ms = self.now_ms()
        if not self.log.events or self.log.events[-1].at_ms < now_ms:
            self.log.publish(Judged(at_ms=now_ms))

    @property
    def journal(self) -> Journal:
        """What came and what was sent, as the log has it at any moment."""
        return Journal(self.log.events)

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
        """Write down that the system under test has handed a result to its user, and give what the picture says.

        :param stamp: the text that was found in the picture.
        :param picture: or the picture itself; one without a stamp proves nothing, and is no mistake.
        :raises ValueError: where the stamp is none.
        :raises UnknownInstance: where there is none of that name.
        """
        if instance:
            self._epoch(instance)
        found = _read(stamp) if stamp is not None else read_stamp(picture or b"")
        told = Delivered(at_ms=self.now_ms(), job=job, prompt_id=prompt_id, file=file)
        if found is not None:
            told = replace(told, stamp_job=found.job, stamp_prompt_id=found.prompt_id)
        self.log.publish(told, instance)
        return found

    def drain(self, instance: str, *, on: bool) -> None:
        """Tell the system under test, as the log has it, to send an instance no new work, or some again.

        :raises UnknownInstance: where there is none of that name.
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


def _read(stamp: str) -> Stamp:
    try:
        return Stamp.parse(stamp)
    except ValueError as why:
        raise ValueError(f"stamp: {why}") from why


def read_bounds(said: Mapping[str, Any]) -> Thresholds:
    """Bounds as a test says them: ``{"reaction": "5s", "retries": 3}``; a number for a duration is seconds.

    :raises ConfigError: naming the key.
    """
    return decode_alone(as_table(Thresholds, said), Thresholds)


def read_terms(said: Mapping[str, Any]) -> PlacementThresholds:
    """Terms of the placement in the same way: ``{"fresh": "2s"}``.

    :raises ConfigError: naming the key.
    """
    return decode_alone(as_table(PlacementThresholds, said), PlacementThresholds)


@dataclass(eq=False)
class JobCounter:
    """The jobs that have ended, well or badly, since the farm's start or the instance's last reset.

    :ivar finished: by instance.
    """

    finished: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, log: Log) -> JobCounter:
        """Count from now on."""
        tally = cls()
        log.listen(tally.on_event)
        return tally

    def on_event(self, event: Event) -> None:
        """Count an end; a reset begins anew."""
        if isinstance(event, Finished):
            self.finished[event.instance] += 1
        elif isinstance(event, Reset):
            self.finished[event.instance] = 0
