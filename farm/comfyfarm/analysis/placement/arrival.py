"""The arrival of a logical job: the time of its user's order if that was reported, else its first attempt."""

from collections.abc import Iterable
from typing import NamedTuple

from comfyfarm.analysis.logical_jobs import LogicalJob


class JobArrival(NamedTuple):
    """The arrival of one logical job; arrivals are ordered by time.

    :ivar seq: of the event that reports it.
    :ivar is_order: the user's order was reported; otherwise it is the first attempt, even if that was refused.
    """

    at_ms: int
    seq: int
    is_order: bool


def arrival_of(job: LogicalJob) -> JobArrival:
    """Return the arrival of a job that was ordered or sent.

    An order that was reported for a time after the first attempt does not count: the user must have asked before.
    """
    first, order = (job.attempts[0] if job.attempts else None), job.order
    if order is not None and (first is None or order.asked_ms <= first.sent_ms):
        return JobArrival(order.asked_ms, order.seq, is_order=True)
    assert first is not None, "a job without an order was sent"
    return JobArrival(first.sent_ms, first.seq, is_order=False)


def unsent_of(jobs: Iterable[LogicalJob]) -> list[str]:
    """Return the names of the jobs whose users still wait although they were never sent."""
    return [job.name for job in jobs if job.order is not None and not job.attempts and not _is_settled(job)]


def _is_settled(job: LogicalJob) -> bool:
    return bool(job.is_returned or job.delivered or (job.order and (job.order.failed_seq or job.order.withdrawn_seq)))
