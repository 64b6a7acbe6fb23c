"""Long runs: of the jobs that are long over only the latest are kept, and nothing is missed."""

import gc
import tracemalloc
from sys import getsizeof

from comfyfarm.analysis.forgotten import HashSet
from comfyfarm.analysis.log_analysis import LogAnalysis
from comfyfarm.analysis.timeline.text import as_text
from comfyfarm.analysis.timeline.values import as_values
from comfyfarm.events import TrialBegan
from comfyfarm.events.encoding import as_json
from tests.support.logs import (
    Piece,
    answered,
    asked,
    crashed,
    delivered,
    draining,
    farm,
    fetched,
    finished,
    log,
    order,
    ran,
    ready,
    submitted,
    taken,
    trial,
    written,
)

KEPT = 20
FARM = farm("a", "b")


def clean(job: str, *, at: int) -> list[Piece]:
    """A job that has left traces of all kinds, and that nothing was wrong with."""
    return [
        *(order(job, at=at), submitted(job, on="a", at=at), answered(job, on="a", at=at), *taken(job, on="a", at=at)),
        asked("/prompt", on="a", at=at, shown=1),
        written(job, on="a", at=at, name=f"{job}.png", size_bytes=100),
        *finished(job, on="a", at=at),
        *(fetched(f"{job}.png", on="a", at=at), delivered(job, at=at, on="a", prompt_id=f"{job}@a")),
    ]


def many(count: int, *, first: int = 0) -> list[Piece]:
    return [clean(f"job-{number}", at=100 + 100 * number) for number in range(first, first + count)]


def analysis_of(*pieces: Piece, kept: int = KEPT) -> LogAnalysis:
    analysis = LogAnalysis(kept_jobs=kept)
    for event in log(*pieces):
        analysis.on_event(event)
    return analysis


def findings_of(*pieces: Piece) -> list[tuple[str, str, str]]:
    findings = analysis_of(FARM, *pieces).verdict().findings
    return [(finding.finding, finding.severity, finding.job) for finding in findings if finding.severity != "note"]


def sentence_of(*pieces: Piece) -> str:
    return next(finding.says for finding in analysis_of(FARM, *pieces).verdict().findings if finding.job)


def test_of_many_jobs_the_numbers_stay_right_and_the_verdict_says_how_many_are_no_longer_kept() -> None:
    verdict = analysis_of(FARM, many(200)).verdict()
    whole = analysis_of(FARM, many(200), kept=1000).verdict()
    assert 178 <= verdict.forgotten <= 180
    assert whole.forgotten == 0
    assert verdict.summary() == f"{whole.summary()} ({verdict.forgotten} of them no longer shown)"
    numbers = verdict.orders, verdict.delivered, verdict.jobs, verdict.attempts, verdict.succeeded
    assert numbers == (200, 200, 200, 200, 200)
    assert (verdict.verdict, verdict.findings) == (whole.verdict, whole.findings)


def test_a_short_run_says_nothing_of_jobs_that_are_not_kept() -> None:
    analysis = analysis_of(FARM, many(KEPT))
    results = analysis.verdict(), analysis.placement(), as_values(analysis.timeline())
    assert not any(b'"forgotten":' in as_json(result) for result in results)
    assert "not shown" not in as_text(analysis.timeline())


def test_placement_and_timeline_are_those_of_the_latest_jobs() -> None:
    analysis = analysis_of(FARM, many(200))
    count = analysis.verdict().forgotten
    latest = analysis_of(FARM, many(200 - count, first=count), kept=1000)
    placement, expected = analysis.placement(), latest.placement()
    assert (placement.forgotten, placement.jobs, placement.dispatches) == (count, 200 - count, 200 - count)
    for measure in ("arrivals", "waits", "totals", "fairness", "utilisation", "depth_error", "regret"):
        assert getattr(placement, measure) == getattr(expected, measure), measure
    timeline = as_values(analysis.timeline())
    assert timeline.forgotten == count
    assert timeline.lanes == as_values(latest.timeline()).lanes
    assert as_text(analysis.timeline()).endswith(f"not shown: {count} earlier jobs, delivered at once")


def test_a_second_run_of_a_forgotten_job_is_found() -> None:
    again = ran("job-3", on="b", at=50_000, until=50_100)
    assert findings_of(many(200), again) == [("ran_twice", "error", "job-3")]
    assert sentence_of(many(200), again) == (
        "job-3 ran to its end and was delivered long ago, and ran again, on b at 50.1 s."
    )
    verdict = analysis_of(FARM, many(200), again).verdict()
    assert (verdict.jobs, verdict.orders, verdict.delivered, verdict.attempts) == (200, 200, 200, 201)


def test_a_second_delivery_of_a_forgotten_job_is_found() -> None:
    again = delivered("job-3", at=50_000, on="a")
    assert findings_of(many(200), again) == [("delivered_twice", "error", "job-3")]
    assert sentence_of(many(200), again) == "job-3 was delivered long ago and again at 50 s (from a)."


def test_a_late_delivery_may_be_of_another_file_if_not_all_were_delivered() -> None:
    batch = [written("job-3", on="a", at=400, name="second.png", size_bytes=100)]
    pieces = many(3), clean("job-3", at=400)[:6], batch, clean("job-3", at=400)[6:], many(200, first=4)
    assert findings_of(*pieces) == []
    assert findings_of(*pieces, delivered("job-3", at=50_000, on="a")) == [("delivered_twice", "unknown", "job-3")]


