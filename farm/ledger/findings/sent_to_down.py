"""Work sent, again and again, to an instance that does not answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from farm.ledger.attempts import route_of
from farm.sim.events import Event, Exchanged

from .base import Finding, Known, Rule, moment, rule

__all__ = ["SentToDown"]


@dataclass(eq=False)
class _Row:
    """Submissions that failed one after another at one instance.

    :ivar job: of the first.
    :ivar other: an instance that was available when the last one failed.
    """

    job: str
    began_ms: int
    first_seq: int
    last_seq: int
    last_ms: int
    other: str
    count: int = 1


@rule("sent_to_down")
@dataclass(eq=False)
class SentToDown(Rule):
    """More submissions than may be failed one after another at one instance, while another was available.

    A failure is a 5xx or no answer.  Each was sent after the one before had failed; any other answer ends the row.
    Another instance counts as available unless it has refused the same logical job for something that it lacks.
    """

    hears = (Exchanged,)
    by_absence = True
    _rows: dict[str, _Row] = field(default_factory=dict)
    _longest: dict[str, _Row] = field(default_factory=dict)

    def hear(self, event: Event, known: Known) -> None:
        """Go on with a row, or end it."""
        if not isinstance(event, Exchanged) or event.method != "POST" or route_of(event.path) != "/prompt":
            return
        if not (event.status == 0 or event.status >= 500):
            self._rows.pop(event.instance, None)
        elif (other := _other(event, known)) is not None:
            self._failed(event, other)

    def _failed(self, event: Exchanged, other: str) -> None:
        name, row = event.instance, self._rows.get(event.instance)
        if row is None:
            row = _Row(event.job, event.began_ms, event.seq, event.seq, event.at_ms, other)
            self._rows[name] = row
        elif event.began_ms > row.last_ms:
            row.last_seq, row.last_ms, row.other = event.seq, event.at_ms, other
            row.count += 1
        if name not in self._longest or self._longest[name].count < row.count:
            self._longest[name] = row

    def conclude(self, known: Known) -> Iterator[Finding]:
        """One finding for each such instance, about its longest row."""
        for name, row in sorted(self._longest.items(), key=lambda each: each[1].first_seq):
            if row.count > known.bounds.failures:
                yield Finding(
                    finding=self.name,
                    severity="error",
                    job=row.job,
                    instance=name,
                    events=(row.first_seq, row.last_seq),
                    says=f"{row.count} submissions one after another failed at {name}, from {moment(row.began_ms)} to "
                    f"{moment(row.last_ms)}, while {row.other} was available.",
                )


def _other(event: Exchanged, known: Known) -> str | None:
    """An instance that this could have been sent to instead."""
    job = known.attempts.jobs.get(event.job)
    lacking = {each.instance for each in job.attempts if each.missing} if job is not None else set()
    return next(
        (
            name
            for name, member in known.fleet.members.items()
            if name != event.instance and name not in lacking and member.is_open_to_work
        ),
        None,
    )
