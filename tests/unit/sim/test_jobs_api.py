"""``GET /api/jobs``: the queue and the history as one list."""

from typing import Any

import pytest

from comfyfarm.sim.jobs_api import BadQuery, JobQuery, OutputRules, find_job, list_jobs, read_query
from comfyfarm.versions import behaviour_of
from tests.support.instance_story import STARTED_UNIX_MS, Story, finished, picture, tell

RULES = OutputRules(behaviour_of("0.25.0"))
VALID = "Valid values: pending, in_progress, completed, failed, cancelled"


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"status": "done"}, f"Invalid status value(s): done. {VALID}"),
        ({"status": "failed, Done ,x"}, f"Invalid status value(s): done, x. {VALID}"),
        ({"limit": "0"}, "limit must be a positive integer"),
        ({"limit": "-1"}, "limit must be a positive integer"),
        ({"limit": "x"}, "limit must be an integer"),
        ({"limit": ""}, "limit must be an integer"),
        ({"limit": "1.5"}, "limit must be an integer"),
        ({"offset": "x"}, "offset must be an integer"),
        ({"sort_by": "name"}, "sort_by must be 'created_at' or 'execution_duration'"),
        ({"sort_order": "up"}, "sort_order must be 'asc' or 'desc'"),
    ],
)
def test_a_bad_query_is_refused_in_comfyuis_words(query: dict[str, str], message: str) -> None:
    with pytest.raises(BadQuery) as caught:
        read_query(query)
    assert str(caught.value) == message


def test_a_query_is_read_whatever_its_case() -> None:
    assert read_query({}) == JobQuery()
    assert read_query({"status": ""}) == JobQuery()
    assert read_query({"status": ","}) == JobQuery(statuses=())
    assert read_query({"status": "Failed, PENDING"}) == JobQuery(statuses=("failed", "pending"))
    assert read_query({"sort_by": "Execution_Duration", "sort_order": "ASC"}) == JobQuery(
        sort_by="execution_duration", descending=False
    )
    assert read_query({"limit": "5", "offset": "-3", "workflow_id": "w"}) == JobQuery(limit=5, workflow_id="w")


def listed(story: Story, **query: str) -> dict[str, Any]:
    return finished(list_jobs(story.instance, read_query(query), RULES))[0]


def ids(story: Story, **query: str) -> list[str]:
    return [job["id"] for job in listed(story, **query)["jobs"]]


def found(story: Story, prompt_id: str) -> dict[str, Any]:
    job = find_job(story.instance, prompt_id, RULES)
    assert job is not None
    return job


def busy() -> tuple[Story, dict[str, str]]:
    """A job of each status; created 10 ms apart, in this order."""
    story, by_status = tell(), {}
    broken = picture("../outside")
    for status, prompt in (("completed", picture(batch_size=2)), ("failed", broken)):
        by_status[status] = story.post(prompt)
        story.run()
        story.wait(10)
    by_status["cancelled"] = story.post(picture())
    story.wait(1)
    story.interrupt()
    story.run()
    story.wait(10)
    by_status["in_progress"] = story.post(picture())
    story.wait(1)
    workflow = {"extra_pnginfo": {"workflow": {"id": "w-1"}}}
    by_status["pending"] = story.post(picture(), extra_data=workflow)
    return story, by_status


def test_jobs_of_all_kinds_are_listed_newest_first() -> None:
    story, by_status = busy()
    order = ["pending", "in_progress", "cancelled", "failed", "completed"]
    jobs = listed(story)["jobs"]
    assert [job["status"] for job in jobs] == order
    assert [job["id"] for job in jobs] == [by_status[status] for status in order]


def test_jobs_are_chosen_by_status_and_by_workflow() -> None:
    story, by_status = busy()
    for status, prompt_id in by_status.items():
        assert ids(story, status=status) == [prompt_id]
    assert ids(story, status=",") == []
    assert ids(story, workflow_id="w-1") == [by_status["pending"]]
    assert ids(story, workflow_id="w-2") == []


def test_jobs_are_sorted_as_asked() -> None:
    story, by_status = busy()
    assert ids(story, sort_order="asc") == list(by_status.values())
    by_duration = ["completed", "failed", "cancelled", "pending", "in_progress"]
    assert ids(story, sort_by="execution_duration") == [by_status[status] for status in by_duration]


def test_a_long_list_is_made_in_steps() -> None:
    """So that no other instance waits for all of it; jobs that end meanwhile are shown as they were."""
    story = tell()
    posted = [story.post(picture()) for _ in range(250)]
    story.run()
    steps = list_jobs(story.instance, read_query({"sort_order": "asc"}), RULES)
    next(steps)
    story.instance.clear_history(story.now_ms)
    assert [job["id"] for job in finished(steps)[0]["jobs"]] == posted


def test_jobs_of_one_moment_are_sorted_by_their_submission() -> None:
    story = tell()
    posted = [story.post(picture(), number=number) for number in (3, 1, 2)]
    assert ids(story) == posted[::-1]
    assert ids(story, sort_order="asc") == posted


