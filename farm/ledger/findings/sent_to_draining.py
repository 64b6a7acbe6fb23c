"""New work for an instance that should get none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from farm.ledger.attempts import Attempt
from farm.sim.events import Draining, Event

from .base import Finding, Known, Rule, moment, rule

__all__ = ["SentToDraining"]


@dataclass(eq=False)
class _Drain:
    """A time in which an instance shall get no new work.

    :ivar end_seq: ``None`` while it lasts.
    """

    instance: str
    seq: int
    at_ms: int
    end_seq: int | None = None

    def covers(self, attempt: Attempt) -> bool:
        """Whether an attempt was sent in it."""
        return attempt.is_behind(self.seq, self.at_ms) and (self.end_seq is None or attempt.seq < self.end_seq)


@rule("sent_to_draining")
@dataclass(eq=False)
class SentToDraining(Rule):
    """A submission was sent to an instance after the system under test was told to send it no new work."""

    hears = (Draining,)
    by_absence = True
    _drains: list[_Drain] = field(default_factory=list)
    _current: dict[str, _Drain] = field(default_factory=dict)

    def hear(self, event: Event, known: Known) -> None:
        """Begin or end such a time."""
        if not isinstance(event, Draining):
            return
        if event.on and event.instance not in self._current:
            drain = self._current[event.instance] = _Drain(event.instance, event.seq, event.at_ms)
            self._drains.append(drain)
        elif not event.on and event.instance in self._current:
            self._current.pop(event.instance).end_seq = event.seq

    def conclude(self, known: Known) -> Iterator[Finding]:
        """One finding for each such time."""
        for drain in self._drains:
            sent = [each for each in known.attempts.at.get(drain.instance, []) if drain.covers(each)]
            if sent:
                more = f" and {len(sent) - 1} more" if len(sent) > 1 else ""
                yield Finding(
                    finding=self.name,
                    severity="error",
                    job=sent[0].job,
                    instance=drain.instance,
                    events=(drain.seq, sent[0].seq),
                    says=f"{sent[0].job}{more} went to {drain.instance}, from {moment(sent[0].began_ms)} on, though it "
                    f"was to be drained from {moment(drain.at_ms)} on.",
                )
