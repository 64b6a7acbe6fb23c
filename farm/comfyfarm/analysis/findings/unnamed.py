"""Findings about jobs without a name of their own, which are known by the hash of their prompt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from comfyfarm.analysis.findings.finding import Finding, FindingRule, RuleContext, Severity, moment, rule
from comfyfarm.analysis.findings.job_status import last_of
from comfyfarm.analysis.findings.order_outcome import settles_count
from comfyfarm.analysis.findings.safety import runs_of_one_wish
from comfyfarm.analysis.logical_jobs import LogicalJob, is_hash


@rule("unnamed")
class Unnamed(FindingRule):
    """Because nobody named a job, it is not known if a submission was a retry."""

    severity = "note"

    def concerned(self, jobs: Sequence[LogicalJob], context: RuleContext) -> Iterable[LogicalJob]:
        return [job for job in jobs if job.name in context.retrying]

    def conclude(self, context: RuleContext) -> Iterator[Finding]:
        severity: Severity = "note" if settles_count(context) else "unknown"
        for job in context.tracker.tested:
            runs = job.ended("success")
            count = len(runs) + job.is_returned
            if is_hash(job.name) and runs and count > 1 and not runs_of_one_wish(job):
                says = (
                    f"The prompt {job.name} ran {count} times to its end; it has no name but its hash, so it is "
                    "not known if one of them was a retry. Name the jobs to know (job_name)."
                )
                yield self.found(says, job=job.name, events=[run.end_seq for run in runs])
            elif (retry := context.retries.get(job.name)) is not None:
                last = last_of(job)
                what = "was lost with" if last.end == "lost" else "was not accepted by"
                says = (
                    f"The prompt {job.name} {what} {last.instance} at {moment(last.reported_ms or 0)}, and "
                    f"{retry.job}, sent to {retry.instance} at {moment(retry.began_ms)}, may be its retry: neither has "
                    "a name but its hash. Name the jobs to know (job_name)."
                )
                events = last.reported_seq, retry.seq
                # A pass would mean that the work was done: without the number of orders it is not known if it was.
                yield self.found(says, job=job.name, instance=last.instance, events=events, severity=severity)