@pytest.mark.parametrize(
    ("query", "count", "pagination"),
    [
        ({}, 5, {"offset": 0, "limit": None, "total": 5, "has_more": False}),
        ({"limit": "2"}, 2, {"offset": 0, "limit": 2, "total": 5, "has_more": True}),
        ({"limit": "2", "offset": "3"}, 2, {"offset": 3, "limit": 2, "total": 5, "has_more": False}),
        ({"limit": "2", "offset": "9"}, 0, {"offset": 9, "limit": 2, "total": 5, "has_more": False}),
        ({"offset": "4"}, 1, {"offset": 4, "limit": None, "total": 5, "has_more": False}),
        ({"status": "failed", "limit": "1"}, 1, {"offset": 0, "limit": 1, "total": 1, "has_more": False}),
    ],
)
def test_a_list_comes_in_pages(query: dict[str, str], count: int, pagination: dict[str, Any]) -> None:
    answer = listed(busy()[0], **query)
    assert list(answer) == ["jobs", "pagination"]
    assert len(answer["jobs"]) == count
    assert answer["pagination"] == pagination


def test_a_job_that_waits_says_little() -> None:
    """What is not known is left out."""
    story, by_status = busy()
    job = found(story, by_status["pending"])
    created = story.instance.queue.pending[0].extra_data["create_time"]
    assert job == {
        "id": by_status["pending"],
        "status": "pending",
        "priority": 4,
        "create_time": created,
        "outputs_count": 0,
        "workflow_id": "w-1",
    }


def test_a_job_that_ended_well_is_told_in_full() -> None:
    story, by_status = busy()
    job = found(story, by_status["completed"])
    shown = [{"filename": f"barn_0000{n}_.png", "subfolder": "", "type": "output"} for n in (1, 2)]
    assert job["create_time"] == job["execution_start_time"] == STARTED_UNIX_MS
    assert job["execution_end_time"] == STARTED_UNIX_MS + 26
    assert job["outputs_count"] == 2
    assert job["preview_output"] == {**shown[0], "nodeId": "2", "mediaType": "images"}
    assert job["outputs"] == {"2": {"images": shown}}
    assert job["execution_status"]["status_str"] == "success"
    assert job["workflow"]["prompt"] == picture(batch_size=2)
    assert "execution_error" not in job
    listed_job = next(item for item in listed(story)["jobs"] if item["id"] == by_status["completed"])
    assert listed_job == {key: job[key] for key in listed_job}
    assert not {"outputs", "execution_status", "workflow"} & listed_job.keys()


def test_a_job_that_failed_says_why() -> None:
    story, by_status = busy()
    error = found(story, by_status["failed"])["execution_error"]
    assert error["node_id"] == "2"
    assert error["exception_type"] == "Exception"
    assert "execution_error" not in found(story, by_status["cancelled"])


def test_an_unknown_job_is_not_found() -> None:
    assert find_job(tell().instance, "no", RULES) is None


def test_of_two_jobs_with_one_id_the_ended_one_is_found() -> None:
    """As in ComfyUI."""
    story = tell()
    prompt_id = story.post(picture())
    story.run()
    story.post(picture(), prompt_id=prompt_id)
    assert found(story, prompt_id)["status"] == "completed"
    assert len(listed(story)["jobs"]) == 2


@pytest.mark.parametrize(
    ("ui", "count"),
    [
        ({"images": [{}, {}]}, 2),
        ({"images": [{}], "animated": [True]}, 1),
        ({"text": ["a", "b"]}, 2),
        ({"result": ["a.GLB", "camera", None]}, 1),
        ({"numbers": [1, 2.5, None]}, 0),
    ],
)
def test_outputs_are_counted_as_comfyui_counts_them(ui: dict[str, Any], count: int) -> None:
    assert RULES.count({"1": ui}) == count


def test_a_picture_in_the_output_folder_stands_for_a_job_before_all_else() -> None:
    first = {"filename": "a.png", "subfolder": "", "type": "temp"}
    kept = {"filename": "b.png", "subfolder": "", "type": "output"}
    outputs: dict[str, Any] = {"1": {"text": ["hello"]}, "2": {"images": [first, kept]}}
    assert RULES.preview(outputs) == {**kept, "nodeId": "2", "mediaType": "images"}
    assert RULES.preview({"1": {"text": ["hello"]}, "2": {"images": [first]}}) == {
        "content": "hello",
        "nodeId": "1",
        "mediaType": "text",
    }
    assert RULES.preview({"1": {"latents": [kept]}}) is None


def test_a_long_text_is_cut() -> None:
    assert RULES.preview({"1": {"text": ["x" * 1024]}}) == {
        "content": "x" * 1024,
        "nodeId": "1",
        "mediaType": "text",
    }
    cut = RULES.preview({"1": {"text": ["x" * 1025]}})
    assert cut == {"content": "x" * 1024, "truncated": True, "nodeId": "1", "mediaType": "text"}
