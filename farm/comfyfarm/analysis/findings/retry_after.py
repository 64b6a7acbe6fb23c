"""The attempts that came before the ``Retry-After`` of an earlier one had passed."""

from collections.abc import Iterator

from comfyfarm.analysis.job_tracker import JobTracker
from comfyfarm.analysis.logical_jobs import Attempt

_MOST_WAITS = 100
"""How many answers with ``Retry-After`` are remembered of a client, or for a job."""


def early(tracker: JobTracker, instance: str, wire_ms: int) -> Iterator[tuple[Attempt, Attempt]]:
    """Yield each attempt at an instance that came before its ``Retry-After``, and the attempt that received that.

    A ``Retry-After`` holds for the client id that received it, and for the logical job.
    """
    if not tracker.instances[instance].asked_to_wait:
        return
    waits: dict[tuple[str, str], list[Attempt]] = {}
    for attempt in tracker.by_instance.get(instance, []):
        keys = [("job", attempt.job)] + ([("client", attempt.client_id)] if attempt.client_id is not None else [])
        for key in keys:
            if key in waits:    # The latest may not be known to its client yet, so earlier ones matter, too.
                in_force = [wait for wait in waits[key] if attempt.began_ms < _earliest_retry_ms(wait)]
                waits[key] = in_force[-_MOST_WAITS:]
        received = [wait for key in keys for wait in reversed(waits.get(key, []))]
        before = next((wait for wait in received if attempt.is_sent_after_failure_of(wait, wire_ms)), None)
        if before is not None:
            yield attempt, before
        if attempt.end == "refused" and attempt.status in {429, 503} and attempt.retry_after_ms is not None:
            for key in keys:
                waits.setdefault(key, []).append(attempt)


def _earliest_retry_ms(attempt: Attempt) -> int:
    return (attempt.reported_ms or 0) + (attempt.retry_after_ms or 0)
