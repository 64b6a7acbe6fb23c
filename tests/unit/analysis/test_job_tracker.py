"""The attempts of logical jobs as known from a log."""

from __future__ import annotations

from pickle import dumps
from random import Random
from typing import Any

from msgspec.structs import replace

from comfyfarm.analysis.job_tracker import JobTracker
from comfyfarm.analysis.logical_jobs import Attempt
from comfyfarm.analysis.verdict import VerdictBuilder
from comfyfarm.events import Event, FrameSent, QueueCleared
from tests.support.logs import (
    Piece,
    answered,
    armed,
    asked,
    configured,
    crashed,
    delivered,
    draining,
    farm,
    fetched,
    file_cut,
    finished,
    fired,
    forgot_history,
    frame_sent,
    frozen,
    healed,
    interrupt,
    loaded,
    log,
    order,
    picture_sent,
    ran,
    ready,
    refused,
    refusing,
    rejected,
    reset,
    seen,
    set_to,
    showed,
    socket_closed,
    socket_opened,
    started,
    submitted,
    taken,
    taken_out,
    thawed,
    unloaded,
    written,
)


def tracker_of(*pieces: Piece) -> JobTracker:
    tracker = JobTracker()
    for event in log(*pieces):
        tracker.on_event(event)
    return tracker


def one(*pieces: Piece, job: str = "j") -> Attempt:
    (attempt,) = tracker_of(*pieces).jobs[job].attempts
    return attempt


def test_an_attempt_has_its_times() -> None:
    attempt = one(ran("j", on="a", at=1, begins=4, until=9))
    assert (attempt.sent_ms, attempt.taken_ms, attempt.ended_ms, attempt.end) == (1, 4, 9, "success")
    assert (attempt.status, attempt.answered_ms, attempt.prompt_id, attempt.client_id) == (200, 1, "j@a", "c")


def test_attempts_are_numbered_over_all_instances() -> None:
    pieces = rejected("j", on="a", at=1, status=503), refused("j", on="b", at=2), ran("j", on="c", at=3, until=4)
    job = tracker_of(*pieces).jobs["j"]
    assert [(each.number, each.instance, each.end, each.status) for each in job.attempts] == [
        (1, "a", "refused", 503), (2, "b", "refused", 400), (3, "c", "success", 200),
    ]


def test_each_answer_is_that_of_its_own_attempt() -> None:
    """One prompt id, sent twice: the first answer is lost."""
    pieces = submitted("j", on="a", at=1), submitted("j", on="a", at=2)
    answers = answered("j", on="a", at=3, status=0, began=1), answered("j", on="a", at=4, began=2)
    attempts = tracker_of(pieces, answers).jobs["j"].attempts
    assert [(attempt.status, attempt.began_ms) for attempt in attempts] == [(0, 1), (200, 2)]


def test_a_late_refusal_is_not_mistaken_for_the_answer_to_another() -> None:
    first = refused("j", on="a", at=1)[0]
    turned_away = rejected("j", on="a", at=5, status=429)
    late = rejected("j", on="a", at=9, status=400, began=1)
    assert [each.status for each in tracker_of(first, turned_away, late).jobs["j"].attempts] == [400, 429]


def test_an_answer_without_a_submission_makes_no_attempt() -> None:
    assert tracker_of(rejected("", on="a", at=1, status=400)).jobs == {}
    assert tracker_of(answered("j", on="a", at=1, prompt_id="from-before-the-log")).jobs == {}


def test_a_run_ends_as_it_ends() -> None:
    for end in ("success", "error", "interrupted"):
        assert one(ran("j", on="a", at=1, until=2, ends=end)).end == end
    assert one(ran("j", on="a", at=1, until=2, ends="error", error="OutOfMemoryError")).error == "OutOfMemoryError"


def test_an_interrupt_that_a_crash_outran_is_forgotten() -> None:
    first = ran("j", on="a", at=0, until=5, ends="interrupted")[:-1]
    again = ran("j", on="a", at=10, until=12, ends="error", epoch=2)
    assert [each.end for each in tracker_of(first, crashed("a", at=6, lost=["j"]), again).jobs["j"].attempts] == [
        "lost", "error",
    ]


def test_deleting_from_the_queue_leaves_the_one_that_runs() -> None:
    """Two of one id: the first runs, the second waits."""
    pieces = submitted("j", on="a", at=1), taken("j", on="a", at=1), submitted("j", on="a", at=2)
    attempts = tracker_of(pieces, taken_out("j", on="a", at=3), finished("j", on="a", at=4)).jobs["j"].attempts
    assert [each.end for each in attempts] == ["success", "deleted"]


