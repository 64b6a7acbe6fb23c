"""The work of a job, which is the same on every machine."""

from typing import Any

import pytest

from comfyfarm.events import Finished, NodeStarted, Work
from comfyfarm.sim.distributions import Distribution
from comfyfarm.sim.settings import Settings, Timing
from comfyfarm.units import Size
from comfyfarm.workflows import text_to_image
from tests.support.instance_story import Prompt, Story, picture, tell

GB = 1024**3
SIZES = {"checkpoints": ["sdxl", "flux"], "loras": ["barn"], "vae": ["own"]}


def works(story: Story) -> list[Work]:
    """The work of the jobs, in the order of their ends."""
    story.run()
    return [event.work for event in story.of(Finished)]


def sampling(checkpoint: str = "sdxl", **more: Any) -> Prompt:
    """The standard workflow with one of the models above."""
    prompt = text_to_image(**more)
    prompt["4"]["inputs"]["ckpt_name"] = checkpoint
    return prompt


def with_lora(checkpoint: str = "sdxl") -> Prompt:
    """The same, with a lora in between."""
    prompt = sampling(checkpoint)
    inputs = {"lora_name": "barn", "strength_model": 1.0, "strength_clip": 1.0, "model": ["4", 0], "clip": ["4", 1]}
    prompt["10"] = {"class_type": "LoraLoader", "inputs": inputs}
    prompt["3"]["inputs"]["model"] = ["10", 0]
    return prompt


def test_a_run_tells_its_nodes_steps_saves_and_models() -> None:
    """A step on two pictures of 1024 x 512 weighs as much as four on one of 512 x 512."""
    story = tell(models=SIZES)
    story.post(sampling(width=1024, height=512, batch_size=2, steps=7))
    kinds = {"CheckpointLoaderSimple": 1, "CLIPTextEncode": 2, "EmptyLatentImage": 1, "KSampler": 1, "VAEDecode": 1}
    (work,) = works(story)
    size_bytes = story.instance.machine.catalogue.size_bytes("checkpoints", "sdxl")
    models = (("checkpoints", "sdxl", size_bytes),)
    assert work == Work(nodes={**kinds, "SaveImage": 1}, steps=((4.0, 7),), saves=2, models=models)


def scaled(*sizes: tuple[int, int]) -> Prompt:
    """A picture that is scaled to each of these sizes, one after the other."""
    prompt = picture(width=64, height=64, batch_size=2)
    for index, (width, height) in enumerate(sizes):
        inputs = {"image": ["1" if not index else f"s{index - 1}", 0], "width": width, "height": height}
        more = {"upscale_method": "area", "crop": "disabled"}
        prompt[f"s{index}"] = {"class_type": "ImageScale", "inputs": inputs | more}
    prompt["2"]["inputs"]["images"] = [f"s{len(sizes) - 1}", 0]
    return prompt


def test_a_node_that_makes_pictures_of_pictures_takes_time_for_its_pixels() -> None:
    """Those that make new ones, pass some on, save or only look at them do not."""
    story = tell()
    story.post(scaled((2000, 1000), (1000, 500), (1000, 500)))
    (work,) = works(story)
    assert work.pixels == (("ImageScale", 4.0, 1), ("ImageScale", 1.0, 2))
    first, last = story.of(NodeStarted)[1], story.of(NodeStarted)[-1]
    assert (first.class_type, last.at_ms - first.at_ms) == ("ImageScale", 3 * 3 + 6 * 40)


def test_the_pixels_of_a_type_with_a_time_of_its_own_take_none() -> None:
    story = tell(Settings(mode="dynamic", timing=Timing(nodes={"ImageScale": Distribution.fixed(300)})))
    story.post(scaled((2000, 1000)))
    (work,) = works(story)
    assert work.pixels == (("ImageScale", 4.0, 1),)
    first, last = story.of(NodeStarted)[1:]
    assert last.at_ms - first.at_ms == 300


def test_a_switch_passes_a_picture_on_in_no_time() -> None:
    story = tell()
    prompt = picture(width=2000, height=1000)
    inputs = {"switch": True, "on_true": ["1", 0], "on_false": ["1", 0]}
    prompt["3"] = {"class_type": "ComfySwitchNode", "inputs": inputs}
    prompt["2"]["inputs"]["images"] = ["3", 0]
    story.post(prompt)
    assert works(story)[0].pixels == ()


def test_it_is_the_same_on_a_slow_machine_and_where_the_model_is_there_already() -> None:
    """Machines are compared by the same work."""
    slow = Timing(
        step=Distribution.fixed(900),
        node=Distribution.fixed(70),
        load_per_gb=Distribution.fixed(500),
        jitter=0.5,
        under_load=2.0,
    )
    stories = [tell(models=SIZES), tell(Settings(mode="static", timing=slow, warm=("sdxl",)), models=SIZES)]
    for story in stories:
        story.post(sampling())
        story.post(sampling(seed=2))
    assert works(stories[0]) == works(stories[1])
    assert stories[0].now_ms < stories[1].now_ms


def test_models_that_must_be_there_together_are_told_so() -> None:
    """The sampler needs checkpoint and lora at once; what follows it needs the checkpoint again."""
    story = tell(models=SIZES)
    story.post(with_lora())
    (work,) = works(story)
    assert [name for _, name, _ in work.models] == ["sdxl", "barn"]
    assert (0, 1) in [tuple(sorted(need)) for need in work.needs]
    assert all(len(need) <= 2 for need in work.needs)


def test_a_job_that_is_stopped_tells_how_far_it_got() -> None:
    """The machine was busy with that much."""
    story = tell()
    story.post(picture())
    story.wait(1)
    story.interrupt()
    assert works(story) == [Work(nodes={"EmptyImage": 1})]


def test_a_job_that_fails_tells_how_far_it_got() -> None:
    """The loader never ran: its model did not fit."""
    story = tell(Settings(vram=Size(GB)), models={"checkpoints": ["huge"]})
    story.instance.machine.catalogue.sizes = {("checkpoints", "huge"): 2 * GB}
    story.post(sampling("huge"))
    (work,) = works(story)
    assert work.models == (("checkpoints", "huge", 2 * GB),)
    assert "CheckpointLoaderSimple" not in work.nodes
    assert not work.saves


@pytest.mark.parametrize("cache", ["none", "classic"])
def test_only_what_really_ran_counts(cache: str) -> None:
    """A result that was kept costs nothing."""
    story = tell(Settings(mode="dynamic", cache=cache))
    story.post(picture())
    story.post(picture())
    first, second = works(story)
    assert first == Work(nodes={"EmptyImage": 1, "SaveImage": 1}, saves=1)
    assert second == (first if cache == "none" else Work())
