"""The order in which jobs are listed and run, and what is remembered of ended jobs."""

import gc
import heapq
import json
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comfyfarm.sim.jobs import EndedJob, History, HistoryEntry, Job, Queue


def make_job(number: float, prompt_id: str = "", prompt: Any = None, order: int = 0) -> Job:
    return Job(number, prompt_id or f"id-{number}", prompt or {}, {}, [], "job", order)


def filled(*numbers: float) -> Queue:
    queue = Queue()
    for order, number in enumerate(numbers):
        queue.put(make_job(number, order=order))
    return queue


def listed(queue: Queue) -> list[float]:
    return [job.number for job in queue.pending]


def emptied(queue: Queue) -> list[Job]:
    return [queue.take() for _ in range(len(queue.pending))]


def test_waiting_jobs_are_listed_as_comfyuis_heap_holds_them() -> None:
    """Recorded from the real server; not the order in which they run."""
    queue = filled(5, 3, 4, 1, 2, 9, 0)
    assert listed(queue) == [0, 2, 1, 5, 3, 9, 4]
    assert [job.number for job in emptied(queue)] == [0, 1, 2, 3, 4, 5, 9]


def test_jobs_of_one_number_run_by_their_ids() -> None:
    """Texts, compared as texts."""
    queue = Queue()
    for prompt_id in ("b", "c", "a"):
        queue.put(make_job(1, prompt_id))
    assert [job.prompt_id for job in emptied(queue)] == ["a", "b", "c"]


def test_two_jobs_of_one_number_and_id_cannot_be_compared_but_both_wait() -> None:
    """ComfyUI answers 500, and queues the second one all the same."""
    queue = Queue()
    queue.put(make_job(1, "a", {"1": {}}))
    with pytest.raises(TypeError):
        queue.put(make_job(1, "a", {"2": {}}))
    assert queue.remaining == 2


def test_the_very_same_job_twice_is_no_error() -> None:
    """Where nothing differs, Python has nothing to compare that it could not."""
    queue = filled(1, 1)
    assert queue.remaining == 2


def test_jobs_that_cannot_be_compared_all_run_in_the_order_they_came() -> None:
    """ComfyUI's worker would end there, for good; an instance goes on, and loses none."""
    queue = Queue()
    for order in range(7):
        try:
            queue.put(make_job(1, "a", {str(order): {}}, order))
        except TypeError:
            assert order
    assert queue.delete("a") is not None
    assert sorted(job.order for job in queue.pending) == [1, 2, 3, 4, 5, 6]
    assert [job.order for job in emptied(queue)] == [1, 2, 3, 4, 5, 6]


def test_deleting_takes_the_first_of_that_id_and_keeps_a_heap() -> None:
    """And nothing that runs."""
    queue = filled(5, 3, 4, 1, 2)
    queue.take()
    assert queue.delete("id-1") is None
    assert queue.delete("id-3") is not None
    assert queue.delete(["id-4"]) is None
    assert queue.remaining == 4
    assert [job.number for job in emptied(queue)] == [2, 4, 5]


def test_clearing_leaves_the_running_job() -> None:
    queue = filled(1, 2, 3)
    running = queue.take()
    assert [job.number for job in queue.clear()] == [2, 3]
    assert (queue.running, queue.pending, queue.remaining) == (running, [], 1)


def test_a_job_is_shown_in_five_parts() -> None:
    shown = Job(7.0, "id", {"1": {}}, {"client_id": "me"}, ["1"], "name")
    assert shown.item == [7.0, "id", {"1": {}}, {"client_id": "me"}, ["1"]]
    assert shown.client_id == "me"
    assert make_job(1).client_id is None


numbers = st.integers(-3, 3) | st.floats(-3, 3)


@given(st.lists(numbers, max_size=20), st.lists(st.integers(0, 19), max_size=5))
@settings(deadline=None)
def test_whatever_is_deleted_the_rest_runs_by_number(job_numbers: list[float], deleted: list[int]) -> None:
    """Then by id."""
    queue = Queue()
    for order, number in enumerate(job_numbers):
        queue.put(make_job(number, f"{order:02}", order=order))
    for order in deleted:
        queue.delete(f"{order:02}")
    remaining = [(number, f"{order:02}") for order, number in enumerate(job_numbers) if order not in deleted]
    assert [(job.number, job.prompt_id) for job in emptied(queue)] == sorted(remaining)


