"""Too many questions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from farm.ledger.attempts import route_of
from farm.sim.events import Event, Exchanged

from .base import Finding, Known, Rule, rule

__all__ = ["CostlyPolls"]

_FAMILIES = ("/history", "/jobs", "/prompt", "/queue", "/system_stats")


@rule("costly_polls")
@dataclass(eq=False)
class CostlyPolls(Rule):
    """For each logical job that was taken on, state was asked for too often, or the answers were too long, on average.

    Asking for state is a ``GET`` of ``/history``, ``/jobs`` (or one entry of them), ``/prompt``, ``/queue`` or
    ``/system_stats``.  Where no job was taken on, nothing is said.
    """

    hears = (Exchanged,)
    _asked: Counter[str] = field(default_factory=Counter)
    _bytes: Counter[str] = field(default_factory=Counter)

    def hear(self, event: Event, known: Known) -> None:
        """Count a question."""
        if isinstance(event, Exchanged) and event.method == "GET":
            family = "/" + route_of(event.path).split("/")[1] if "/" in event.path else ""
            if family in _FAMILIES:
                self._asked[family] += 1
                self._bytes[family] += event.size_bytes

    def conclude(self, known: Known) -> Iterator[Finding]:
        """At most one finding."""
        jobs = sum(any(each.is_accepted for each in job.attempts) for job in known.attempts.tested)
        asked, size_bytes = self._asked.total(), self._bytes.total()
        bounds = known.bounds
        if jobs and (asked > bounds.polls * jobs or size_bytes > bounds.poll_size_bytes * jobs):
            families = ", ".join(f"{self._asked[each]} of {each}" for each in _FAMILIES if self._asked[each])
            yield Finding(
                finding=self.name,
                severity="warning",
                says=f"For {jobs} jobs taken on, state was asked for {asked} times ({families}), and the answers had "
                f"{size_bytes} bytes: {asked / jobs:.1f} questions and {size_bytes / jobs:.0f} bytes for each, where "
                f"{bounds.polls} and {bounds.poll_size_bytes} are allowed.",
            )
