"""The timeline of logs made by hand."""

from __future__ import annotations

from comfyfarm.analysis.timeline.lane import Outage, SpanPart
from comfyfarm.events import NodeStarted, Paused, Progressed, Resumed
from tests.support.logs import (
    configured,
    crashed,
    delivered,
    draining,
    farm,
    finished,
    fired,
    frozen,
    healed,
    loaded,
    ran,
    ready,
    refused,
    refusing,
    rejected,
    reset,
    socket_closed,
    submitted,
    taken,
    taken_out,
    thawed,
    unloaded,
)
from tests.support.logs import (
    written as saved,
)
from tests.support.timelines import marks, outages, runs, timeline_of, waits

# Jobs.


def test_a_job_waits_and_runs() -> None:
    timeline = timeline_of(farm("a"), ran("j", on="a", at=100, begins=300, until=900))
    assert waits(timeline, "a") == [("j", 100, 300)]
    assert runs(timeline, "a") == [("j", 300, 900)]


def test_a_job_that_is_taken_at_once_does_not_wait() -> None:
    assert waits(timeline_of(farm("a"), ran("j", on="a", at=100, until=900)), "a") == []


def test_a_job_that_nobody_has_taken_waits_until_now() -> None:
    timeline = timeline_of(farm("a"), submitted("j", on="a", at=100), socket_closed(on="a", at=5000))
    assert waits(timeline, "a") == [("j", 100, 5000)]
    assert runs(timeline, "a") == []


def test_a_job_that_runs_still_does_so_until_now() -> None:
    timeline = timeline_of(farm("a"), submitted("j", on="a", at=100), taken("j", on="a", at=200), healed(at=4000))
    assert runs(timeline, "a") == [("j", 200, 4000)]


def test_a_job_that_was_taken_out_of_the_queue_waited_until_then() -> None:
    timeline = timeline_of(farm("a"), submitted("j", on="a", at=100), taken_out("j", on="a", at=700))
    assert waits(timeline, "a") == [("j", 100, 700)]
    assert runs(timeline, "a") == []


def test_what_a_crash_lost_ends_there() -> None:
    timeline = timeline_of(
        farm("a"),
        *(submitted("j1", on="a", at=0), taken("j1", on="a", at=0), submitted("j2", on="a", at=10)),
        crashed("a", at=500, lost=["j1", "j2"]),
    )
    assert runs(timeline, "a") == [("j1", 0, 500)]
    assert waits(timeline, "a") == [("j2", 10, 500)]


def test_a_job_that_outlasts_a_crash_is_seen_before_it_and_after() -> None:
    """It runs, waits from the crash on, and runs again; the same after a second crash."""
    timeline = timeline_of(
        farm("a"),
        *(submitted("j", on="a", at=0), taken("j", on="a", at=100)),
        *(crashed("a", at=500, kept=("queue",)), ready("a", at=800, epoch=2), taken("j", on="a", at=900, epoch=2)),
        *(crashed("a", at=1000, kept=("queue",)), ready("a", at=1300, epoch=3), taken("j", on="a", at=1300, epoch=3)),
        finished("j", on="a", at=2000, epoch=3),
    )
    assert runs(timeline, "a") == [("j", 100, 500), ("j", 900, 1000), ("j", 1300, 2000)]
    assert waits(timeline, "a") == [("j", 0, 100), ("j", 500, 900), ("j", 1000, 1300)]


def test_a_reset_ends_what_ran() -> None:
    """Also if the instance crashes afterwards."""
    timeline = timeline_of(
        farm("a"),
        *(submitted("j", on="a", at=0), taken("j", on="a", at=0), reset("a", at=300), crashed("a", at=500)),
    )
    assert runs(timeline, "a") == [("j", 0, 300)]


