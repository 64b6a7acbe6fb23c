"""One instance: jobs are submitted, run and end, in time that is an argument."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comfyfarm.events import (
    Cached,
    Failed,
    Finished,
    InterruptAsked,
    Interrupted,
    NodeFinished,
    NodeStarted,
    PictureSent,
    Preview,
    Progressed,
    PromptRefused,
    QueueCleared,
    QueueDeleted,
    Reset,
    Started,
    Submitted,
    Succeeded,
    Taken,
    Work,
    Written,
)
from comfyfarm.sim.distributions import Distribution
from comfyfarm.sim.errors import PromptRejected, ServerError
from comfyfarm.sim.files import FileContent as Content
from comfyfarm.sim.files import Place
from comfyfarm.sim.prompt.submission import PromptSource
from comfyfarm.sim.settings import Settings, Timing
from comfyfarm.workflows import text_to_image
from tests.support.instance_story import STARTED_UNIX_MS, Prompt, Story, catalogue, chain, picture, tell

STATIC = Settings(mode="static")


def sampling(steps: int = 4, **more: Any) -> Prompt:
    """The standard workflow, made short."""
    return text_to_image(steps=steps, **more)


def test_a_small_job_from_its_submission_to_its_end() -> None:
    """Every event, with its own time: a node takes 3 ms, a picture 10 ms."""
    story = tell()
    prompt_id = story.post(picture(), client_id="me")
    story.wait(1000)
    about: dict[str, Any] = {"prompt_id": prompt_id}
    shown = {"images": [{"filename": "barn_00001_.png", "subfolder": "", "type": "output"}]}
    work = Work(nodes={"EmptyImage": 1, "SaveImage": 1}, saves=1)
    (submitted, *later) = story.events
    assert isinstance(submitted, Submitted)
    assert (submitted.number, submitted.outputs, submitted.queue_remaining) == (0, ("2",), 1)
    assert later == [
        Taken(at_ms=0, job=submitted.job, ordinal=1, client_id="me", queue_remaining=1, **about),
        Started(at_ms=0, **about),
        Cached(at_ms=0, nodes=(), **about),
        NodeStarted(at_ms=0, node="1", class_type="EmptyImage", **about),
        NodeFinished(at_ms=3, node="1", shown_as="1", **about),
        NodeStarted(at_ms=3, node="2", class_type="SaveImage", **about),
        Written(at_ms=16, node="2", folder="output", subfolder="", name="barn_00001_.png", size_bytes=4096, **about),
        NodeFinished(at_ms=16, node="2", shown_as="2", output=shown, **about),
        Succeeded(at_ms=16, **about),
        Finished(at_ms=16, status="success", queue_remaining=0, work=work, **about),
    ]


def test_history_tells_what_the_job_was_and_what_became_of_it() -> None:
    """With the times as clients see them."""
    story = tell()
    prompt_id = story.post(picture(), client_id="me")
    story.run()
    start = {"prompt_id": prompt_id, "timestamp": STARTED_UNIX_MS}
    entry = story.entry(prompt_id)
    extra_data = {"client_id": "me", "create_time": STARTED_UNIX_MS}
    assert entry == {
        "prompt": [0, prompt_id, picture(), extra_data, ["2"]],
        "outputs": {"2": {"images": [{"filename": "barn_00001_.png", "subfolder": "", "type": "output"}]}},
        "status": {
            "status_str": "success",
            "completed": True,
            "messages": [
                ["execution_start", start],
                ["execution_cached", {"nodes": [], **start}],
                ["execution_success", {"prompt_id": prompt_id, "timestamp": STARTED_UNIX_MS + 16}],
            ],
        },
        "meta": {"2": {"node_id": "2", "display_node": "2", "parent_node": None, "real_node_id": "2"}},
    }


def test_nothing_happens_before_its_moment() -> None:
    """Not even the start: the client receives the answer first."""
    story = tell()
    prompt_id = story.post(picture())
    assert story.kinds() == ["submitted"]
    assert story.instance.due_ms == 0
    story.wait(15)
    assert story.kinds()[-1] == "node_started"
    assert prompt_id not in story.instance.history.entries
    assert story.instance.queue.running is not None
    story.wait(1)
    assert story.kinds()[-1] == "finished"
    assert story.instance.due_ms is None


def two_jobs_and_an_interrupt(story: Story, pass_time: Callable[[int], None]) -> None:
    """Some of everything, at times of which some are due and some are not."""
    story.post(sampling(batch_size=2), client_id="me")
    pass_time(7)
    second = story.post(picture(), number=9)
    story.post(picture("third"), number=-1)
    pass_time(40)
    story.interrupt()
    pass_time(3)
    story.instance.delete_from_queue(second, story.now_ms)
    pass_time(16)
    story.post(picture("../outside"))
    pass_time(500)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=30))
@settings(deadline=None)
def test_a_jump_and_any_small_steps_tell_the_same_story(steps: list[int]) -> None:
    """Whenever the instance is looked at, what happens and when stays the same."""

    def in_steps(ms: int) -> None:
        for step in steps:
            story.wait(min(step, ms))
            ms -= min(step, ms)
        story.wait(ms)

    jump = tell()
    two_jobs_and_an_interrupt(jump, jump.wait)
    story = tell()
    two_jobs_and_an_interrupt(story, in_steps)
    assert story.events == jump.events
    assert {"interrupted", "failed", "succeeded"} <= set(jump.kinds())


def test_every_millisecond_tells_the_same_story_as_a_jump() -> None:
    jump, creeping = tell(), tell()
    two_jobs_and_an_interrupt(jump, jump.wait)
    two_jobs_and_an_interrupt(creeping, creeping.creep)
    assert creeping.events == jump.events


def test_time_never_runs_backwards_in_a_story() -> None:
    story = tell()
    two_jobs_and_an_interrupt(story, story.wait)
    assert all(one.at_ms <= two.at_ms for one, two in pairwise(story.events))


def test_the_same_seed_tells_the_same_story() -> None:
    """Another seed differs in ids only, not in what happens when."""
    stories = [tell(seed=seed) for seed in (1, 1, 2)]
    for story in stories:
        two_jobs_and_an_interrupt(story, story.wait)
    one, same, other = (story.events for story in stories)
    assert one == same
    assert one != other
    assert [(type(event), event.at_ms) for event in one] == [(type(event), event.at_ms) for event in other]


def test_the_standard_workflow_ends_within_half_a_second() -> None:
    """So that a suite of somebody else's tests is quick without any setting."""
    story = tell()
    prompt_id = story.post(text_to_image())
    assert story.run() <= 500
    assert story.entry(prompt_id)["status"]["completed"]
    assert len(story.of(Progressed)) == 20


