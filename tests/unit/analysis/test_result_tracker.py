"""What attempts made, and what clients received of it, as known from a log."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from comfyfarm.events import Event, FrameSent
from tests.support.logs import (
    asked,
    configured,
    fetched,
    file_cut,
    frame_sent,
    picture_sent,
    ran,
    seen,
    socket_closed,
    socket_opened,
    submitted,
)
from tests.support.tracking import one, tracker_of


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
