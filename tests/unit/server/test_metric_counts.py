"""What is counted for Prometheus: cases in which the events alone do not say it."""

from comfyfarm.events import Event, Finished, Interrupted, Submitted, Taken
from comfyfarm.server.metric_counts import BUCKETS_MS, Histogram, MetricCounts


def test_a_duration_of_exactly_a_bound_is_in_its_bucket() -> None:
    """``le`` means less or equal."""
    histogram = Histogram()
    for duration_ms in (0, 50, 51, BUCKETS_MS[-1], BUCKETS_MS[-1] + 1):
        histogram.observe(duration_ms)
    assert histogram.counts == [2, 1, *[0] * (len(BUCKETS_MS) - 3), 1, 1]
    assert histogram.sum_ms == 101 + 2 * BUCKETS_MS[-1] + 1


def test_the_job_after_an_interrupted_one_is_not_interrupted() -> None:
    counts = MetricCounts({"a": ""})
    events: list[Event] = [
        Submitted(at_ms=0, instance="a", prompt_id="p", number=0, job="j", outputs=("9",), queue_remaining=1),
        Taken(at_ms=10, instance="a", prompt_id="p", queue_remaining=1),
        Interrupted(at_ms=20, instance="a", prompt_id="p", node="3", class_type="KSampler", executed=()),
        Finished(at_ms=30, instance="a", prompt_id="p", status="error", queue_remaining=0),
        Submitted(at_ms=40, instance="a", prompt_id="q", number=1, job="k", outputs=("9",), queue_remaining=1),
        Taken(at_ms=50, instance="a", prompt_id="q", queue_remaining=1),
        Finished(at_ms=60, instance="a", prompt_id="q", status="success", queue_remaining=0),
    ]
    for event in events:
        counts.on_event(event)
    assert (counts.ended["a", "interrupted"], counts.ended["a", "error"], counts.ended["a", "success"]) == (1, 0, 1)
