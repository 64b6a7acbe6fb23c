"""What should have ended by now."""

from __future__ import annotations

from collections.abc import Iterator

from .base import Finding, Known, Rule, moment, rule
from .fates import fate_of, is_stuck

__all__ = ["Stuck"]


@rule("stuck")
class Stuck(Rule):
    """The farm was healed, and an attempt of a logical job without success is open for longer than everything may take.

    Counted from the heal, or from when it was taken on, whichever came later; not once something else has gone wrong on
    purpose.  A job that was lost and not sent again is *lost*, healed or not.
    """

    by_absence = True

    def conclude(self, known: Known) -> Iterator[Finding]:
        """One finding for each such job."""
        for job in known.attempts.tested:
            if fate_of(job, known.bounds) != "open":
                continue
            attempt = next((each for each in job.attempts if is_stuck(each, known)), None)
            if attempt is None or known.fleet.calm is None:
                continue
            seq, calm_ms = known.fleet.calm
            does = "waits" if attempt.taken_ms is None else "runs"
            yield Finding(
                finding=self.name,
                severity="error",
                job=job.name,
                instance=attempt.instance,
                events=tuple(sorted((attempt.seq, seq))),
                says=f"{job.name} still {does} on {attempt.instance}, {moment(known.at_ms - attempt.sent_ms)} after it "
                f"was taken on and {moment(known.at_ms - calm_ms)} after the farm was healed.",
            )