def test_clearing_the_queue_ends_all_that_wait() -> None:
    cleared = QueueCleared(at_ms=5, instance="a", epoch=1, prompt_ids=("j@a", "k@a"), queue_remaining=0)
    attempts = tracker_of(submitted("j", on="a", at=1), submitted("k", on="a", at=1), cleared)
    assert [each.end for job in attempts.jobs.values() for each in job.attempts] == ["deleted", "deleted"]
    assert attempts.open_on("a") == []


def test_a_reset_forgets_what_waits_and_what_runs() -> None:
    pieces = submitted("j", on="a", at=1), taken("j", on="a", at=1), submitted("k", on="a", at=1)
    attempts = tracker_of(pieces, submitted("l", on="b", at=1), reset("a", at=5))
    assert [each.end for job in attempts.jobs.values() for each in job.attempts] == ["forgotten", "forgotten", None]
    assert attempts.running == {}


def test_a_queue_that_outlasts_a_crash_waits_again() -> None:
    pieces = submitted("j", on="a", at=1), taken("j", on="a", at=2), crashed("a", at=3, kept=("queue",))
    attempt = one(pieces)
    assert (attempt.is_open, attempt.taken_ms, attempt.kill_seq) == (True, None, 4)
    assert one(pieces, taken("j", on="a", at=9, epoch=2), finished("j", on="a", at=10, epoch=2)).end == "success"


def test_only_a_crash_counts_as_a_kill() -> None:
    pieces = submitted("j", on="a", at=1), taken("j", on="a", at=2)
    assert one(pieces, crashed("a", at=3, lost=["j"], reason="stopped")).kill_seq == 0
    assert one(submitted("j", on="a", at=1), crashed("a", at=3, lost=["j"])).kill_seq == 0


def test_fetching_a_file_is_counted_for_the_attempt_that_wrote_it_last() -> None:
    first = ran("j", on="a", at=0, until=2, file="x.png"), ran("k", on="a", at=3, until=5, file="x.png")
    attempts = tracker_of(first, fetched("x.png", on="a", at=2), [fetched("x.png", on="a", at=6)] * 2)
    assert [attempts.jobs[name].attempts[0].file_fetches for name in ("j", "k")] == [1, 2]


def test_a_file_is_known_by_its_folder_too() -> None:
    run = ran("j", on="a", at=0, until=2, file="x y.png")
    for query, count in (
        ("filename=x%20y.png", 1),
        ("filename=x+y.png&type=output&subfolder=", 1),
        ("filename=x+y.png&type=temp", 0),
        ("filename=x+y.png&subfolder=z", 0),
        ("", 0),
    ):
        assert one(run, asked("/api/view", on="a", at=3, query=query)).file_fetches == count
    assert one(run, asked("/view", on="a", at=3, query="filename=x+y.png", status=404)).file_fetches == 0


def test_a_result_is_seen_by_its_id_in_the_list_or_over_the_websocket() -> None:
    run = ran("j", on="a", at=0, until=2)
    assert one(run, seen("j", on="a", at=3)).result_reads == 1
    assert one(run, seen("j", on="a", at=1)).result_reads == 0
    assert one(run, asked("/api/jobs/j@a", on="a", at=3)).result_reads == 1
    assert one(run, asked("/history", on="a", at=3)).result_reads == 1
    assert one(run, asked("/jobs", on="a", at=1)).result_reads == 0
    assert one(run, FrameSent(at_ms=1, instance="a", type="executed", prompt_id="j@a", to=("c",))).result_reads == 1
    assert one(run, FrameSent(at_ms=1, instance="a", type="progress", prompt_id="j@a", to=("c",))).result_reads == 0


def test_a_file_that_did_not_come_whole_was_not_fetched() -> None:
    run = ran("j", on="a", at=0, until=2, file="x.png", file_bytes=100)
    assert one(run, fetched("x.png", on="a", at=3)).file_fetches == 1
    for broken in ({"damage": "cut", "size_bytes": 50}, {"damage": "changed"}, {"status": 0}, {"status": 304}):
        attempt = one(run, fetched("x.png", on="a", at=3, **broken))
        assert (attempt.file_fetches, attempt.broken_fetch is None) == (0, False)
    for left_bytes, count in ((99, 0), (100, 1)):
        cut = file_cut("j", on="a", at=2, name="x.png", size_bytes=left_bytes)
        assert one(run, cut, fetched("x.png", on="a", at=3)).file_fetches == count


