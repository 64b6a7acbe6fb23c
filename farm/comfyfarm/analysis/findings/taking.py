"""The ways in which the system under test takes results, and why it missed one."""

from __future__ import annotations

from dataclasses import dataclass

from comfyfarm.analysis.findings.finding import RuleContext, moment
from comfyfarm.analysis.logical_jobs import Attempt, LogicalJob


@dataclass(frozen=True)
class ResultTaking:
    """The ways in which the system under test takes results in this log; a way that it never uses proves nothing."""

    fetches_files: bool
    reads_results: bool
    delivers: bool
    delivered_prompt_ids: frozenset[str]

    @classmethod
    def of(cls, jobs: list[LogicalJob]) -> ResultTaking:
        delivered = [delivery for job in jobs for delivery in job.delivered]
        return cls(
            fetches_files=any(attempt.file_fetches for job in jobs for attempt in job.attempts),
            reads_results=any(attempt.result_reads for job in jobs for attempt in job.attempts),
            delivers=bool(delivered),
            delivered_prompt_ids=frozenset(prompt_id for delivery in delivered for prompt_id in delivery.prompt_ids),
        )

    def has_left(self, run: Attempt) -> bool:
        """Return whether the result of a run was not taken although the log would show it."""
        would_show = self.delivers or (self.fetches_files if run.files else self.reads_results)
        was_read = run.result_reads > 0 and not run.files
        return would_show and not (run.file_fetches or was_read or run.prompt_id in self.delivered_prompt_ids)

    def has_left_all(self, job: LogicalJob) -> bool:
        """Return whether a job succeeded and none of its results was taken, by any way; its client looked for them."""
        runs = job.ended("success")
        return bool(runs) and not job.delivered and not any(self._has_taken(run) for run in runs)

    def _has_taken(self, run: Attempt) -> bool:
        reading_is_enough = not (run.files and (self.fetches_files or self.delivers))
        return (
            run.file_fetches > 0
            or (run.result_reads > 0 and reading_is_enough)
            or run.prompt_id in self.delivered_prompt_ids
        )


def why_missed(run: Attempt, context: RuleContext) -> str:
    """Return why the client did not learn of a run's result: half a sentence; empty if the log does not show it."""
    requests = context.elsewhere.requests().get(run.job)
    if requests is not None and run in requests.attempts:
        what, instance = next(iter(requests.whats)), requests.first.instance
        return f"its {what} was requested from {instance} at {moment(requests.first.at_ms)}"
    listener = context.elsewhere.listener_of(run)
    if listener is not None:
        return f"its client had its websocket at {listener.instance} only"
    return context.elsewhere.silenced.get(run, "")
