"""Findings about jobs without a name of their own, which are known by the hash of their prompt."""

from __future__ import annotations

from collections.abc import Iterator

from comfyfarm.analysis.findings.finding import Finding, FindingRule, RuleContext, is_hash, rule
from comfyfarm.analysis.findings.safety import runs_of_one_wish


@rule("unnamed")
class Unnamed(FindingRule):
    """It is not known which submissions are one job, because nobody named it."""

    severity = "note"

    def conclude(self, context: RuleContext) -> Iterator[Finding]:
        for job in context.tracker.tested:
            runs = job.ended("success")
            if is_hash(job.name) and len(runs) > 1 and not runs_of_one_wish(job):
                says = (
                    f"The prompt {job.name} ran {len(runs)} times to its end; it has no name but its hash, so it is "
                    "not known if one of them was a retry."
                )
                yield self.found(says, job=job.name, events=[run.end_seq for run in runs])