def test_one_job_at_a_time_the_next_begins_where_one_ends() -> None:
    """The end of the first is published before the start of the second, and both at one time."""
    story = tell()
    first, second = story.post(picture()), story.post(picture())
    assert [event.queue_remaining for event in story.of(Submitted)] == [1, 2]
    assert story.run() == 32
    at = {event.prompt_id: event.at_ms for event in story.of(Taken)}
    assert at == {first: 0, second: 16}
    kinds = story.kinds()
    assert kinds.index("finished") + 1 == kinds.index("taken", kinds.index("taken") + 1)
    assert [event.queue_remaining for event in story.of(Finished)] == [1, 0]
    assert story.names() == ["output/barn_00001_.png", "output/barn_00002_.png"]


def test_the_smallest_number_runs_first_but_never_before_what_runs() -> None:
    story = tell()
    posted = {number: story.post(picture(), number=number) for number in (5, 3, 9)}
    story.wait(20)          # the second one runs
    posted |= {number: story.post(picture(), number=number) for number in (4, 1)}
    story.run()
    ran = [event.prompt_id for event in story.of(Taken)]
    assert ran == [posted[number] for number in (5, 3, 1, 4, 9)]


def test_a_job_sent_to_the_front_overtakes() -> None:
    story = tell()
    first, second = story.post(picture()), story.post(picture())
    front, later_front = story.post(picture(), front=True), story.post(picture(), front=True)
    story.run()
    assert [event.prompt_id for event in story.of(Taken)] == [first, later_front, front, second]


