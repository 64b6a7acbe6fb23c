"""Arrivals: how far the log shows when users asked, and how much of the waiting took place where the farm sees it."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate

from comfyfarm.analysis.placement.arrival import JobArrival
from comfyfarm.analysis.placement.dispatches import Dispatch
from comfyfarm.analysis.placement.statistics import ENOUGH, Measure


class Arrivals(Measure, frozen=True, kw_only=True):
    """Where the arrivals of the jobs are known from, and where jobs waited.

    :ivar n: logical jobs that were sent, and orders that still wait to be sent.
    :ivar orders: those of them whose order was reported. The others arrive with their first attempt, so that the time
        that they waited in the system under test before is missing from every measure.
    :ivar unsent: orders that still wait to be sent.
    :ivar most_open: the largest number of jobs that waited or ran in the farm at once.
    :ivar most_waiting: the largest number of jobs that waited in the farm at once.
    :ivar most_held: the largest number of orders that waited at once in the system under test, before they were first
        accepted; ``None`` if no order was reported.
    :ivar says: what follows from that for the other measures, in a sentence for people.
    """

    orders: int
    unsent: int
    most_open: int
    most_waiting: int
    most_held: int | None
    says: str


def arrivals(
    sent: Sequence[Dispatch], by_job: Mapping[str, JobArrival], unsent: Sequence[str], at_ms: int
) -> Arrivals:
    """Count the orders, and the jobs that waited at once.

    :param sent: the dispatches of the system under test, in order.
    :param by_job: the arrival of each of its jobs.
    :param unsent: the orders that still wait to be sent.
    :param at_ms: the time of the latest event.
    """
    accepted = [dispatch for dispatch in sent if dispatch.attempt.is_accepted]
    orders = sum(arrival.is_order for arrival in by_job.values())
    most_open = _most_at_once((dispatch.attempt.sent_ms, _ended_ms(dispatch, at_ms)) for dispatch in accepted)
    most_waiting = _most_at_once((dispatch.attempt.sent_ms, _waited_until_ms(dispatch, at_ms)) for dispatch in accepted)
    return Arrivals(
        n=len(by_job),
        is_small=len(by_job) < ENOUGH,
        orders=orders,
        unsent=len(unsent),
        most_open=most_open,
        most_waiting=most_waiting,
        most_held=_most_at_once(_held_spans(accepted, by_job, unsent, at_ms)) if orders else None,
        says=_sentence(len(by_job), orders, most_open, most_waiting),
    )


def _ended_ms(dispatch: Dispatch, at_ms: int) -> int:
    return at_ms if dispatch.attempt.ended_ms is None else dispatch.attempt.ended_ms


def _waited_until_ms(dispatch: Dispatch, at_ms: int) -> int:
    return _ended_ms(dispatch, at_ms) if dispatch.taken_ms is None else dispatch.taken_ms


def _held_spans(
    accepted: Iterable[Dispatch], by_job: Mapping[str, JobArrival], unsent: Iterable[str], at_ms: int
) -> Iterable[tuple[int, int]]:
    """Yield for each order the time from its arrival until it was first accepted, or until now."""
    first_ms = {dispatch.attempt.job: dispatch.attempt.sent_ms for dispatch in reversed(list(accepted))}
    for job, until_ms in (first_ms | dict.fromkeys(unsent, at_ms)).items():
        if by_job[job].is_order:
            yield by_job[job].at_ms, until_ms


def _most_at_once(spans: Iterable[tuple[int, int]]) -> int:
    """Return the largest number of spans of time that overlap; one that ends when another begins does not."""
    steps = sorted(step for from_ms, to_ms in spans if from_ms < to_ms for step in ((from_ms, 1), (to_ms, -1)))
    return max(accumulate(change for _, change in steps), default=0)


def _sentence(jobs: int, orders: int, most_open: int, most_waiting: int) -> str:
    if not jobs:
        return "No job came."
    if orders == jobs:
        return "Every order was reported, so waiting in the system under test counts from the user's order on."
    missing = f"{jobs - orders} of {jobs} jobs were not reported as orders" if orders else "No order was reported"
    hidden = (
        f"{missing} (POST /api/orders): a queue in the system under test is invisible, and {'their ' if orders else ''}"
        "waits begin with the first attempt."
    )
    if most_waiting:
        return hidden
    there = f"No job ever waited in the farm, where there was at most {most_open} at once"
    return f"{hidden} {there}, so that short waits prove nothing."
