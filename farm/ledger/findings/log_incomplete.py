"""A log with holes."""

from __future__ import annotations

from collections.abc import Iterator

from .base import Finding, Known, Rule, rule

__all__ = ["LogIncomplete"]


@rule("log_incomplete")
class LogIncomplete(Rule):
    """Something is wrong with the log itself: a torn line, unknown kinds of events, missing numbers.

    What it says stands.  What it does not say proves nothing: an error of that sort is *unknown* then.
    """

    def conclude(self, known: Known) -> Iterator[Finding]:
        """At most one finding."""
        defects = known.defects
        if not defects.count:
            return
        more = f"; and {defects.count - len(defects.told)} more" if defects.count > len(defects.told) else ""
        what = "; ".join(text for _, text in defects.told)
        yield Finding(
            finding=self.name,
            severity="unknown",
            events=tuple(seq for seq, _ in defects.told if seq),
            says=f"The log is incomplete ({what}{more}): what it does not say may have happened all the same, so that "
            "a job that seems lost, unanswered or without success may be none of that.",
        )