def test_the_picture_of_a_forgotten_job_delivered_as_another_one_is_misattributed() -> None:
    wrong = clean("new", at=50_000)[:-1], delivered("new", at=50_000, on="a", prompt_id="job-3@a")
    assert findings_of(many(200), wrong) == [("misattributed", "error", "new")]


def test_a_failure_that_a_user_is_told_long_after_the_delivery_is_a_contradiction() -> None:
    assert findings_of(many(200), order("job-3", at=50_000, state="failed")) == [("contradicted", "error", "job-3")]


def test_jobs_of_which_something_was_or_may_be_found_are_never_forgotten() -> None:
    lost = submitted("lost", on="b", at=1), answered("lost", on="b", at=1), crashed("b", at=2, lost=["lost"])
    twice = [ran("twice", on="a", at=at, until=at + 1) for at in (5, 7)], delivered("twice", at=9, on="a")
    waiting = submitted("waiting", on="b", at=11), answered("waiting", on="b", at=11)
    pieces = lost, ready("b", at=3, epoch=2), twice, waiting, order("unsent", at=12), many(500)
    assert findings_of(*pieces) == [
        ("lost", "error", "lost"),
        ("ran_twice", "error", "twice"),
        ("undelivered", "error", "unsent"),
        ("unfinished", "unknown", "waiting"),
    ]


def test_jobs_that_were_sent_to_a_draining_instance_are_not_forgotten() -> None:
    pieces = draining("a", at=50), many(100)
    verdict = analysis_of(FARM, pieces).verdict()
    assert verdict.forgotten == 0
    assert "98 more after it" in verdict.findings[0].says


def test_the_names_of_a_named_trials_forgotten_jobs_are_still_its_own() -> None:
    """Else what is reported of them would be taken for another trial's."""
    (began,) = log(trial("t", at=50))
    assert isinstance(began, TrialBegan)
    analysis = LogAnalysis(began, FARM, former={"job-3"}, kept_jobs=KEPT)
    for event in log(many(200), delivered("job-3", at=50_000, on="a")):
        analysis.on_event(event)
    findings = [(finding.finding, finding.job) for finding in analysis.verdict().findings if finding.job]
    assert findings == [("delivered_twice", "job-3")]


def test_the_next_trial_knows_the_names_of_forgotten_jobs() -> None:
    """Else what is delivered late would seem to be made up."""
    names = analysis_of(FARM, many(100)).job_names()
    assert names == [f"job-{number}" for number in range(100)]


def test_it_does_not_matter_how_often_somebody_asks() -> None:
    """A saved log is asked once, a live farm at any time."""
    often, once = LogAnalysis(kept_jobs=KEPT), analysis_of(FARM, many(100))
    for event in log(FARM, many(100)):
        often.on_event(event)
        often.verdict()
    for result in ("verdict", "placement"):
        assert as_json(getattr(often, result)()) == as_json(getattr(once, result)())
    assert as_json(as_values(often.timeline())) == as_json(as_values(once.timeline()))


def test_a_job_that_is_delivered_late_is_forgotten_later() -> None:
    runs = [clean(f"late-{number}", at=100 + number)[:-1] for number in range(50)]
    late = [delivered(f"late-{number}", at=1000 + number, on="a") for number in range(50)]
    before = delivered("none", at=1)      # so that a result that is only fetched is not delivered
    kept = analysis_of(FARM, before, runs)
    assert kept.verdict().forgotten == 0
    long_after = analysis_of(FARM, before, runs, late, many(120, first=20))
    assert long_after.verdict().forgotten == 120 + 50 - KEPT


def test_a_hash_set_knows_what_was_added() -> None:
    names = HashSet()
    assert not names.has("a")
    for number in range(10_000):
        names.add(f"job-{number}", "x")
    assert all(names.has(f"job-{number}", "x") for number in range(10_000))
    assert not any(names.has(f"job-{number}", "y") for number in range(10_000))


def test_a_hash_set_stays_small_and_flat() -> None:
    names = HashSet()
    for number in range(50_000):
        names.add(f"job-{number}")
    buckets = names._buckets
    assert getsizeof(buckets) + sum(map(getsizeof, buckets)) < 50_000 * 10
    # One bucket is looked at, and one is split, however many there are.
    assert max(map(len, buckets)) < 8 * 128
    assert sum(map(len, buckets)) == 8 * 50_000


def memory_after(count: int) -> int:
    """The bytes that an analysis takes after a number of clean jobs."""
    events = log(FARM, many(count))
    tracemalloc.start()
    try:
        analysis = LogAnalysis(kept_jobs=KEPT)
        for event in events:
            analysis.on_event(event)
        assert analysis.verdict().jobs == count
        analysis.placement(), as_values(analysis.timeline())
        del event
        gc.collect()
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def test_a_run_of_clean_jobs_needs_little_more_memory_than_a_shorter_one() -> None:
    """Of a job that is forgotten only hashes are left; one that is kept has about 2,000 bytes."""
    few, many_more = memory_after(1000), memory_after(2000)
    assert (many_more - few) / 1000 < 600
