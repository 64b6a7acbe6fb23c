"""The effects on a running job (late, failed, held, deaf, slow, forgotten) and on its process."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import Any

import pytest

from comfyfarm.events import (
    Event,
    Failed,
    FaultArmed,
    FaultFired,
    FileAppeared,
    FileCut,
    FileRemoved,
    Finished,
    Interrupted,
    ModelLoaded,
    ModelUnloaded,
    NodeStarted,
    Progressed,
    Submitted,
    Succeeded,
    Written,
)
from comfyfarm.faults.effects import EFFECTS, Effect
from comfyfarm.faults.phases import JOB
from comfyfarm.sim.settings import Settings
from comfyfarm.units import Size
from comfyfarm.workflows import text_to_image
from tests.support.instance_story import Story, picture, tell

END_MS = 16     # of picture(): two nodes of 3 ms, and 10 ms to save


def at_ms(story: Story, kind: type[Event]) -> list[int]:
    return [event.at_ms for event in story.of(kind)]


def outputs(story: Story, prompt_id: str) -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = story.entry(prompt_id)["outputs"]["2"]["images"]
    return shown


def exists(story: Story, name: str) -> bool:
    return name in [place.name for place in story.files.written]


# A fault that does nothing.


@pytest.mark.parametrize("phase", JOB)
def test_a_fault_of_chance_0_changes_nothing_but_its_own_arming(phase: str) -> None:
    """Every event of two jobs is the same, at the same moment."""
    def events(*, armed: bool) -> list[Event]:
        story = tell(Settings(mode="dynamic"), seed=4)
        if armed:
            story.arm("delay", phase, chance=0, duration="1h")
        story.post(text_to_image(seed=1))
        story.post(picture())
        story.run()
        return story.events

    assert [event for event in events(armed=True) if not isinstance(event, FaultArmed)] == events(armed=False)
    assert len(events(armed=True)) == len(events(armed=False)) + 1


def test_the_same_faults_fire_at_the_same_jobs_twice() -> None:
    """With the same seed; another seed selects other jobs."""
    def fired(seed: int) -> list[Event]:
        story = tell(seed=seed)
        story.arm("error", "node", chance=0.2)
        story.arm("delay", "step", chance=0.1, duration="7ms")
        for number in range(20):
            story.post(text_to_image(steps=4, seed=number))
        story.run()
        return [event for event in story.events if isinstance(event, FaultFired)]

    assert fired(1) == fired(1)
    assert fired(1) != fired(2)


# Delay.


@pytest.mark.parametrize(
    ("phase", "first"),
    [
        ("start", "Started"),
        ("node", "NodeFinished"),
        ("save", "Written"),
        ("success", "Succeeded"),
        ("history", "Finished"),
    ],
)
def test_a_delay_comes_before_what_its_phase_is_about(phase: str, first: str) -> None:
    """Events before the delay keep their time, the others come a second later."""
    plain, late = tell(), tell()
    late.arm("delay", phase, times=1, duration="1s")
    for story in (plain, late):
        story.post(picture())
        story.run()
    kept = [event for event in late.events if "fault" not in type(event).__name__.lower()]
    lates = [now.at_ms - then.at_ms for then, now in zip(plain.events, kept, strict=True)]
    names = [type(event).__name__ for event in kept]
    begins = names.index(first)
    assert lates == [0] * begins + [1000] * (len(kept) - begins)


def test_success_comes_before_history_by_the_delay() -> None:
    story = tell()
    story.arm("delay", "history", duration="2s")
    prompt_id = story.post(picture())
    story.wait(END_MS + 1999)
    assert at_ms(story, Succeeded) == [END_MS]
    assert (prompt_id in story.instance.history.entries, story.of(Finished)) == (False, [])
    story.wait(1)
    assert prompt_id in story.instance.history.entries
    assert at_ms(story, Finished) == [END_MS + 2000]


def test_a_delay_fires_at_one_step_of_one_node_of_one_job() -> None:
    story = tell()
    story.arm("delay", {"phase": "step", "node_type": "KSampler", "step": 2, "job": 2}, duration="1s")
    for seed in (1, 2):
        story.post(text_to_image(steps=3, seed=seed))
    story.run()
    moments = at_ms(story, Progressed)
    gaps = [then - before for before, then in pairwise(moments)]
    assert [gap >= 1000 for gap in gaps] == [False, False, False, True, False]


# Hold and hang.


@pytest.mark.parametrize("do", ["hold", "hang"])
@pytest.mark.parametrize("phase", JOB)
def test_a_job_stands_still_at_any_phase_until_the_fault_is_removed(do: str, phase: str) -> None:
    """And then it goes on as if it had never stood."""
    plain, story = tell(), tell()
    plain.post(text_to_image(steps=2))
    plain.run()
    story.arm(do, phase, id="it", times=1)
    prompt_id = story.post(text_to_image(steps=2))
    story.wait(3_600_000)
    assert story.instance.due_ms is None
    assert prompt_id not in story.instance.history.entries
    story.remove("it")
    story.run()
    assert story.entry(prompt_id)["status"]["status_str"] == "success"
    assert [kind for kind in story.kinds() if not kind.startswith("fault")] == plain.kinds()


def test_a_held_job_is_let_through_and_the_next_one_is_held() -> None:
    """The gate stays."""
    story = tell()
    gate = story.arm("hold", "start")
    first, second = story.post(picture()), story.post(picture("other"))
    story.wait(1000)
    assert [firing.facts.prompt_id for firing in gate.firings if firing.active] == [first]
    gate.firings[0].active = False
    story.wake()
    story.wait(1000)
    assert list(story.instance.history.entries) == [first]
    assert [firing.facts.prompt_id for firing in gate.firings if firing.active] == [second]


def test_waking_what_is_still_held_changes_nothing() -> None:
    story = tell()
    story.arm("hold", "node")
    story.post(picture())
    story.wait(100)
    before = len(story.events)
    story.wake()
    story.wait(100)
    assert (len(story.events), story.instance.due_ms) == (before, None)


def test_a_job_that_hangs_hears_of_an_interrupt_when_it_goes_on() -> None:
    """Not before: nobody looks."""
    story = tell()
    story.arm("hang", {"phase": "node", "node": "2"}, id="it")
    prompt_id = story.post(picture())
    story.wait(1000)
    story.interrupt(prompt_id)
    story.wait(1000)
    assert story.of(Interrupted) == []
    story.remove("it")
    assert [(event.node, event.at_ms) for event in story.of(Interrupted)] == [("2", 2000)]


@pytest.mark.parametrize("phase", ["success", "history"])
def test_an_interrupt_at_the_end_is_too_late(phase: str) -> None:
    """The next job does not hear of it either."""
    story = tell()
    story.arm("hold", phase, id="it", times=1)
    story.post(picture())
    story.post(picture("other"))
    story.wait(1000)
    story.interrupt()
    story.remove("it")
    story.run()
    assert [event.status for event in story.of(Finished)] == ["success", "success"]


def test_a_paused_instance_stays_paused_when_its_fault_goes_and_held_when_it_is_resumed() -> None:
    story = tell()
    story.arm("hold", "node", id="it", times=1)
    prompt_id = story.post(picture())
    story.wait(10)
    story.instance.pause(10)
    story.instance.resume(10)
    story.wait(10)
    assert prompt_id not in story.instance.history.entries
    story.instance.pause(20)
    story.remove("it")
    story.wait(100)
    assert prompt_id not in story.instance.history.entries
    story.instance.resume(120)
    assert story.run() == 120 + END_MS


def test_a_pause_in_a_delay_keeps_the_time_that_is_left() -> None:
    story = tell()
    story.arm("delay", "start", duration="1s")
    story.post(picture())
    story.wait(400)
    story.instance.pause(400)
    story.wait(10_000)
    story.instance.resume(10_400)
    assert story.run() == 10_400 + 600 + END_MS


@pytest.mark.parametrize("is_paused", [False, True])
def test_a_job_that_was_to_wait_an_hour_goes_on_when_all_is_healed(is_paused: bool) -> None:
    story = tell()
    story.arm("delay", "start", duration="1h", times=1)
    story.post(picture())
    story.wait(400)
    if is_paused:
        story.instance.pause(400)
    story.registry.heal(400)
    story.instance.wake(400)
    if is_paused:
        assert story.instance.due_ms is None
        story.instance.resume(400)
    assert story.run() == 400 + END_MS


def test_waking_a_delayed_job_for_another_reason_cuts_nothing_short() -> None:
    story = tell()
    delay = story.arm("delay", "start", duration="1s")
    story.post(picture())
    story.wait(400)
    story.instance.wake(400)
    assert [firing.active for firing in delay.firings] == [True]
    assert story.run() == 1000 + END_MS
    assert [firing for firing in delay.firings if firing.active] == []


def test_a_hang_behind_an_error_of_the_same_moment_holds_nobody() -> None:
    """The node has failed before its turn came."""
    story = tell()
    story.arm("error", "node", times=1)
    hang = story.arm("hang", "node", times=1)
    prompt_id = story.post(picture())
    story.run()
    assert story.entry(prompt_id)["status"]["status_str"] == "error"
    assert (hang.fired, hang.lasts) == ({"gpu": 1}, False)


def test_a_gate_behind_a_delay_holds_nobody_who_was_forgotten_before() -> None:
    story = tell()
    story.arm("delay", "start", duration="1h", times=1)
    gate = story.arm("hold", "start", times=1)
    story.post(picture())
    story.wait(10)
    assert gate.lasts
    story.instance.reset(files=False, now_ms=10)
    assert not gate.lasts


def test_a_reset_forgets_the_held_job_and_the_gate_holds_nobody() -> None:
    """The next job is taken at once."""
    story = tell()
    gate = story.arm("hold", "start", times=1)
    story.post(picture())
    story.wait(10)
    story.instance.reset(files=False, now_ms=10)
    assert [firing for firing in gate.firings if firing.active] == []
    prompt_id = story.post(picture("after"))
    story.run()
    assert story.entry(prompt_id)["status"]["completed"]


def test_memory_is_given_back_when_the_held_job_has_ended() -> None:
    """As in ComfyUI, which looks between two jobs."""
    story = tell()
    story.arm("hold", "success", id="it")
    story.post(text_to_image(steps=1))
    story.wait(1000)
    story.instance.free(unload_models=True, free_memory=False, now_ms=1000)
    story.wait(1000)
    assert story.of(ModelUnloaded) == []
    story.remove("it")
    assert [event.reason for event in story.of(ModelUnloaded)] == ["asked"]


def test_jobs_that_come_while_one_hangs_wait_their_turn() -> None:
    story = tell()
    story.arm("hang", "node", id="it", times=1)
    ids = [story.post(picture(name)) for name in "abc"]
    story.wait(1000)
    story.instance.delete_from_queue(ids[1], 1000)
    assert story.instance.queue.remaining == 2
    story.remove("it")
    story.run()
    assert list(story.instance.history.entries) == [ids[0], ids[2]]


# Failing.


def test_a_node_raises_whatever_is_written() -> None:
    story = tell()
    story.arm("error", {"phase": "node", "node": "2"}, exception_type="my.OwnError", message="cut short")
    prompt_id = story.post(picture())
    story.run()
    (failed,) = story.of(Failed)
    assert failed.node == "2"
    assert failed.error["exception_type"] == "my.OwnError"
    assert failed.error["exception_message"] == "cut short\n"
    assert failed.error["node_type"] == "SaveImage"
    assert failed.error["executed"] == ["1"]
    assert story.entry(prompt_id)["status"]["messages"][-1][0] == "execution_error"
    assert story.names() == []


def test_an_error_at_save_comes_after_the_work_and_before_the_file() -> None:
    story = tell()
    story.arm("error", "save", exception_type="OSError", message="[Errno 28] No space left on device")
    story.post(picture())
    story.run()
    assert (at_ms(story, Failed), story.names()) == ([END_MS], [])


def test_a_poisoned_instance_fails_every_job_until_it_is_started_anew() -> None:
    story = tell()
    story.arm("oom", "node", times=1, sticky=True)
    for _ in range(3):
        story.post(picture())
    story.run()
    assert [event.status for event in story.of(Finished)] == ["error"] * 3
    story.registry.restarted("gpu", story.now_ms)
    story.post(picture())
    story.run()
    assert story.of(Finished)[-1].status == "success"


def test_a_poisoned_prompt_fails_wherever_it_comes() -> None:
    """By the name of its logical job."""
    story = tell()
    story.arm("error", {"phase": "node", "job": "poison*"})
    for name in ("good", "poison 1", "good", "poison 2"):
        story.post(picture(name), extra_data={"comfyfarm_job": name})
    story.run()
    assert [event.status for event in story.of(Finished)] == ["success", "error", "success", "error"]


def test_out_of_memory_says_what_comfyui_says_and_loses_the_models() -> None:
    """Word for word as where a model is larger than the memory; the next job loads them anew."""
    small = tell(Settings(mode="dynamic", vram=Size(1)))
    small.post(text_to_image(steps=1))
    small.run()
    story = tell()
    story.arm("oom", {"phase": "step", "step": 1}, times=1)
    for seed in (1, 2):
        story.post(text_to_image(steps=1, seed=seed))
    story.run()
    (natural,), (failed,) = small.of(Failed), story.of(Failed)
    for key in ("exception_type", "exception_message", "traceback"):
        assert failed.error[key] == natural.error[key]
    assert failed.error["exception_type"] == "torch.OutOfMemoryError"
    assert [event.reason for event in story.of(ModelUnloaded)] == ["out of memory"]
    assert len(story.of(ModelLoaded)) == 2
    assert [event.status for event in story.of(Finished)] == ["error", "success"]


# Slow and deaf.


def test_a_slow_job_takes_so_many_times_as_long_and_the_next_one_does_not() -> None:
    story = tell()
    story.arm("slow", {"phase": "start", "job": 1}, factor=10)
    story.post(picture())
    story.post(picture("other"))
    story.run()
    assert at_ms(story, Finished) == [10 * END_MS, 11 * END_MS]


def test_a_job_is_slow_from_the_firing_on() -> None:
    """The first node takes its 3 ms; several firings do not multiply."""
    story = tell()
    story.arm("slow", "save", factor=5)
    story.arm("slow", {"phase": "node", "node": "2"}, factor=100)
    story.arm("slow", {"phase": "node", "node": "2"}, factor=2)
    story.post(picture())
    assert story.run() == 3 + 1300


def test_a_slow_job_is_fast_again_when_the_fault_is_gone() -> None:
    story = tell()
    story.arm("slow", "start", factor=100, id="it")
    story.post(picture())
    story.wait(300)
    story.remove("it")
    assert story.run() == 600 + 10      # the node that runs keeps its time


def test_a_deaf_job_runs_to_its_end() -> None:
    """The interrupt is answered with 200; the next job can be interrupted again."""
    story = tell()
    story.arm("deaf", "start", times=1)
    deaf, good = story.post(text_to_image(steps=5)), story.post(text_to_image(steps=5, seed=2))
    story.wait(40)
    story.interrupt(deaf)
    while len(story.of(Finished)) == 0:
        story.wait(1)
    story.wait(40)
    story.interrupt(good)
    story.run()
    assert [event.status for event in story.of(Finished)] == ["success", "error"]
    assert [event.prompt_id for event in story.of(Interrupted)] == [good]


def test_a_deaf_job_hears_when_the_fault_is_gone() -> None:
    story = tell()
    story.arm("deaf", "start", id="it")
    story.post(text_to_image(steps=100))
    story.wait(100)
    story.interrupt()
    story.wait(100)
    assert story.of(Interrupted) == []
    story.remove("it")
    story.run()
    assert len(story.of(Interrupted)) == 1


def test_a_job_that_ended_is_in_no_faults_hands() -> None:
    """Slow and deaf last as long as the job."""
    story = tell()
    armed = [story.arm("slow", "start", factor=2), story.arm("deaf", "start"), story.arm("hold", "node", times=1)]
    story.post(picture())
    story.wait(10)
    assert [fault.lasts for fault in armed] == [True, True, True]
    armed[2].firings[0].active = False
    story.wake()
    story.run()
    assert [fault.lasts for fault in armed] == [False, False, False]


# Files.


def test_a_missing_file_is_listed_and_not_there() -> None:
    """The next job gets the next name."""
    story = tell()
    story.arm("missing", "save", times=1)
    ids = [story.post(picture()), story.post(picture(colour=1))]
    story.run()
    assert [outputs(story, prompt_id)[0]["filename"] for prompt_id in ids] == ["barn_00001_.png", "barn_00002_.png"]
    assert story.names() == ["output/barn_00002_.png"]
    (gone,) = story.of(FileRemoved)
    assert (gone.name, gone.at_ms, gone.prompt_id, gone.node) == ("barn_00001_.png", END_MS, ids[0], "2")


def test_a_missing_file_may_live_a_while() -> None:
    story = tell()
    story.arm("missing", "save", lives="5s")
    story.post(picture())
    story.wait(END_MS + 4999)
    assert exists(story, "barn_00001_.png")
    story.wait(1)
    assert not exists(story, "barn_00001_.png")
    assert at_ms(story, FileRemoved) == [END_MS + 5000]


def test_history_comes_before_a_late_file() -> None:
    """Its name is taken meanwhile."""
    story = tell()
    story.arm("late", "save", times=1, duration="3s")
    first = story.post(picture())
    story.post(picture(colour=1))
    story.wait(END_MS + 2999)
    assert outputs(story, first)[0]["filename"] == "barn_00001_.png"
    assert story.names() == ["output/barn_00002_.png"]
    story.wait(1)
    assert exists(story, "barn_00001_.png")
    assert (at_ms(story, Written)[0], at_ms(story, FileRemoved), at_ms(story, FileAppeared)) == (
        END_MS,
        [END_MS],
        [END_MS + 3000],
    )


def test_what_should_come_later_does_not_come_after_a_reset() -> None:
    story = tell()
    story.arm("late", "save", duration="3s")
    story.post(picture())
    story.wait(END_MS)
    story.instance.reset(files=False, now_ms=story.now_ms)
    story.wait(10_000)
    assert (story.names(), story.of(FileAppeared)) == ([], [])


def test_a_cut_file_has_only_its_beginning() -> None:
    """A share, or so many bytes, but never more than there were."""
    story = tell()
    story.arm("cut_file", {"phase": "save", "job": 1}, share=0.25)
    story.arm("cut_file", {"phase": "save", "job": 2}, size="100B")
    story.arm("cut_file", {"phase": "save", "job": 3}, size="1GB")
    for colour in (1, 2, 3):
        story.post(picture(width=20, height=20, colour=colour))
    story.run()
    assert [event.size_bytes for event in story.of(FileCut)] == [100, 100, 400]


def test_a_misplaced_file_is_listed_in_another_subfolder() -> None:
    """The message `executed` says the same as history."""
    story = tell()
    story.arm("misplace", "save", subfolder="2026-01")
    prompt_id = story.post(picture("day/barn"))
    story.run()
    assert story.names() == ["output/day/barn_00001_.png"]
    assert outputs(story, prompt_id) == [{"filename": "barn_00001_.png", "subfolder": "2026-01", "type": "output"}]
    shown = [event.output for event in story.events if getattr(event, "node", "") == "2" and hasattr(event, "output")]
    assert shown == [{"images": outputs(story, prompt_id)}]


@pytest.mark.parametrize("naming", ["counter", "timestamp"])
def test_two_jobs_write_to_one_file(naming: Any) -> None:
    """Both list it, and it holds what the second one made; the third goes on counting."""
    story = tell(Settings(mode="dynamic", naming=naming))
    story.arm("same_name", {"phase": "save", "job": 2})
    ids = [story.post(picture(colour=colour)) for colour in (1, 2, 3)]
    story.run()
    first, second, third = (outputs(story, prompt_id)[0]["filename"] for prompt_id in ids)
    assert first == second != third
    made = {place.name: written.picture for place, written in story.files.written.items()}
    assert [next(made[name].each()).colour for name in (first, third)] == [2, 3]
    assert [event.name for event in story.of(Written)] == [first, first, third]


def test_only_the_first_of_a_batch_gets_the_old_name() -> None:
    """As of two processes of which one counts a moment too early."""
    story = tell()
    story.arm("same_name", {"phase": "save", "job": 2})
    story.post(picture())
    second = story.post(picture(batch_size=3))
    story.run()
    assert [file["filename"] for file in outputs(story, second)] == [f"barn_0000{n}_.png" for n in (1, 2, 3)]


def test_where_there_is_no_name_to_give_again_there_is_a_new_one() -> None:
    """Nothing was written before; or it has gone."""
    story = tell()
    story.arm("missing", {"phase": "save", "job": 1})
    story.arm("same_name", "save")
    for colour in (1, 2):
        story.post(picture(colour=colour))
    story.run()
    assert story.names() == ["output/barn_00002_.png"]


def test_a_static_instance_lists_a_name_that_no_file_has() -> None:
    """It writes nothing that could be late, cut or overwritten: all other effects do nothing there."""
    story = tell(Settings(mode="static"))
    story.arm("missing", {"phase": "save", "job": 1})
    story.arm("misplace", {"phase": "save", "job": 2}, subfolder="x")
    for do in ("cut_file", "same_name"):
        story.arm(do, {"phase": "save", "job": 3})
    story.arm("late", {"phase": "save", "job": 3}, duration="1s")
    ids = [story.post(picture(colour=colour)) for colour in (1, 2, 3)]
    story.run()
    assert [outputs(story, prompt_id) for prompt_id in ids] == [
        [{"filename": "cat_missing.jpg", "subfolder": "", "type": "output"}],
        [{"filename": "../input/cat.jpg", "subfolder": "x", "type": "output"}],
        [{"filename": "../input/cat.jpg", "subfolder": "", "type": "output"}],
    ]
    assert [event for event in story.events if isinstance(event, FileRemoved | FileCut | FileAppeared)] == []


# History.


def test_an_evicted_entry_is_never_seen() -> None:
    story = tell()
    story.arm("evict", "history", times=1)
    ids = [story.post(picture()), story.post(picture("other"))]
    story.run()
    assert list(story.instance.history.entries) == ids[1:]
    assert [event.prompt_id for event in story.of(Finished)] == ids


def test_an_evicted_entry_may_live_a_while() -> None:
    """Unless another of its id has come meanwhile: that one stays."""
    story = tell()
    story.arm("evict", {"phase": "history", "job": 1}, lives="5s")
    story.arm("evict", {"phase": "history", "job": 2}, lives="5s")
    first = story.post(picture())
    again = story.post(picture("other"), prompt_id="5a5a5a5a-0000-4000-8000-000000000000")
    story.wait(1000)
    story.post(picture("third"), prompt_id=again)
    story.wait(3999)
    assert list(story.instance.history.entries) == [first, again]
    story.wait(2 * END_MS)
    assert list(story.instance.history.entries) == [again]
    story.wait(60_000)
    assert list(story.instance.history.entries) == [again]


def test_a_job_succeeds_and_shows_nothing() -> None:
    """The file is there, clients heard of it, the job's status is success; only history's outputs are empty."""
    story = tell()
    story.arm("empty_outputs", "history", times=1)
    prompt_id = story.post(picture())
    story.run()
    entry = story.entry(prompt_id)
    assert (entry["outputs"], entry["meta"]) == ({}, {})
    assert (entry["status"]["status_str"], entry["status"]["completed"]) == ("success", True)
    assert story.names() == ["output/barn_00001_.png"]


# The process.


@pytest.mark.parametrize("phase", JOB)
def test_a_process_effect_fires_at_a_jobs_phase_and_the_job_goes_on_if_the_process_does(phase: str) -> None:
    story = tell()
    story.arm("crash", phase, times=1)
    prompt_id = story.post(text_to_image(steps=2))
    story.run()
    (firing,) = story.fire_faults
    assert (firing.facts.prompt_id, firing.fault.effect.do) == (prompt_id, "crash")
    assert [event.status for event in story.of(Finished)] == ["success"]


@pytest.mark.parametrize("phase", JOB)
def test_a_process_that_dies_at_a_jobs_phase_does_nothing_more(phase: str) -> None:
    """Not even at the same moment: neither the job nor the next one, nor a file that was to come."""
    story = tell()
    story.arm("late", "save", duration="1s")
    story.arm("crash", phase, times=1)
    story.instance.fire_process = lambda _: story.instance.forget()
    story.instance.pause(0)
    story.post(text_to_image(steps=2))
    story.post(picture())
    story.instance.resume(0)
    story.wait(100_000)
    fired = max(index for index, event in enumerate(story.events) if isinstance(event, FaultFired))
    assert [kind for kind in story.kinds()[fired:] if not kind.startswith("fault")] == []
    assert story.instance.due_ms is None


def test_the_ordinal_of_a_job_counts_over_all_epochs() -> None:
    """As the instance took them on; not as they run."""
    story = tell()
    story.instance.accepted = 7
    story.arm("error", {"phase": "node", "job": 9})
    back, front = story.post(picture()), story.post(picture("other"), front=True)
    story.run()
    assert [event.prompt_id for event in story.of(Failed)] == [front]
    assert [event.prompt_id for event in story.of(Submitted)] == [back, front]


def test_a_fault_can_select_a_node_by_its_model() -> None:
    story = tell()
    story.arm("delay", {"phase": "node", "model": "*.safetensors"}, duration="1s", times=1)
    story.post(text_to_image(steps=1))
    story.run()
    (fired,) = story.of(FaultFired)
    started = {event.node: event.class_type for event in story.of(NodeStarted)}
    assert started[fired.node] == "CheckpointLoaderSimple"


# All of it at once.


REQUIRED: dict[str, dict[str, Any]] = {
    "delay": {"duration": "40ms"},
    "late": {"duration": "40ms"},
    "slow": {"factor": 3},
}
RULES = {"times": 2, "skip": 1, "every": 2, "chance": 0.5, "ttl": "60ms", "sticky": True}
OWN = [
    (name, phase)
    for name, kind in sorted(EFFECTS.items())
    for phase in kind.phases
    if phase in JOB and kind.on_process is Effect.on_process
]


def random_faults(chance: Random) -> list[dict[str, Any]]:
    faults = []
    for do, phase in chance.sample(OWN, chance.randint(1, 6)):
        rule = {key: value for key, value in RULES.items() if chance.random() < 0.25}
        faults.append({"do": do, "at": phase, **REQUIRED.get(do, {}), **rule})
    return faults


def live_through(seed: int) -> tuple[Story, list[str]]:
    """Random faults, jobs and moments of waking; then all is healed, and two jobs more come."""
    chance = Random(seed)
    story = tell(Settings(mode="dynamic", naming=chance.choice(["counter", "prompt_id"])), seed=seed)
    for fault in random_faults(chance):
        story.arm(**fault)
    for number in range(4):
        story.post(text_to_image(steps=2, seed=number) if chance.random() < 0.5 else picture(colour=number))
        story.wait(chance.randint(0, 120))
        story.registry.expire(story.now_ms)
        chance.choice([story.wake, story.interrupt])()
    story.registry.heal(story.now_ms)
    story.wake()
    last = [story.post(picture("last", colour=colour)) for colour in (8, 9)]
    story.run()
    return story, last


@pytest.mark.parametrize("seed", range(200))
def test_after_all_faults_are_healed_new_jobs_end_well(seed: int) -> None:
    """Whatever fired before, every job has ended, nothing is held, and a second run is the same."""
    story, last = live_through(seed)
    assert [story.entry(prompt_id)["status"]["status_str"] for prompt_id in last] == ["success", "success"]
    assert [place for place in story.names() if "last" in place] == [f"output/last_0000{n}_.png" for n in (1, 2)] or (
        story.instance.machine.settings.naming == "prompt_id"
    )
    assert len(story.of(Finished)) == 6
    assert not any(armed.lasts for armed in story.registry.armed.values())
    assert live_through(seed)[0].events == story.events
