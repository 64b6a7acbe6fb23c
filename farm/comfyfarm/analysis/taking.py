"""The results that the system under test has taken, and those that count as delivered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from comfyfarm.analysis.job_tracker import JobTracker
from comfyfarm.analysis.logical_jobs import Attempt, LogicalJob, is_hash
from comfyfarm.events.orders import DeliveryMode

Outcome = Literal[
    "delivered", "withdrawn", "told", "unsent", "open", "failed", "untaken", "undelivered", "unknown"
]
"""``delivered``: its user has the result.  ``withdrawn``: its user wants it no more.  ``told``: its user was told of a
failure.  ``unsent``: nothing was sent for it.  ``open``: it may still be done, or another finding says
what went wrong.  ``failed``: it failed for good, and it is not reported that its user was told.  ``untaken``:
it succeeded, and nobody has taken its result.  ``undelivered``: its result was taken, and no delivery was reported
although others were.  ``unknown``: it succeeded, and the log would not show if its result was taken."""


@dataclass(frozen=True)
class ResultTaking:
    """How the results of a log are taken and delivered; a way that is never used proves nothing.

    :ivar stated: what counts as delivered, as the test stated it; ``None`` if it did not.
    :ivar fetches_files: somebody requested a job's file.
    :ivar reads_results: somebody requested a history entry or the state of a job, or had a websocket.
    :ivar reports: somebody reported a delivery.
    :ivar reports_unbound: somebody reported a delivery of which it is not known which attempt made it, under a name
        that was in no prompt.
    """

    stated: DeliveryMode | None
    fetches_files: bool
    reads_results: bool
    reports: bool
    reports_unbound: bool
    reported_prompt_ids: frozenset[str]

    @classmethod
    def of(cls, tracker: JobTracker) -> ResultTaking:
        delivered = [(job, delivery) for job in tracker.tested for delivery in job.delivered]
        return cls(
            tracker.orders.delivery,
            tracker.results.requests_files,
            tracker.results.requests_results,
            reports=bool(delivered) or tracker.forgotten.is_reported,
            reports_unbound=any(not job.attempts and not delivery.prompt_ids for job, delivery in delivered),
            reported_prompt_ids=frozenset(prompt_id for _, delivery in delivered for prompt_id in delivery.prompt_ids),
        )

    @property
    def mode(self) -> DeliveryMode | None:
        """What counts as delivered, as stated; ``None``: what clients take, as the log shows it."""
        return self.stated or ("told" if self.reports else None)

    def has_taken(self, run: Attempt) -> bool:
        """Return whether a client received the result of a run.

        That is a file of it, else a picture over the websocket, else (if it has neither) its name.
        """
        if run.prompt_id in self.reported_prompt_ids or run.file_fetches or run.pictures_sent:
            return True
        return run.result_reads > 0 and not (run.files or run.pictures)

    def shows(self, run: Attempt) -> bool:
        """Return whether the log would show that the result of a run was taken."""
        would_request = self.fetches_files if run.files and not run.pictures else self.reads_results
        return self.stated is not None or self.reports or would_request

    def has_delivered(self, job: LogicalJob) -> bool:
        """Return whether a job has a result, and none is missing."""
        return bool(job.delivered) or (bool(_runs_of(job)) and not self.missing(job))

    def missing(self, job: LogicalJob) -> list[Attempt]:
        """Return the successful runs of a job whose result its user still lacks.

        A job without a name may be wanted several times: then each of its runs is wanted, except one that may be the
        retry of a delivered one, or that such a one may be the retry of.
        """
        runs = _runs_of(job)
        delivered = [run for run in runs if self._has_delivered(run)]
        if job.delivered or (delivered and not is_hash(job.name)):
            return []
        doubtful, rest = [run for run in delivered if run.is_doubtful], set(runs).difference(delivered)
        return [run for run in runs if run in rest and not _is_same_wish(run, delivered, doubtful)]

    def _has_delivered(self, run: Attempt) -> bool:
        if self.mode in {"folder", "none"}:
            return True
        if self.mode != "told" or (self.reports_unbound and is_hash(run.job)):
            return self.has_taken(run)
        return run.prompt_id in self.reported_prompt_ids


def _runs_of(job: LogicalJob) -> list[Attempt]:
    return [attempt for attempt in job.attempts if attempt.has_result]


def _is_same_wish(run: Attempt, delivered: list[Attempt], doubtful: list[Attempt]) -> bool:
    was_replaced = run.is_doubtful and any(other.may_be_retry_of(run) for other in delivered)
    return was_replaced or any(run.may_be_retry_of(other) for other in doubtful)