def test_the_loading_of_models_is_told_from_the_rest() -> None:
    """It begins with the node; successive loads and unloads are one interval."""
    node = NodeStarted(at_ms=200, instance="a", epoch=1, prompt_id="j@a", node="1", class_type="CheckpointLoaderSimple")
    timeline = timeline_of(
        farm("a"),
        *(submitted("j", on="a", at=100), taken("j", on="a", at=150), node),
        *(unloaded("a", "old", at=250), loaded("a", "m1", at=400, job="j"), loaded("a", "m2", at=600, job="j")),
        finished("j", on="a", at=900),
    )
    (span,) = timeline.lanes["a"].spans
    assert list(span.parts) == [SpanPart("loading", 200, 600)]


def test_saving_begins_where_the_last_step_ended() -> None:
    step = Progressed(at_ms=700, instance="a", epoch=1, prompt_id="j@a", node="3", value=1, max=1)
    timeline = timeline_of(
        farm("a"),
        *(submitted("j", on="a", at=0), taken("j", on="a", at=0), step),
        *(saved("j", on="a", at=760, name="x.png"), finished("j", on="a", at=760)),
    )
    assert list(timeline.lanes["a"].spans[0].parts) == [SpanPart("saving", 700, 760)]


def test_models_that_are_there_from_the_start_belong_to_no_job() -> None:
    warm = loaded("a", "m", at=0), loaded("a", "m2", at=50)
    timeline = timeline_of(farm("a"), warm, ran("j", on="a", at=100, until=200))
    assert not timeline.lanes["a"].spans[0].parts


# Marks.


def test_a_second_attempt_is_marked_where_it_was_sent() -> None:
    timeline = timeline_of(
        farm("a", "b"), ran("j", on="a", at=0, until=500, ends="error"), ran("j", on="b", at=700, until=900)
    )
    assert list(marks(timeline, "a")) == []
    assert list(marks(timeline, "b")) == [("retry", 700, "attempt 2 of j")]


def test_refusals_are_marked() -> None:
    """Submissions refused by validation, refused unread, and not answered: one mark each."""
    timeline = timeline_of(
        farm("a"),
        refused("j1", on="a", at=100),
        rejected("j2", on="a", at=200, status=503),
        rejected("j3", on="a", at=300, status=0),
    )
    assert list(marks(timeline, "a")) == [
        ("refused", 100, "refused j1: prompt_outputs_failed_validation"),
        ("refused", 200, "j2 was answered 503"),
        ("refused", 300, "j3 was not answered"),
    ]


def test_faults_are_marked_with_all_that_is_known() -> None:
    """The effect, the phase, the job and the fault."""
    delay = fired("f1", on="a", at=300, do="delay", phase="step", job="j")
    timeline = timeline_of(farm("a"), delay, fired("f2", on="a", at=400))
    assert list(marks(timeline, "a")) == [
        ("fault", 300, "delay at step (j): fault f1"),
        ("fault", 400, "crash at process: fault f2"),
    ]


def test_a_fault_that_strikes_without_end_is_marked_for_a_while() -> None:
    """The first 200 firings on each instance; other faults are still marked."""
    firings = [fired("f", on="a", at=n) for n in range(1000)]
    timeline = timeline_of(farm("a", "b"), firings, fired("f", on="b", at=2000), fired("g", on="a", at=2000))
    assert [at_ms for _, at_ms, _ in marks(timeline, "a")] == [*range(200), 2000]
    assert [at_ms for _, at_ms, _ in marks(timeline, "b")] == [2000]


def test_a_delivery_is_marked_on_the_instance_that_made_it() -> None:
    """On the instance that it names, else on the one that succeeded last, else on the farm."""
    timeline = timeline_of(
        farm("a", "b"),
        ran("j", on="a", at=0, until=500),
        *(delivered("j", at=600), delivered("j", at=700, on="b"), delivered("strange", at=800)),
    )
    assert list(marks(timeline, "a")) == [("delivered", 600, "delivered j")]
    assert list(marks(timeline, "b")) == [("delivered", 700, "delivered j")]
    assert [(mark.kind, mark.at_ms) for mark in timeline.marks] == [("delivered", 800)]


