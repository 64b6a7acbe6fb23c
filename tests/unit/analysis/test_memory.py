"""What an analysis keeps of each job, as Python's garbage collector sees it."""

import gc
import sys

from comfyfarm.analysis.log_analysis import LogAnalysis
from tests.support.logs import (
    answered,
    asked,
    delivered,
    farm,
    fetched,
    finished,
    log,
    seen,
    socket_opened,
    submitted,
    taken,
    written,
)


def analysis_of(count: int) -> LogAnalysis:
    """The analysis of a number of jobs of all kinds of traces."""
    analysis = LogAnalysis()
    jobs = [
        [
            *(submitted(name, on="a", at=at), answered(name, on="a", at=at), *taken(name, on="a", at=at)),
            asked("/prompt", on="a", at=at, shown=1),
            written(name, on="a", at=at, name=f"{name}.png", size_bytes=100),
            *finished(name, on="a", at=at),
            *(seen(name, on="a", at=at), fetched(f"{name}.png", on="a", at=at), delivered(name, at=at, on="a")),
        ]
        for at in range(count)
        if (name := f"job-{at}")
    ]
    for event in log(farm("a", "b"), socket_opened(on="a", at=0), jobs):
        analysis.on_event(event)
    assert len(analysis.job_names()) == count
    return analysis


def tracked_of(count: int) -> int:
    """The number of objects that the collector has to look at because of an analysis."""
    gc.collect()
    before = len(gc.get_objects())
    analysis = analysis_of(count)
    for _ in range(2):      # tuples of tuples need a second one
        gc.collect()
    tracked = len(gc.get_objects()) - before
    assert analysis.verdict().jobs == count
    return tracked


def test_the_garbage_collector_has_not_more_to_look_at_after_more_jobs() -> None:
    """Else it would stop the whole farm for a second or two after 100,000 jobs."""
    few, many = tracked_of(100), tracked_of(600)
    assert many - few < 50


def test_a_job_is_freed_with_its_analysis_although_the_collector_does_not_look_at_it() -> None:
    analysis = analysis_of(1)
    (job,) = analysis._verdict.tracker.tested
    (attempt,) = job.attempts
    assert attempt.files
    assert sys.getrefcount(attempt) > 3
    del analysis, job
    gc.collect()
    assert sys.getrefcount(attempt) == 2     # this variable, and the argument