@given(st.lists(st.tuples(st.sampled_from(["put", "take", "delete"]), st.integers(0, 9)), max_size=60))
@settings(deadline=None)
def test_jobs_are_always_listed_as_pythons_heap_holds_the_items(steps: list[tuple[str, int]]) -> None:
    """ComfyUI's queue is a list that Python's heap functions keep, and put in order again after each deletion."""
    queue, heap = Queue(), list[tuple[float, str]]()
    for order, (step, number) in enumerate(steps):
        if step == "put":
            queue.put(make_job(number, f"{order:02}", order=order))
            heapq.heappush(heap, (number, f"{order:02}"))
        elif step == "take" and heap:
            assert queue.take().prompt_id == heapq.heappop(heap)[1]
        elif step == "delete" and heap:
            _, prompt_id = heap.pop(number % len(heap))
            heapq.heapify(heap)
            queue.delete(prompt_id)
        assert [(job.number, job.prompt_id) for job in queue.pending] == heap
        assert queue.waiting == len(heap)
        assert [job.prompt_id for job in queue.in_order] == [prompt_id for _, prompt_id in sorted(heap)]


def test_a_job_behind_many_others_is_text_until_it_is_taken() -> None:
    """Else the garbage collector would stop the whole farm, the longer the longer a queue is."""
    prompt = {"1": {"class_type": "X", "inputs": {"seed": 2**70, "cfg": 1e-7, "text": "é\ud800", "link": ["2", 0]}}}
    queue = Queue()
    for order in range(150):
        queue.put(make_job(order, prompt=deepcopy(prompt), order=order))
    last = queue.in_order[-1]
    assert "prompt" not in vars(last)
    assert last.item_json == json.dumps([149, "id-149", prompt, {}, []])
    assert "prompt" not in vars(last)
    assert [queue.take().prompt for _ in range(150)] == [prompt] * 150


def entry(prompt_id: str) -> HistoryEntry:
    return HistoryEntry(Job(1, prompt_id, {}, {}, ["2"], "name"))


def ended(prompt_id: str, **facts: Any) -> EndedJob:
    return EndedJob.of(replace(entry(prompt_id), **facts))


def history_of(ids: str, limit: int = 100) -> History:
    history = History()
    for prompt_id in ids:
        history.add(ended(prompt_id), limit)
    return history


@pytest.mark.parametrize(
    ("max_items", "offset", "shown"),
    [
        (None, -1, "abcde"),
        (2, -1, "de"),
        (9, -1, "abcde"),
        (None, 3, "de"),
        (None, 0, "abcde"),
        (None, 9, ""),
        (None, -7, "abcde"),
        (2, 1, "bc"),
        (2, 4, "e"),
        (9, 2, "cde"),
        (2, -7, "de"),
        (0, -1, ""),
        (-1, -1, ""),
        (0, 0, "a"),        # ComfyUI counts after it has added one
        (-1, 0, "a"),
        (0, 9, ""),
    ],
)
def test_a_window_is_cut_as_comfyui_cuts_it(max_items: int | None, offset: int, shown: str) -> None:
    """The last N, or N from an offset on; with ComfyUI's oddities at 0 and below."""
    assert "".join(history_of("abcde").window(max_items, offset)) == shown


def as_listed(ids: list[str], max_items: int | None, offset: int) -> list[str]:
    """ComfyUI's rule, over a list of all ids."""
    if max_items is not None and offset < 0:
        offset = len(ids) - max_items
    shown = ids[max(0, offset) :]
    return shown if max_items is None else shown[: max(1, max_items)]