def test_a_heal_is_the_whole_farms() -> None:
    timeline = timeline_of(farm("a"), healed(at=800))
    assert [(mark.kind, mark.at_ms) for mark in timeline.marks] == [("heal", 800)]


# Instances.


def test_an_instance_is_down_until_it_has_booted() -> None:
    """At the start, and after a crash; the last outage is ongoing."""
    timeline = timeline_of(
        configured("a"), ready("a", at=300), crashed("a", at=1000), ready("a", at=1500, epoch=2),
        crashed("a", at=3000, epoch=2), healed(at=4000),
    )  # fmt: skip
    assert outages(timeline, "a") == [
        Outage("down", 0, 300), Outage("down", 1000, 1500), Outage("down", 3000, None)
    ]  # fmt: skip


def test_every_kind_of_outage_is_told_apart() -> None:
    timeline = timeline_of(
        farm("a"),
        *(frozen("a", at=100), thawed("a", at=200), refusing("a", at=150), refusing("a", at=400, ends=True)),
        *(Paused(at_ms=300, instance="a", epoch=1), Resumed(at_ms=500, instance="a", epoch=1)),
        *(draining("a", at=600), draining("a", at=900, ends=True)),
    )
    assert outages(timeline, "a") == [
        Outage("frozen", 100, 200),
        Outage("refusing", 150, 400),
        Outage("paused", 300, 500),
        Outage("draining", 600, 900),
    ]


def test_a_crash_ends_every_other_outage_but_draining() -> None:
    """Draining is not a state of the process."""
    timeline = timeline_of(
        farm("a"),
        *(frozen("a", at=100), refusing("a", at=100), Paused(at_ms=100, instance="a", epoch=1), draining("a", at=100)),
        *(crashed("a", at=300), ready("a", at=500, epoch=2), healed(at=600)),
    )
    assert {(each.kind, each.to_ms) for each in outages(timeline, "a")} == {
        ("frozen", 300), ("refusing", 300), ("paused", 300), ("down", 500), ("draining", None)
    }  # fmt: skip


def test_an_instance_that_takes_a_job_on_is_up() -> None:
    timeline = timeline_of(configured("a"), ran("j", on="a", at=400, until=500))
    assert outages(timeline, "a") == [Outage("down", 0, 400)]


# The whole.


def test_lanes_stand_in_the_order_of_the_configuration() -> None:
    assert list(timeline_of(farm("b", "a"), ran("j", on="a", at=0, until=5)).lanes) == ["b", "a"]


def test_a_quiet_end_is_left_out() -> None:
    """Except for a short margin: a quiet minute would squeeze ten busy seconds."""
    timeline = timeline_of(farm("a"), ran("j", on="a", at=0, until=10_000), socket_closed(on="a", at=70_000))
    assert timeline.end_ms == 10_200


def test_an_end_that_is_not_quiet_stays() -> None:
    """An instance that is down, and a waiting job, are visible."""
    end = socket_closed(on="a", at=70_000)
    down = timeline_of(farm("a"), ran("j", on="a", at=0, until=100), crashed("a", at=200), end)
    waiting = timeline_of(farm("a"), submitted("j", on="a", at=0), end)
    assert (down.end_ms, waiting.end_ms) == (70_000, 70_000)


def test_a_log_whose_beginning_is_missing_begins_where_it_does() -> None:
    timeline = timeline_of(ran("j", on="a", at=3_600_000, until=3_601_000))
    assert (timeline.from_ms, timeline.end_ms) == (3_600_000, 3_601_000)
    assert runs(timeline, "a") == [("j", 3_600_000, 3_601_000)]


def test_events_of_a_run_that_was_not_seen_to_begin_are_passed_over() -> None:
    timeline = timeline_of(taken("j", on="a", at=10), loaded("a", "m", at=50, job="j"), finished("j", on="a", at=90))
    assert timeline.lanes == {}