def test_parts_of_a_file_count_once_they_are_all_of_it() -> None:
    run = ran("j", on="a", at=0, until=2, file="x.png", file_bytes=100)

    def part(first: int, size_bytes: int, status: int = 206, **more: Any) -> Event:
        return fetched("x.png", on="a", at=3, status=status, first_byte=first, size_bytes=size_bytes, **more)

    def fetches(*parts: Event) -> int:
        return one(run, parts).file_fetches

    assert fetches(part(0, 100)) == 1
    assert fetches(part(0, 50)) == fetches(part(0, 50), part(0, 50)) == fetches(part(0, 50), part(60, 40)) == 0
    assert fetches(part(60, 40), part(0, 30), part(30, 30)) == 1
    assert fetches(part(0, 70, 200, damage="cut"), part(70, 30)) == 1
    assert fetches(part(0, 70, 200, damage="changed"), part(70, 30)) == 0
    assert fetches(part(0, 60), part(50, 50), part(0, 50)) == 1


def test_a_preview_of_a_file_counts_as_the_file_if_it_came_whole() -> None:
    run = ran("j", on="a", at=0, until=2, file="x.png", file_bytes=100)
    query = "filename=x.png&preview=webp"
    assert one(run, asked("/view", on="a", at=3, query=query)).file_fetches == 1
    assert one(run, asked("/view", on="a", at=3, query=query, damage="cut", size_bytes=100)).file_fetches == 0


def test_a_file_in_a_shared_folder_may_be_fetched_from_any_instance() -> None:
    run = ran("j", on="a", at=0, until=2, file="x.png")
    assert one(run, fetched("x.png", on="b", at=3)).file_fetches == 1
    assert one(run, fetched("x.png", on="b", at=3, status=404)).file_fetches == 0


def test_an_answer_or_a_message_that_a_fault_changed_was_not_read() -> None:
    run = ran("j", on="a", at=0, until=2)
    for damage in ("cut", "changed"):
        assert one(run, asked("/history/j@a", on="a", at=3, damage=damage)).result_reads == 0
        assert one(run, asked("/history", on="a", at=3, damage=damage)).result_reads == 0
    assert one(run, frame_sent("executed", "j", on="a", at=1, is_changed=True)).result_reads == 0


def test_a_message_is_read_by_the_client_of_the_job_only_and_may_be_late() -> None:
    run = ran("j", on="a", at=0, until=2)
    assert one(run, frame_sent("executed", "j", on="a", at=1, to=("other",))).result_reads == 0
    assert one(run, frame_sent("executed", "j", on="a", at=9)).result_reads == 1


def test_a_picture_over_the_websocket_is_counted_for_its_client() -> None:
    run = ran("j", on="a", at=0, until=9), picture_sent("j", on="a", at=5)
    attempt = one(run, frame_sent("binary-1", "j", on="a", at=5, is_result=True))
    assert (attempt.pictures, attempt.pictures_sent) == (1, 1)
    assert one(run).pictures_sent == 0
    assert one(run, frame_sent("binary-1", "j", on="a", at=5, is_result=True, to=("other",))).pictures_sent == 0
    assert one(run, frame_sent("binary-4", "j", on="a", at=5, is_result=True, is_changed=True)).pictures_sent == 0
    preview = picture_sent("j", on="a", at=4, image_type="image/jpeg"), frame_sent("binary-1", "j", on="a", at=4)
    assert (one(run, preview).pictures, one(run, preview).pictures_sent) == (1, 0)


def test_a_log_that_does_not_say_which_message_is_a_result_counts_those_after_it() -> None:
    old = ran("j", on="a", at=0, until=9), picture_sent("j", on="a", at=5), frame_sent("binary-1", "j", on="a", at=5)
    assert one(old).pictures_sent == 1
    assert one(replace(configured("a"), version="1"), old).pictures_sent == 0


def test_a_client_may_open_its_socket_again() -> None:
    pieces = socket_opened(on="a", at=0), submitted("j", on="a", at=1), socket_closed(on="a", at=2)
    assert one(pieces).is_socket_closed
    assert not one(pieces, socket_opened(on="a", at=3)).is_socket_closed
    assert not one(pieces[:2], socket_closed("somebody-else", on="a", at=2)).is_socket_closed