@pytest.mark.parametrize("size", [0, 1, 2, 5])
def test_a_window_of_any_size_is_where_it_should_be(size: int) -> None:
    """Counted from either end, as is nearer."""
    history = history_of("abcde"[:size])
    for max_items in (None, *range(-2, size + 3)):
        for offset in range(-2, size + 3):
            shown = list(history.window(max_items, offset))
            assert shown == as_listed(list(history.entries), max_items, offset), (max_items, offset)



def test_a_window_of_nothing_is_empty() -> None:
    for max_items in (None, -1, 0, 5):
        for offset in (-1, 0, 5):
            assert History().window(max_items, offset) == {}


def test_one_more_than_the_limit_is_remembered() -> None:
    """The oldest are dropped; ComfyUI checks before it adds."""
    assert "".join(history_of("abcdefg", limit=3).entries) == "defg"


def test_a_repeated_id_keeps_its_place() -> None:
    """Its content is that of the new entry."""
    history = history_of("abc")
    again = ended("a", status_str="error")
    history.add(again, 100)
    assert "".join(history.entries) == "abc"
    assert history.entries["a"] is again


def test_a_repeated_id_in_a_full_history_still_makes_room() -> None:
    """As in ComfyUI, which drops the oldest entry without a look at the new one."""
    assert "".join(history_of("abcdc", limit=3).entries) == "bcd"
    assert "".join(history_of("abcda", limit=3).entries) == "bcda"


def test_an_entry_has_its_keys_in_comfyuis_order() -> None:
    shown = ended("a").content()
    assert list(shown) == ["prompt", "outputs", "status", "meta"]
    assert shown["prompt"] == [1, "a", {}, {}, ["2"]]
    assert list(shown["status"].items()) == [("status_str", "success"), ("completed", True), ("messages", [])]


def test_only_success_is_completed() -> None:
    failed = ended("a", status_str="error").content()
    assert failed["status"] == {"status_str": "error", "completed": False, "messages": []}


def test_the_texts_that_routes_send_are_those_of_json() -> None:
    history = history_of("ab")
    history.add(ended("é", outputs={"9": {"images": [{"filename": "é\ud800.png"}]}}, meta={"9": {"x": 1e-7}}), 100)
    shown = {prompt_id: job.content() for prompt_id, job in history.entries.items()}
    for prompt_id, job in history.entries.items():
        assert history.json({prompt_id: job}) == json.dumps({prompt_id: shown[prompt_id]})
    assert shown["é"]["outputs"]["9"]["images"] == [{"filename": "é\ud800.png"}]
    assert history.json(history.window(None)) == json.dumps(shown)
    assert history.json({}) == "{}"


def test_the_text_of_a_large_entry_is_made_when_it_is_asked_for() -> None:
    """As it takes long, and nobody may ask."""
    files = [{"filename": f"{number}.png"} for number in range(2000)]
    large = ended("a", outputs={"9": {"images": files}})
    assert large.entry is not None
    assert large.content()["outputs"]["9"]["images"] == files
    assert large.entry is None
    assert ended("a").entry is None


def test_the_garbage_collector_looks_at_no_job_of_the_history() -> None:
    """Else each full collection would stop the whole farm, the longer the more jobs have ended."""
    assert not any(gc.is_tracked(job) for job in history_of("abc").entries.values())


def test_a_secret_is_gone_from_the_text_too() -> None:
    job = entry("a").job
    job.extra_data["api_key_comfy_org"] = "secret"
    assert "secret" in job.item_json
    job.hide(["api_key_comfy_org"])
    assert job.item_json == json.dumps(job.item) == '[1, "a", {}, {}, ["2"]]'


def test_an_id_that_waits_twice_is_deleted_as_listed() -> None:
    """The first in the list, as ComfyUI's loop finds it, whatever its number is."""
    queue = Queue()
    for order, (number, prompt_id) in enumerate([(1, "a"), (2, "x"), (3, "b"), (4, "x"), (5, "c")]):
        queue.put(make_job(number, prompt_id, order=order))
    assert [job.number for job in (queue.delete("x"), queue.delete("x")) if job is not None] == [2, 4]
    assert queue.delete("x") is None
    assert listed(queue) == [1, 3, 5]