def test_jobs_that_cannot_be_compared_do_not_stop_the_worker() -> None:
    """The second answer is a 500; all of them run, and so does the next good job."""
    story = tell()
    story.post(picture())
    prompt_id = story.post(picture(), number=5)
    for colour in (1, 2, 3):
        with pytest.raises(ServerError):
            story.post(picture(colour=colour), number=5, prompt_id=prompt_id)
    assert story.instance.queue.remaining == 5
    assert [event.queue_remaining for event in story.of(Submitted)] == [1, 2, 3, 4, 5]
    story.run()
    assert len(story.of(Finished)) == 5
    good = story.post(picture())
    story.run()
    assert list(story.instance.history.entries)[-1] == good


# How a job is stopped.


def test_a_refused_prompt_is_the_same_job_as_its_retry_elsewhere() -> None:
    """Although the validation that refuses it has written 7.0 for the 7 that was sent."""
    prompt = sampling()
    prompt["3"]["inputs"]["cfg"] = 7
    without_model, with_model = tell(models={"checkpoints": ["other"]}), tell()
    with pytest.raises(PromptRejected):
        without_model.post(prompt)
    with_model.post(prompt)
    assert [event.job for event in without_model.of(PromptRefused)] == [event.job for event in with_model.of(Submitted)]


def test_a_change_of_validation_takes_effect_at_the_next_node() -> None:
    """With validation off, nobody calls a node's function, which would fail at null for a picture."""
    prompt = picture() | {"3": {"class_type": "ImageBatch", "inputs": {"image1": ["1", 0], "image2": None}}}
    prompt["2"]["inputs"]["images"] = ["3", 0]
    unchanged, changed = tell(), tell()
    for story in (unchanged, changed):
        story.post(prompt)
        story.wait(1)
    changed.instance.machine.catalogue = catalogue(changed.files, settings=Settings(validation="off"))
    for story in (unchanged, changed):
        story.run()
    assert [event.node for event in unchanged.of(Failed)] == ["3"]
    assert not changed.of(Failed)


def test_an_interrupt_takes_effect_before_the_next_node() -> None:
    """The node that is named is the one about to run; the one that ran is finished."""
    story = tell()
    prompt_id = story.post(picture())
    story.wait(1)
    story.interrupt()
    story.run()
    assert story.events[-4:] == [
        NodeFinished(at_ms=3, prompt_id=prompt_id, node="1", shown_as="1"),
        NodeStarted(at_ms=3, prompt_id=prompt_id, node="2", class_type="SaveImage"),
        Interrupted(at_ms=3, prompt_id=prompt_id, node="2", class_type="SaveImage", executed=("1",)),
        Finished(at_ms=3, prompt_id=prompt_id, status="error", queue_remaining=0, work=Work(nodes={"EmptyImage": 1})),
    ]
    status = story.entry(prompt_id)["status"]
    assert (status["status_str"], status["completed"]) == ("error", False)
    about = {"prompt_id": prompt_id, "node_id": "2", "node_type": "SaveImage", "executed": ["1"]}
    assert status["messages"][-1] == ["execution_interrupted", {**about, "timestamp": STARTED_UNIX_MS + 3}]


def test_an_interrupt_takes_effect_at_the_next_step() -> None:
    """No progress is published any more."""
    story = tell()
    prompt_id = story.post(sampling())
    while not story.of(Progressed):
        story.wait(1)
    last_step_ms = story.now_ms
    story.wait(5)
    story.interrupt()
    story.run()
    (interrupted,) = story.of(Interrupted)
    assert (interrupted.node, interrupted.at_ms) == ("3", last_step_ms + 15)
    assert interrupted.executed == ("4", "5", "7", "6")
    assert len(story.of(Progressed)) == 1
    assert story.entry(prompt_id)["outputs"] == {}
    assert story.names() == []


