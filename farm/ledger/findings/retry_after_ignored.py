"""An instance that asked for patience, and got none."""

from __future__ import annotations

from collections.abc import Iterator

from farm.ledger.attempts import Attempt

from .base import Finding, Known, Rule, moment, rule
from .retries import early

__all__ = ["RetryAfterIgnored"]


@rule("retry_after_ignored")
class RetryAfterIgnored(Rule):
    """A submission came to an instance earlier than its last 429 or 503 had asked for.

    What such an answer asks for holds for the client id that it went to, and for the logical job.
    """

    def conclude(self, known: Known) -> Iterator[Finding]:
        """One finding for each logical job and instance."""
        found: dict[tuple[str, str], list[tuple[Attempt, Attempt]]] = {}
        for name in known.attempts.at:
            for each, before in early(known.attempts, name):
                found.setdefault((each.job, name), []).append((each, before))
        for (job, name), cases in sorted(found.items(), key=lambda each: each[1][0][0].seq):
            first, before = cases[0]
            more = f", and {len(cases) - 1} more times" if len(cases) > 1 else ""
            yield Finding(
                finding=self.name,
                severity="error",
                job=job,
                instance=name,
                events=(before.told_seq, first.seq),
                says=f"{job} was sent to {name} at {moment(first.began_ms)}{more}, though {name} had answered "
                f"{before.status} at {moment(before.told_ms or 0)} and asked for {moment(before.retry_after_ms or 0)}.",
            )
