"""Waits, totals, makespan, starvation and overtaking, computed by hand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from comfyfarm.analysis.placement.arrival import JobArrival
from comfyfarm.analysis.placement.measures.waiting import JobSpan, starvation
from comfyfarm.analysis.placement.placement import PlacementThresholds
from tests.support.logs import crashed, delivered, farm, order, ran, refused, submitted, taken, taken_out
from tests.support.placing import place


def test_waits_and_totals_are_those_of_logical_jobs() -> None:
    """j1 waits 0 and takes 10; j2 waits 10 and takes 30; j3 was refused at 5, sent again at 20, begins 30, ends 50."""
    jobs = [
        ran("j1", on="a", at=0, until=10),
        ran("j2", on="a", at=0, begins=10, until=30),
        refused("j3", on="a", at=5),
        ran("j3", on="a", at=20, begins=30, until=50),
    ]
    found = place(farm("a"), jobs)
    assert (found.waits.n, found.waits.p50_ms, found.waits.p99_ms, found.waits.worst_ms) == (3, 10, 25, 25)
    assert (found.totals.n, found.totals.p50_ms, found.totals.p95_ms, found.totals.worst_ms) == (3, 30, 45, 45)
    assert (found.jobs, found.dispatches) == (3, 4)


def test_percentiles_are_those_of_the_nearest_rank() -> None:
    """A hundred jobs, which wait 1 .. 100: no value is made up between two."""
    jobs = [ran(f"j{n}", on="a", at=0, begins=n, until=n) for n in range(1, 101)]
    found = place(farm("a"), jobs).waits
    assert (found.p50_ms, found.p95_ms, found.p99_ms, found.worst_ms, found.is_small) == (50, 95, 99, 100, False)


def test_a_retry_waits_since_the_first_attempt() -> None:
    """Lost at 40 after it had begun at once; the second run begins at 70."""
    pieces = [
        submitted("j", on="a", at=0),
        taken("j", on="a", at=0),
        crashed("a", at=40, lost=["j"]),
        ran("j", on="b", at=60, begins=70, until=100),
    ]
    found = place(farm("a", "b"), pieces)
    assert (found.waits.worst_ms, found.totals.worst_ms) == (70, 100)


def test_a_job_whose_order_is_known_waits_since_its_user_asked() -> None:
    """Asked at 10, sent at 60 and begun at once: 50, and 90 until the end; the other was sent when it was asked."""
    orders = [order("j1", at=10), order("j2", at=12)]
    found = place(farm("a"), orders, ran("j1", on="a", at=60, until=100), ran("j2", on="a", at=12, until=50))
    assert (found.waits.worst_ms, found.totals.worst_ms, found.totals.p50_ms) == (50, 90, 38)
    assert (found.makespan.ms, found.starvation.longest_wait_ms, found.starvation.longest_job) == (90, 50, "j1")


def test_failed_jobs_have_no_part_in_waits_and_totals() -> None:
    """A quick error is no quick success."""
    found = place(farm("a"), ran("j", on="a", at=0, until=9, ends="error"))
    assert (found.waits.n, found.waits.p50_ms, found.totals.p99_ms) == (0, None, None)


def test_makespan_goes_from_the_first_job_to_the_end_of_the_last() -> None:
    """The first is sent at 100, the last ends at 400, whenever it was sent."""
    jobs = [ran("j1", on="a", at=100, until=400), ran("j2", on="b", at=150, until=200)]
    found = place(farm("a", "b"), jobs).makespan
    assert (found.ms, found.n, found.open, found.is_small) == (300, 2, 0, True)


def test_makespan_goes_on_while_a_job_is_open() -> None:
    """Until now, and says so."""
    found = place(farm("a"), ran("j1", on="a", at=0, until=10), submitted("j2", on="a", at=50)).makespan
    assert (found.ms, found.open) == (50, 1)


def test_without_jobs_there_is_no_makespan() -> None:
    """Nor with refusals alone."""
    assert place(farm("a")).makespan.ms is None
    assert place(farm("a"), refused("j", on="a", at=3)).makespan.ms is None


def test_the_longest_wait_has_the_name_of_its_job() -> None:
    """j2 waits from 10 to 100."""
    jobs = [ran("j1", on="a", at=0, until=100), ran("j2", on="a", at=10, begins=100, until=110)]
    found = place(farm("a"), jobs).starvation
    assert (found.longest_wait_ms, found.longest_job, found.n) == (90, "j2", 2)


def test_a_job_that_waits_still_has_waited_until_now() -> None:
    """And one that was taken out waits no more."""
    jobs = [submitted("j1", on="a", at=0), submitted("j2", on="a", at=5), ran("j3", on="b", at=10, until=75)]
    found = place(farm("a", "b"), jobs).starvation
    assert (found.longest_wait_ms, found.longest_job) == (75, "j1")
    without = place(farm("a", "b"), jobs, taken_out("j1", on="a", at=6)).starvation
    assert (without.longest_wait_ms, without.longest_job, without.n) == (70, "j2", 2)


def test_an_order_that_is_never_sent_waits_until_now() -> None:
    """Kept waits since 5; the others failed, were withdrawn, or were delivered from elsewhere."""
    settled = [order("f", at=1, state="failed"), order("w", at=1), order("w", at=2, state="withdrawn")]
    bought = [order("d", at=1), delivered("d", at=50)]
    found = place(farm("a"), settled, bought, order("kept", at=5), ran("j", on="a", at=10, until=80))
    assert (found.starvation.longest_wait_ms, found.starvation.longest_job, found.starvation.n) == (75, "kept", 2)
    assert (found.arrivals.unsent, found.arrivals.n, found.jobs) == (1, 2, 1)
    assert found.starvation.most_overtaken == 1


def test_nobody_starves_without_jobs() -> None:
    """No longest wait, and no job."""
    found = place(farm("a")).starvation
    assert (found.longest_wait_ms, found.longest_job, found.most_overtaken, found.is_small) == (None, "", 0, True)


def test_a_job_is_overtaken_by_whom_came_later_and_began_earlier() -> None:
    """Old waits on a until 50; three that came later begin before that, two of them on b; one begins with it."""
    jobs = [
        ran("first", on="a", at=0, until=30),
        ran("old", on="a", at=1, begins=50, until=60),
        ran("k1", on="b", at=2, until=20),
        ran("k2", on="b", at=3, begins=20, until=40),
        ran("k3", on="a", at=4, begins=30, until=50),
        ran("k4", on="b", at=5, begins=50, until=60),
    ]
    found = place(farm("a", "b"), jobs, thresholds=PlacementThresholds(overtakes=2)).starvation
    assert (found.most_overtaken, found.overtaken) == (3, 1)
    assert place(farm("a", "b"), jobs, thresholds=PlacementThresholds(overtakes=3)).starvation.overtaken == 0


def test_a_job_that_never_begins_is_overtaken_by_all_that_did() -> None:
    """Two came later and ran."""
    jobs = [submitted("old", on="a", at=0), *[ran(f"k{n}", on="b", at=n, until=n + 1) for n in (1, 2)]]
    assert place(farm("a", "b"), jobs).starvation.most_overtaken == 2


def test_first_come_first_served_overtakes_nobody() -> None:
    """A hundred jobs in their order, on two instances."""
    jobs = [ran(f"j{n}", on="ab"[n % 2], at=n, begins=10 * n, until=10 * n + 15) for n in range(100)]
    assert place(farm("a", "b"), jobs).starvation.most_overtaken == 0


def test_last_come_first_served_overtakes_most() -> None:
    """Of 40, the first is overtaken by 39, the next by 38 and so on: 29 by more than ten."""
    jobs = [ran(f"j{n}", on="a", at=n, begins=1000 - n, until=1000) for n in range(40)]
    found = place(farm("a"), jobs).starvation
    assert (found.most_overtaken, found.overtaken, found.overtakes) == (39, 29, 10)


@given(st.lists(st.tuples(st.integers(0, 9), st.one_of(st.none(), st.integers(0, 9))), max_size=12))
def test_overtaken_counts_are_those_of_comparing_all_pairs(times: list[tuple[int, int | None]]) -> None:
    spans = [
        JobSpan(f"j{seq}", JobArrival(at_ms, seq, is_order=False), began_ms)
        for seq, (at_ms, began_ms) in enumerate(times)
    ]

    def overtakes(other: JobSpan, span: JobSpan) -> bool:
        if other.arrival < span.arrival or other.began_ms is None:
            return False
        return span.began_ms is None or other.began_ms < span.began_ms

    expected = [sum(overtakes(other, span) for other in spans) for span in spans]
    found = starvation(spans, overtakes=1, at_ms=10)
    assert found.most_overtaken == max(expected, default=0)
    assert found.overtaken == sum(count > 1 for count in expected)
