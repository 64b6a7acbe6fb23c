"""The quick look at a prompt says what the whole validation says, of any prompt."""

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comfyfarm.sim.catalogue.catalogue import Catalogue
from comfyfarm.sim.errors import PromptRejected
from comfyfarm.sim.files import MemoryFiles, Place
from comfyfarm.sim.prompt.plain_prompts import plain_outputs
from comfyfarm.sim.prompt.validation import validate
from comfyfarm.sim.settings import Settings, Validation
from comfyfarm.workflows import text_to_image
from tests.support.instance_story import catalogue

Prompt = dict[str, Any]
FILES = MemoryFiles({Place("input", "", "cat.png"): (32, 16)})
# Nobody uses it, but its inputs depend on their values, which the quick look leaves to the validation.
PADDING = {"pad": {"class_type": "BatchImagesNode", "inputs": {}}}
VALUES: tuple[Any, ...] = (
    None, True, 0, 1, 8, -1, 7.5, 1e9, float("nan"), 1 << 60, "", "euler", "cat.png", "cat.png [output]", "a\0b", "5",
    {}, {"__value__": 5}, [], ["4"], ["4", 0], ["4", 1], ["4", -1], ["4", 7], ["3", 0], ["8", 0], ["no", 0], [4, 0],
)  # fmt: skip
TYPES = ("KSampler", "LoadImage", "SaveImage", "PreviewImage", "VAEDecode", "ImageBatch", "No", None)


def standard() -> Prompt:
    load = {"class_type": "LoadImage", "inputs": {"image": "cat.png"}, "_meta": {"title": "Load"}}
    show = {"class_type": "PreviewImage", "inputs": {"images": ["10", 0]}}
    return text_to_image() | {"10": load, "11": show}


@st.composite
def changed_prompts(draw: st.DrawFn) -> Prompt:
    """The prompt above with up to three changes."""
    prompt = standard()
    for _ in range(draw(st.integers(0, 3))):
        node = prompt[draw(st.sampled_from(sorted(prompt)))]
        match draw(st.sampled_from(["value", "value", "missing", "type", "meta"])):
            case "value" if node["inputs"]:
                node["inputs"][draw(st.sampled_from(sorted(node["inputs"])))] = deepcopy(draw(st.sampled_from(VALUES)))
            case "missing" if node["inputs"]:
                del node["inputs"][draw(st.sampled_from(sorted(node["inputs"])))]
            case "type":
                node["class_type"] = draw(st.sampled_from(TYPES))
            case "meta":
                node["_meta"] = draw(st.sampled_from([None, {}, "title"]))
    return prompt


def verdict(prompt: Prompt, targets: list[str] | None, server: Catalogue) -> tuple[str, str]:
    """The answer of the validation, and the prompt as it has left it, without the padding."""
    try:
        said: Any = validate(prompt, targets, server)
    except PromptRejected as error:
        said = error.body
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        said = error
    return repr(said), repr({node: value for node, value in prompt.items() if node not in PADDING})


@given(changed_prompts(), st.sampled_from(["strict", "lenient"]), st.sampled_from([None, ["9"], ["11", "no"]]))
@settings(deadline=None)
def test_a_prompt_is_judged_the_same_with_and_without_it(
    prompt: Prompt, validation: Validation, targets: list[str] | None
) -> None:
    models = {"checkpoints": ["v1-5-pruned-emaonly-fp16.safetensors"]}
    server = catalogue(FILES, models=models, settings=Settings(validation=validation))
    padded = deepcopy(prompt) | deepcopy(PADDING)
    assert verdict(prompt, targets, server) == verdict(padded, targets, server)


def long_chain(count: int, *shown: int) -> Prompt:
    """A chain of this many nodes, and outputs behind some of them, in this order."""
    first = {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}}
    rest = {
        str(index): {"class_type": "ImageInvert", "inputs": {"image": [str(index - 1), 0]}} for index in range(1, count)
    }
    outputs = {f"out-{index}": {"class_type": "PreviewImage", "inputs": {"images": [str(index), 0]}} for index in shown}
    return {"0": first} | rest | outputs


@pytest.mark.parametrize(
    ("prompt", "is_plain"),
    [
        (long_chain(949, 948), True),
        (long_chain(950, 949), False),
        (long_chain(1500, 800, 1499), True),        # the second output's check ends where the first one has been
        (long_chain(1500, 1499, 800), False),
    ],
)
def test_a_chain_is_as_long_as_the_validation_finds_it(prompt: Prompt, is_plain: bool) -> None:
    server = catalogue(FILES)
    assert bool(plain_outputs(prompt, None, server)) == is_plain
    assert verdict(prompt, None, server) == verdict(prompt | PADDING, None, server)


@pytest.mark.parametrize("sources", [("800", "1499"), ("1499", "800")])
def test_a_chain_is_followed_in_the_order_of_a_nodes_inputs(sources: tuple[str, str]) -> None:
    prompt, server = long_chain(1500, 0), catalogue(FILES)
    both = {"image1": [sources[0], 0], "image2": [sources[1], 0]}
    prompt |= {"both": {"class_type": "ImageBatch", "inputs": both}}
    prompt |= {"end": {"class_type": "PreviewImage", "inputs": {"images": ["both", 0]}}}
    assert bool(plain_outputs(prompt, None, server)) == (sources[0] == "800")
    assert verdict(prompt, None, server) == verdict(prompt | PADDING, None, server)


def test_the_standard_workflow_is_plain_and_its_integers_become_floats() -> None:
    prompt = standard()
    prompt["3"]["inputs"]["cfg"] = 7
    assert plain_outputs(prompt, None, catalogue(FILES)) == ("9", "11")
    assert repr(prompt["3"]["inputs"]["cfg"]) == "7.0"


@pytest.mark.parametrize(
    ("node", "name", "value"), [("8", "vae", ["4", 0]), ("10", "image", "dog.png"), ("3", "steps", 0)]
)
def test_a_prompt_that_is_not_plain_is_left_as_it_was(node: str, name: str, value: Any) -> None:
    prompt = standard()
    prompt["3"]["inputs"]["cfg"] = 7
    prompt[node]["inputs"][name] = value
    before = deepcopy(prompt)
    assert plain_outputs(prompt, None, catalogue(FILES)) == ()
    assert repr(prompt) == repr(before)