def test_an_interrupt_in_the_last_node_comes_too_late() -> None:
    """A node without steps runs to its end."""
    story = tell()
    prompt_id = story.post(picture())
    story.wait(10)
    story.interrupt()
    story.run()
    assert story.entry(prompt_id)["status"]["completed"]


def test_an_interrupt_stops_pictures_on_their_way_over_the_websocket() -> None:
    """Each of them is a step."""
    prompt = picture(batch_size=3) | {"2": {"class_type": "SaveImageWebsocket", "inputs": {"images": ["1", 0]}}}
    story = tell()
    story.post(prompt)
    story.wait(18)
    story.interrupt()
    story.run()
    assert [event.value for event in story.of(PictureSent)] == [0]
    assert len(story.of(Interrupted)) == 1


def test_an_interrupt_hits_only_the_job_that_it_names() -> None:
    """The event names the job that it hit."""
    story = tell()
    first, second = story.post(picture()), story.post(picture())
    story.wait(1)
    for prompt_id in (second, "unknown", first):
        story.interrupt(prompt_id)
    story.run()
    assert [event.hit for event in story.of(InterruptAsked)] == [None, None, first]
    assert [event.prompt_id for event in story.of(Interrupted)] == [first]
    assert story.entry(second)["status"]["completed"]


def test_an_interrupt_while_nothing_runs_does_not_hit_the_next_job() -> None:
    story = tell()
    story.interrupt()
    assert story.events == [InterruptAsked(at_ms=0, prompt_id=None, hit=None)]
    prompt_id = story.post(picture())
    story.run()
    assert story.entry(prompt_id)["status"]["completed"]


def test_an_interrupt_between_two_jobs_hits_nobody() -> None:
    story = tell()
    story.post(picture())
    story.wait(14)
    story.interrupt()       # the job is in its last node
    second = story.post(picture())
    story.run()
    assert story.of(Interrupted) == []
    assert story.entry(second)["status"]["completed"]


def test_clearing_the_queue_leaves_the_running_job() -> None:
    story = tell()
    first, *others = (story.post(picture()) for _ in range(3))
    story.wait(1)
    story.instance.clear_queue(story.now_ms)
    cleared = QueueCleared(at_ms=1, prompt_ids=tuple(others), queue_remaining=1)
    assert story.events[-1] == cleared
    story.run()
    assert list(story.instance.history.entries) == [first]
    story.instance.clear_queue(story.now_ms)
    assert story.events[-1] == QueueCleared(at_ms=16, prompt_ids=(), queue_remaining=0)


def test_a_waiting_job_that_is_deleted_leaves_no_trace() -> None:
    """The event says if it was the last waiting job, because ComfyUI sends its message twice then."""
    story = tell()
    first, second, third = (story.post(picture()) for _ in range(3))
    story.wait(1)
    for prompt_id in (first, "unknown", second, third):     # what runs is not deleted
        story.instance.delete_from_queue(prompt_id, story.now_ms)
    assert story.of(QueueDeleted) == [
        QueueDeleted(at_ms=1, prompt_id=second, queue_remaining=2, last=False),
        QueueDeleted(at_ms=1, prompt_id=third, queue_remaining=1, last=True),
    ]
    story.run()
    assert list(story.instance.history.entries) == [first]


def test_a_reset_forgets_all_but_numbers_and_ids() -> None:
    """What ran is over without a word; the next job begins at once."""
    story = tell()
    story.post(picture())
    story.run()
    story.post(sampling())
    waiting = story.post(picture())
    story.wait(30)
    story.instance.reset(files=False, now_ms=story.now_ms)
    assert story.events[-1] == Reset(at_ms=46, files=False)
    assert (story.instance.queue.remaining, story.instance.history.entries) == (0, {})
    assert story.instance.due_ms is None
    told = len(story.events)
    story.wait(1000)
    assert len(story.events) == told
    prompt_id = story.post(picture())
    assert prompt_id != waiting
    story.run()
    assert story.instance.history.entries[prompt_id].content()["prompt"][0] == 3
    assert story.names()[-1] == "output/barn_00002_.png"


