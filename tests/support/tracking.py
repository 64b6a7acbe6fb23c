"""The jobs of a log made by hand."""

from __future__ import annotations

from comfyfarm.analysis.job_tracker import JobTracker
from comfyfarm.analysis.logical_jobs import Attempt
from tests.support.logs import Piece, log


def tracker_of(*pieces: Piece) -> JobTracker:
    tracker = JobTracker()
    for event in log(*pieces):
        tracker.on_event(event)
    return tracker


def one(*pieces: Piece, job: str = "j") -> Attempt:
    (attempt,) = tracker_of(*pieces).jobs[job].attempts
    return attempt