def everything() -> list[Event]:
    """Return a log with many kinds of events."""
    return log(
        configured("a", "b", "c"),
        [ready(each, at=0) for each in "abc"],
        socket_opened(on="a", at=1),
        loaded("a", "m", at=5, job="j1"),
        ran("j1", on="a", at=2, until=90, file="x.png"),
        ran("j2", on="b", at=3, until=80, ends="error"),
        ran("j2", on="a", at=81, begins=91, until=120, ends="interrupted"),
        interrupt(on="a", at=100, hit="j2", job="j1"),
        ran("j2", on="c", at=130, until=140),
        refused("j3", on="a", at=10, missing=["m"]),
        refused("j3", on="a", at=11, missing=["m"]),
        [rejected("j4", on="c", at=at, status=503, retry_after_ms=1_000) for at in range(20, 26)],
        submitted("j5", on="b", at=150),
        taken("j5", on="b", at=151),
        written("j5", on="b", at=152, name="y.png"),
        armed("f", on=["b"], at=0),
        fired("f", on="b", at=155, job="j5"),
        crashed("b", at=155, lost=["j5"]),
        started("b", at=160),
        ready("b", at=161, epoch=2),
        frozen("c", at=170),
        thawed("c", at=171),
        refusing("c", at=172),
        refusing("c", at=173, ends=True),
        draining("a", at=120),
        submitted("j6", on="a", at=175),
        taken_out("j6", on="a", at=176),
        set_to("a", at=177, vram=5),
        unloaded("a", "m", at=178),
        showed(2, on="a", at=179),
        socket_closed(on="a", at=180),
        seen("j1", on="a", at=181),
        fetched("x.png", on="a", at=182),
        forgot_history("j1", on="a", at=183),
        delivered("j1", at=184, prompt_id="j1@a", stamp_job="j2"),
        delivered("j5", at=185),
        reset("c", at=186),
        healed(at=190),
        asked("/history", on="a", at=900_000),
    )


def builder_of(events: list[Event]) -> VerdictBuilder:
    builder = VerdictBuilder()
    for event in events:
        builder.on_event(event)
    return builder


def test_a_log_may_begin_late_end_early_and_have_holes() -> None:
    events, chance = everything(), Random(5)
    for _ in range(300):
        share = chance.random()
        part = [each for each in events if chance.random() < share]
        builder_of(part).verdict()
    for cut in range(len(events)):
        builder_of(events[:cut]).verdict()
        builder_of(events[cut:]).verdict()


def test_a_log_may_be_out_of_order() -> None:
    events, chance = everything(), Random(6)
    for _ in range(100):
        chance.shuffle(events)
        builder_of(events).verdict()


def test_judging_in_between_changes_nothing() -> None:
    events = everything()
    often = VerdictBuilder()
    for event in events:
        often.on_event(event)
        often.verdict()
    assert often.verdict() == builder_of(events).verdict()
    assert len(often.verdict().findings) > 8


def test_questions_and_messages_without_end_take_no_memory() -> None:
    """What is kept is bounded by jobs and clients, not by events."""
    builder = builder_of(log(farm("a"), ran("j", on="a", at=0, until=1, file="x.png"), submitted("k", on="a", at=2)))
    for _ in range(2):
        noise: list[Piece] = [
            [seen("j", on="a", at=2), fetched("x.png", on="a", at=2), asked("/queue", on="a", at=2)],
            [socket_opened(on="a", at=2), showed(1, on="a", at=2), frozen("a", at=2), thawed("a", at=2)],
            interrupt(on="a", at=2, meant="j", hit="k"),
        ]
        before = len(dumps(builder))
        for event in log([noise] * 1_000):
            builder.on_event(event)
        grown_bytes = len(dumps(builder)) - before
    assert abs(grown_bytes) < 100


def test_an_order_has_the_moment_at_which_the_user_asked_whenever_that_is_reported() -> None:
    failed = order("a", at=600, state="failed", why="no")
    reported = tracker_of(order("a", at=500, when=20), submitted("a", on="x", at=30), failed).jobs["a"].order
    assert reported is not None
    assert (reported.asked_ms, reported.seq, reported.failed_seq, reported.why) == (20, 2, 3, "no")


def test_an_order_that_nothing_was_sent_for_is_a_job_without_attempts() -> None:
    (job,) = tracker_of(order("a", at=5, state="withdrawn")).tested
    assert job.order is not None
    assert (job.name, job.attempts, job.order.withdrawn_seq) == ("a", [], 1)
