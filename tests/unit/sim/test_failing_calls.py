"""Jobs whose nodes cannot be called as the prompt has it: after validation, when their turn comes."""

import pytest

from comfyfarm.events import Failed, Finished, NodeStarted, WorkerDied
from comfyfarm.sim.errors import PromptRejected
from comfyfarm.sim.settings import Settings
from tests.support.instance_story import Prompt, Story, picture, tell


def with_caption(link: list[object]) -> Prompt:
    """Return a job that saves a picture with an input that ``SaveImage`` does not have."""
    prompt = picture()
    prompt["3"] = {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}}
    prompt["2"]["inputs"]["caption"] = link
    return prompt


def started(story: Story) -> list[str]:
    return [event.node for event in story.of(NodeStarted)]


def test_a_null_in_a_socket_fails_when_its_node_runs() -> None:
    """The nodes before it have run; the message and history have what ComfyUI puts there."""
    story = tell()
    prompt = picture()
    prompt["3"] = {"class_type": "ImageBatch", "inputs": {"image1": ["1", 0], "image2": None}}
    prompt["2"]["inputs"]["images"] = ["3", 0]
    prompt_id = story.post(prompt)
    story.wait(1000)
    assert started(story) == ["1", "3"]
    (failed,) = story.of(Failed)
    assert failed.error == {
        "node_id": "3",
        "node_type": "ImageBatch",
        "executed": ["1"],
        "exception_message": "'NoneType' object has no attribute 'shape'\n",
        "exception_type": "AttributeError",
        "traceback": ["AttributeError: 'NoneType' object has no attribute 'shape'\n"],
        "current_inputs": {"image1": ["tensor(..., size=(1, 64, 64, 3))"], "image2": [None]},
        "current_outputs": [],
    }
    status = story.entry(prompt_id)["status"]
    assert (status["status_str"], status["completed"]) == ("error", False)
    assert [kind for kind, _ in status["messages"]] == ["execution_start", "execution_cached", "execution_error"]


def test_validation_comes_before_a_null_in_a_socket() -> None:
    story = tell()
    prompt = picture(width=-1)
    prompt["2"]["inputs"]["images"] = None
    prompt["4"] = {"class_type": "PreviewImage", "inputs": {}}
    with pytest.raises(PromptRejected):
        story.post({"4": prompt["4"]})
    story.post(prompt)
    story.wait(1000)
    assert [event.error["node_id"] for event in story.of(Failed)] == ["2"]


def test_a_node_before_the_one_with_a_null_fails_first() -> None:
    story = tell()
    prompt = {
        "1": {"class_type": "ImageInvert", "inputs": {"image": "%image%"}},
        "2": {"class_type": "ImageBatch", "inputs": {"image1": ["1", 0], "image2": None}},
        "3": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}},
    }
    story.post(prompt)
    story.wait(1000)
    assert [event.error["node_id"] for event in story.of(Failed)] == ["1"]


def test_a_failed_call_is_tried_again_by_the_next_job() -> None:
    story = tell(Settings(mode="dynamic", cache="ram"))
    prompt = picture()
    prompt["2"]["inputs"]["images"] = None
    story.post(prompt)
    story.post(prompt)
    story.wait(1000)
    assert len(story.of(Failed)) == 2


def test_a_link_to_an_undeclared_input_runs_the_linked_node_and_fails_after_it() -> None:
    story = tell()
    story.post(with_caption(["3", 0]))
    story.wait(1000)
    assert started(story) == ["1", "3", "2"]
    (failed,) = story.of(Failed)
    message = "SaveImage.save_images() got an unexpected keyword argument 'caption'\n"
    assert (failed.error["exception_type"], failed.error["exception_message"]) == ("TypeError", message)
    assert failed.error["executed"] == ["1", "3"]


def test_a_link_from_an_undeclared_input_to_nowhere_ends_the_worker() -> None:
    """The job runs for ever, and all behind it wait; clients are served."""
    story = tell()
    prompt_id = story.post(with_caption(["404", 0]))
    behind = story.post(picture())
    story.wait(60_000)
    assert [(event.prompt_id, event.node) for event in story.of(WorkerDied)] == [(prompt_id, "404")]
    story.interrupt()
    story.wait(60_000)
    running, pending = story.instance.queue.running, story.instance.queue.pending
    assert running is not None
    assert (running.prompt_id, [job.prompt_id for job in pending]) == (prompt_id, [behind])
    assert (started(story), story.of(Finished), story.instance.history.entries) == ([], [], {})


def test_a_reset_brings_a_dead_worker_back() -> None:
    story = tell()
    story.post(with_caption(["404", 0]))
    story.wait(1000)
    story.instance.reset(files=False, now_ms=story.now_ms)
    prompt_id = story.post(picture())
    story.wait(1000)
    assert story.entry(prompt_id)["status"]["status_str"] == "success"


def test_a_link_to_nowhere_of_a_node_that_no_output_needs_harms_nobody() -> None:
    story = tell()
    prompt = picture()
    prompt["3"] = {"class_type": "ImageInvert", "inputs": {"image": ["1", 0], "caption": ["404", 0]}}
    prompt_id = story.post(prompt)
    story.wait(1000)
    assert story.entry(prompt_id)["status"]["status_str"] == "success"