# What goes wrong in a node.


def test_an_error_ends_the_job_and_not_the_worker() -> None:
    """ComfyUI's whole ``execution_error``, in history as in the event; the next job runs."""
    story = tell(pictures=["bad.png"])
    story.files.pictures[Place("input", "", "bad.png")] = (8, 8)
    prompt = picture("../out") | {"3": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}}
    failing = story.post(prompt, extra_data={"extra_pnginfo": {"workflow": {}}})
    good = story.post(picture())
    story.run()
    (failed,) = story.of(Failed)
    text = (
        "**** ERROR: Saving image outside the output folder is not allowed.\n"
        " full_output_folder: /srv/comfyui\n"
        "         output_dir: /srv/comfyui/output\n"
    )
    error = failed.error
    assert list(error) == [
        *("node_id", "node_type", "executed", "exception_message", "exception_type"),
        *("traceback", "current_inputs", "current_outputs"),
    ]
    assert (error["node_id"], error["node_type"], error["executed"]) == ("2", "SaveImage", ["1"])
    assert (error["exception_type"], error["exception_message"]) == ("Exception", text)
    inputs = error["current_inputs"]
    assert inputs.keys() == {"images", "filename_prefix", "prompt", "extra_pnginfo"}
    assert inputs["filename_prefix"] == ["../out"]
    assert inputs["extra_pnginfo"] == ["{'workflow': {}}"]
    assert all(isinstance(values, list) and len(values) == 1 for values in inputs.values())
    entry = story.entry(failing)
    stamped = {"prompt_id": failing, **error, "timestamp": STARTED_UNIX_MS + failed.at_ms}
    assert entry["status"]["messages"][-1] == ["execution_error", stamped]
    assert (entry["status"]["status_str"], entry["status"]["completed"]) == ("error", False)
    assert story.entry(good)["status"]["completed"]


def test_outputs_made_before_an_error_are_kept() -> None:
    """In history, and on the disk."""
    prompt = picture("kept") | {
        "3": {"class_type": "SaveImage", "inputs": {"images": ["4", 0], "filename_prefix": "../out"}},
        "4": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
    }
    story = tell()
    prompt_id = story.post(prompt)
    story.run()
    assert list(story.entry(prompt_id)["outputs"]) == ["2"]
    assert list(story.entry(prompt_id)["meta"]) == ["2"]
    assert story.names() == ["output/kept_00001_.png"]


def test_a_file_that_is_gone_when_the_job_runs_is_an_error_of_its_node() -> None:
    story = tell(pictures=["cat.png"])
    prompt = picture() | {"1": {"class_type": "LoadImage", "inputs": {"image": "cat.png"}}}
    story.post(prompt)
    story.files.pictures.clear()
    story.run()
    assert story.of(Failed)[0].error["node_id"] == "1"


@pytest.mark.parametrize(
    ("raised", "kind", "message"),
    [
        (OSError(28, "No space left on device", "/home/me/x"), "OSError", "[Errno 28] No space left on device"),
        (PermissionError(13, "Permission denied", "/home/me/x"), "PermissionError", "[Errno 13] Permission denied"),
        (NotADirectoryError("/home/me/x"), "NotADirectoryError", "NotADirectoryError"),
        (ValueError("embedded null byte"), "ValueError", "embedded null byte"),
    ],
)
def test_a_disk_that_refuses_is_an_error_of_the_node_that_saves(raised: Exception, kind: str, message: str) -> None:
    """Like any exception in a node; and no path of this machine is shown."""

    def refuse(place: Place, content: Content) -> None:
        raise raised

    story = tell()
    story.files.put = refuse  # type: ignore[method-assign]
    story.post(picture())
    second = story.post(picture())
    story.run()
    error = story.of(Failed)[0].error
    assert error["exception_type"] == kind
    assert error["exception_message"].startswith(message)
    assert "/home/me" not in str(error)
    assert second in story.instance.history.entries


# What a node shows.


