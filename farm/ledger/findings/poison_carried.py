"""A job that kills, carried from process to process."""

from __future__ import annotations

from collections.abc import Iterator

from .base import Finding, Known, Rule, moment, rule
from .retries import carried

__all__ = ["PoisonCarried"]


@rule("poison_carried")
class PoisonCarried(Rule):
    """A logical job was running on more processes than it may when they crashed, each time sent again by its client.

    A process that kept its queue and took the job up again by itself is the same attempt, and counts once.
    """

    def conclude(self, known: Known) -> Iterator[Finding]:
        """One finding for each such job."""
        for job in known.attempts.tested:
            killed = carried(job, known.bounds)
            if killed:
                where = ", ".join(f"{each.instance} (sent at {moment(each.began_ms)})" for each in killed)
                yield Finding(
                    finding=self.name,
                    severity="error",
                    job=job.name,
                    events=tuple(each.kill_seq for each in killed),
                    says=f"{len(killed)} processes crashed while {job.name} ran on them: {where}.",
                )