def test_static_writes_nothing_and_names_the_same_picture_for_every_output() -> None:
    """And takes as long: the modes differ in files only."""
    prompt = sampling(batch_size=3)
    prompt["10"] = {"class_type": "PreviewImage", "inputs": {"images": ["8", 0]}}
    static, dynamic = tell(STATIC), tell()
    ids = [story.post(prompt) for story in (static, dynamic)]
    assert static.run() == dynamic.run()
    assert static.names() == []
    shown = {"images": [{"filename": "../input/cat.jpg", "subfolder": "", "type": "output"}]}
    assert static.entry(ids[0])["outputs"] == {"9": shown, "10": shown}
    assert len(dynamic.names()) == 6
    kinds = [kind for kind in dynamic.kinds() if kind != "written"]
    assert static.kinds() == kinds


def test_pictures_for_looking_at_are_temporary() -> None:
    """Their five letters belong to the node while jobs in a row have it, as long as there is a cache."""
    prompt = picture() | {"2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}}
    names = {}
    for policy in ("none", "ram"):
        story = tell(Settings(mode="dynamic", cache=policy))
        for colour in (0, 1):
            story.post(picture(colour=colour) | {"2": prompt["2"]})
            story.run()
        names[policy] = [place.name for place in story.files.written]
        assert {place.folder for place in story.files.written} == {"temp"}
    letters = {policy: [name[:18] for name in listed] for policy, listed in names.items()}
    assert letters["none"][0] != letters["none"][1]
    assert letters["ram"][0] == letters["ram"][1]
    assert [name[18:] for name in names["ram"]] == ["_00001_.png", "_00002_.png"]


def test_an_animation_is_one_file_and_takes_the_time_of_one() -> None:
    """While a batch is as many files, and as many times."""
    prompt = picture(batch_size=5)
    movie = {"images": ["1", 0], "filename_prefix": "walk", "fps": 6.0, "lossless": True, "quality": 80}
    prompt["2"] = {"class_type": "SaveAnimatedWEBP", "inputs": {**movie, "method": "default"}}
    for mode, names in (("dynamic", ["output/walk_00001_.webp"]), ("static", [])):
        story = tell(Settings(mode=mode))  # type: ignore[arg-type]
        prompt_id = story.post(prompt)
        assert story.run() == 16
        assert story.names() == names
        shown = story.entry(prompt_id)["outputs"]["2"]
        assert (len(shown["images"]), list(shown["animated"])) == (1, [True])
    story = tell()
    story.post(picture(batch_size=5))
    assert story.run() == 56
    assert {content.picture.count for content in story.files.written.values()} == {1}


def test_one_node_can_stand_for_all_outputs() -> None:
    """``output_node``, for suites written against hand-made mocks."""
    prompt = sampling() | {"10": {"class_type": "PreviewImage", "inputs": {"images": ["8", 0]}}}
    story = tell(Settings(mode="dynamic", output_node="42"))
    prompt_id = story.post(prompt)
    story.run()
    entry = story.entry(prompt_id)
    assert list(entry["outputs"]) == list(entry["meta"]) == ["42"]
    assert [image["type"] for image in entry["outputs"]["42"]["images"]] == ["output", "temp"]
    shown = {event.node: event.shown_as for event in story.of(NodeFinished) if event.output is not None}
    assert shown == {"9": "42", "10": "42"}


@pytest.mark.parametrize(
    ("by_job", "by_server", "sent"),
    [
        (None, "none", False),
        ("auto", "none", True),
        ("taesd", "none", True),
        ("latent2rgb", "none", True),
        ("default", "none", False),
        ("default", "auto", True),
        (None, "taesd", True),
        ("none", "auto", False),
        ("nonsense", "auto", False),
        (["auto"], "none", False),
        ({}, "auto", True),
    ],
)
def test_pictures_while_sampling_are_sent_as_the_job_or_the_server_asks(
    by_job: Any, by_server: Any, sent: bool
) -> None:
    story = tell(Settings(preview_method=by_server))
    story.post(sampling(steps=2), extra_data={} if by_job is None else {"preview_method": by_job})
    story.run()
    assert len(story.of(PictureSent)) == (2 if sent else 0)
    assert len(story.of(Progressed)) == (0 if sent else 2)


@pytest.mark.parametrize(
    ("width", "height", "shown"),
    [(256, 128, (256, 128)), (512, 512, (512, 512)), (1024, 2048, (256, 512)), (2048, 16, (512, 4))],
)
def test_a_picture_while_sampling_is_at_most_512_pixels_long(
    width: int, height: int, shown: tuple[int, int]
) -> None:
    story = tell(Settings(preview_method="auto"))
    story.post(sampling(steps=1, width=width, height=height))
    story.run()
    assert story.of(PictureSent)[0].preview == Preview(*shown, "image/jpeg")


def test_a_change_of_speed_is_felt_at_the_next_step() -> None:
    """Nothing is laid ahead."""
    story = tell()
    story.post(sampling(steps=4))
    while len(story.of(Progressed)) < 2:
        story.wait(1)
    slow = Timing(step=Distribution.fixed(100))
    story.instance.machine.settings = msgspec.structs.replace(story.instance.machine.settings, timing=slow)
    story.run()
    at = [event.at_ms for event in story.of(Progressed)]
    assert [two - one for one, two in pairwise(at)] == [15, 15, 100]


def test_a_node_type_can_take_a_time_of_its_own() -> None:
    timing = Timing(
        node=Distribution.fixed(2), save=Distribution.fixed(0), nodes={"EmptyImage": Distribution.fixed(300)}
    )
    story = tell(Settings(mode="dynamic", timing=timing))
    story.post(picture())
    assert story.run() == 302


def test_without_any_time_everything_happens_at_once() -> None:
    """Also a hundred jobs."""
    timing = Timing(node=Distribution.fixed(0), save=Distribution.fixed(0), step=Distribution.fixed(0))
    story = tell(Settings(mode="dynamic", timing=timing))
    for _ in range(100):
        story.post(sampling())
    story.wait(0)
    assert len(story.instance.history.entries) == 100
    assert story.now_ms == 0


def test_what_a_job_is_called_is_in_the_log_and_in_its_pictures() -> None:
    story = tell()
    prompt_id = story.post(picture(batch_size=2), PromptSource(job="order-7"))
    story.run()
    assert story.of(Submitted)[0].job == "order-7"
    stamps = [msgspec.json.decode(content.stamp) for content in story.files.written.values()]
    origin = {"instance": "gpu", "epoch": 1, "prompt_id": prompt_id, "job": "order-7", "node": "2"}
    assert stamps == [{**origin, "index": 0}, {**origin, "index": 1}]


def test_pictures_carry_the_prompt_and_each_key_of_the_page() -> None:
    """As ComfyUI writes them, in JSON."""
    story = tell()
    story.post(picture(), extra_data={"extra_pnginfo": {"workflow": {"id": 1}, "note": "ä"}})
    story.run()
    (written,) = story.files.written.values()
    texts = {key: msgspec.json.decode(value) for key, value in written.text.items()}
    assert texts == {"prompt": picture(), "workflow": {"id": 1}, "note": "ä"}


def test_two_thousand_nodes_in_a_row_run() -> None:
    """Where nothing is validated, no limit of Python's ends a job either."""
    story = tell(Settings(mode="static", cache="ram", validation="off"))
    prompt_id = story.post(chain(2000))
    story.run()
    assert story.entry(prompt_id)["status"]["completed"]
    assert len(story.of(NodeStarted)) == 2000


@pytest.mark.parametrize(
    ("switch", "reported", "width"),
    [(False, "14245", 64), (True, "142345", 128)],
)
def test_a_switch_runs_only_the_branch_that_it_takes(switch: bool, reported: str, width: int) -> None:
    """It is reported once when it finds out which one, and again when that is done."""
    story = tell()
    branches = {"on_false": ["2", 0], "on_true": ["3", 0]}
    prompt = {
        "1": {"class_type": "PrimitiveBoolean", "inputs": {"value": switch}},
        "2": picture()["1"],
        "3": {"class_type": "ImageScaleBy", "inputs": {"image": ["2", 0], "upscale_method": "area", "scale_by": 2.0}},
        "4": {"class_type": "ComfySwitchNode", "inputs": {"switch": ["1", 0], **branches}},
        "5": {"class_type": "SaveImage", "inputs": {"images": ["4", 0], "filename_prefix": "barn"}},
    }
    story.post(prompt)
    story.run()
    assert "".join(event.node for event in story.of(NodeStarted)) == reported
    (place,) = story.files.written
    size = story.files.size(place)
    assert size is not None
    assert size[0] == width


def test_an_unknown_node_passes_its_picture_on() -> None:
    """In lenient mode: an unknown node that feeds no other saves its input."""
    prompt = {
        "1": picture(width=80, height=40, batch_size=2)["1"],
        "2": {"class_type": "MyFilter", "inputs": {"amount": 3, "image": ["1", 0]}},
        "3": {"class_type": "MySaver", "inputs": {"pictures": ["2", 0], "filename_prefix": "mine"}},
    }
    story = tell(Settings(mode="dynamic", validation="lenient"))
    story.post(prompt)
    story.run()
    assert story.names() == ["output/mine_00001_.png", "output/mine_00002_.png"]
    assert {(content.picture.width, content.picture.height) for content in story.files.written.values()} == {(80, 40)}


@pytest.mark.parametrize("inputs", [{}, {"format": "gif"}, {"format": "gif", "format.bit_depth": "8-bit"}])
def test_a_node_without_a_valid_choice_of_a_dynamic_combo_fails_when_it_runs(inputs: dict[str, Any]) -> None:
    """Its function is then called without it; lenient lets it pass."""
    prompt = picture()
    prompt["2"]["class_type"] = "SaveImageAdvanced"
    prompt["2"]["inputs"] |= inputs
    story = tell()
    prompt_id = story.post(prompt)
    story.run()
    _, error = story.entry(prompt_id)["status"]["messages"][-1]
    assert error["exception_type"] == "TypeError"
    assert error["exception_message"] == (
        "SaveImageAdvanced.execute() missing 1 required positional argument: 'format'\n"
    )
    lenient = tell(Settings(mode="dynamic", validation="lenient"))
    lenient.post(prompt)
    lenient.run()
    assert lenient.names() == ["output/barn_00001.png"]


def test_lenient_shows_the_input_picture_for_one_that_is_missing() -> None:
    story = tell(Settings(mode="dynamic", validation="lenient"), pictures=["there.png"])
    for name in ("gone.png", "../gone.png", "there.png"):
        story.post({
            "1": {"class_type": "LoadImage", "inputs": {"image": name}},
            "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
        })
    story.run()
    size = story.instance.machine.size
    written = [(content.picture.width, content.picture.height) for content in story.files.written.values()]
    assert written == [size, size, (32, 16)]


def test_a_job_without_checks_runs_whatever_it_is() -> None:
    """``validation = "off"``: nodes without type or inputs, links to nothing, circles."""
    nodes: dict[str, Any] = {
        "1": {},
        "2": {"class_type": "SaveImage"},
        "3": {"class_type": "KSampler", "inputs": {"latent_image": ["99", 4], "steps": "many"}},
        "4": {"class_type": None, "inputs": {"x": ["1", 7]}},
        "5": {"class_type": "LoadImage", "inputs": {"image": 7}},
        "6": {"class_type": "EmptyImage", "inputs": {"width": "wide", "height": None, "batch_size": [], "color": {}}},
        "7": {"class_type": "A", "inputs": {"x": ["8", 0]}},
        "8": {"class_type": "B", "inputs": {"x": ["7", 0]}},
    }
    for cache in ("none", "ram"):
        story = tell(Settings(mode="dynamic", validation="off", cache=cache))
        for prompt in ({key: node} for key, node in nodes.items() if key not in "78"):
            story.post(prompt)
        story.post(nodes | {"9": {"class_type": "SaveImage", "inputs": {"images": ["8", 0]}}})
        story.run()
        assert len(story.of(Finished)) == 7
