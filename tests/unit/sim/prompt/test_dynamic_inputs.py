"""Inputs that depend on other values of the prompt: ``format.bit_depth``, ``images.image0`` and so on."""

from collections.abc import Collection, Mapping
from copy import deepcopy
from typing import Any

import pytest

from comfyfarm.config.recorded import recorded
from comfyfarm.sim.catalogue.catalogue import Catalogue
from comfyfarm.sim.catalogue.recorded import RecordedServer
from comfyfarm.sim.errors import PromptRejected
from comfyfarm.sim.files import MemoryFiles
from comfyfarm.sim.prompt.validation import validate
from comfyfarm.sim.settings import Settings
from tests.support.instance_story import Prompt, catalogue

DEPTHS = ["COMBO", {"advanced": True, "default": "8-bit", "multiselect": False, "options": ["8-bit", "16-bit"]}]
SIDE = ["INT", {"default": 512, "min": 0, "max": 16384, "step": 1}]
BOTH = {"a": ["picture", 0], "b": ["picture", 0]}
PNG = {"format": "png", "format.bit_depth": "16-bit", "format.input_color_space": "sRGB"}
SIZE = {"resize_type": "scale dimensions", "resize_type.width": 8, "resize_type.height": 8}
RESIZE = {"input": ["picture", 0], "scale_method": "area", **SIZE, "resize_type.crop": "center"}
GOOD: dict[str, dict[str, Any]] = {
    "BatchImagesNode": {"images.image0": ["picture", 0]},
    "ComfyMathExpression": {"expression": "a + 1", "values.a": 1},
    "ComfySwitchNode": {"switch": True, "on_true": ["picture", 0], "on_false": ["mask", 0]},
    "MergeSplat": {"splats.splat0": None, "splats.splat1": None},
    "ResizeImageMaskNode": RESIZE,
    "SaveImageAdvanced": {"images": ["picture", 0], "filename_prefix": "x", **PNG},
    "StringFormat": {"f_string": "x"},
}


def prompt_of(class_type: str, changed: Mapping[str, Any] | None = None, without: Collection[str] = ()) -> Prompt:
    """A node between a picture, a mask and something that shows."""
    usual = {name: value for name, value in GOOD[class_type].items() if name not in without}
    source = 1 if class_type == "SaveImageAdvanced" else ["node", 0]
    return {
        "picture": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}},
        "mask": {"class_type": "SolidMask", "inputs": {"value": 1.0, "width": 8, "height": 8}},
        "node": {"class_type": class_type, "inputs": {**deepcopy(usual), **(changed or {})}},
        "show": {"class_type": "PreviewAny", "inputs": {"source": source}},
    }


def errors(prompt: Prompt, of: Catalogue | None = None) -> list[dict[str, Any]]:
    """The errors of the node."""
    used = of or catalogue()
    try:
        result = validate(prompt, None, used)
    except PromptRejected as rejected:
        return list(rejected.body["node_errors"]["node"]["errors"])
    return list(result.node_errors["node"]["errors"]) if result.node_errors else []


def missing(*names: str) -> list[dict[str, Any]]:
    message = "Required input is missing"
    return [
        {
            "type": "required_input_missing",
            "message": message,
            "details": name.rpartition(".")[2],
            "extra_info": {"input_name": name},
        }
        for name in names
    ]


@pytest.mark.parametrize("class_type", GOOD)
def test_a_node_with_all_its_parts_passes(class_type: str) -> None:
    assert errors(prompt_of(class_type)) == []


@pytest.mark.parametrize(
    ("class_type", "without", "names"),
    [
        ("SaveImageAdvanced", ("format.bit_depth",), ("format.bit_depth",)),
        ("ResizeImageMaskNode", ("resize_type.crop",), ("resize_type.crop",)),
        ("ResizeImageMaskNode", ("input",), ("input",)),
        ("BatchImagesNode", ("images.image0",), ("images.image0",)),
        ("ComfyMathExpression", ("values.a",), ("values.a",)),
        ("MergeSplat", ("splats.splat1",), ("splats.splat1",)),
        ("MergeSplat", ("splats.splat0", "splats.splat1"), ("splats.splat0", "splats.splat1")),
        ("ComfySwitchNode", ("on_true", "on_false"), ("on_false", "on_true")),
    ],
)
def test_a_missing_part_is_named_without_its_group_and_in_full(
    class_type: str, without: tuple[str, ...], names: tuple[str, ...]
) -> None:
    assert errors(prompt_of(class_type, without=without)) == missing(*names)


def test_a_gap_at_the_beginning_of_a_row_is_a_missing_part() -> None:
    assert errors(prompt_of("BatchImagesNode", {"images.image1": ["picture", 0]}, ["images.image0"])) == missing(
        "images.image0"
    )


@pytest.mark.parametrize(
    ("class_type", "without"),
    [
        ("SaveImageAdvanced", tuple(PNG)),
        ("ResizeImageMaskNode", tuple(name for name in RESIZE if name.startswith("resize_type"))),
        ("StringFormat", ()),
    ],
)
def test_without_the_choice_itself_nothing_is_checked(class_type: str, without: tuple[str, ...]) -> None:
    """The job then fails when it runs."""
    assert errors(prompt_of(class_type, without=without)) == []


@pytest.mark.parametrize("choice", ["gif", "", None, 1, {}, ["picture", 0]])
def test_an_unknown_choice_declares_no_parts(choice: Any) -> None:
    assert errors(prompt_of("SaveImageAdvanced", {"format": choice, "format.bit_depth": "9-bit"})) == []


def test_the_parts_of_another_choice_are_not_checked() -> None:
    assert errors(prompt_of("ResizeImageMaskNode", {"resize_type.multiplier": "abc"})) == []


def test_a_part_that_no_list_has_is_refused_with_its_own_list() -> None:
    (found,) = errors(prompt_of("SaveImageAdvanced", {"format.bit_depth": "9-bit"}))
    assert found["type"] == "value_not_in_list"
    assert found["details"] == "format.bit_depth: '9-bit' not in ['8-bit', '16-bit']"
    about = {"input_name": "format.bit_depth", "input_config": DEPTHS, "received_value": "9-bit"}
    assert found["extra_info"] == about


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        (-1, "value_smaller_than_min", "Value -1 smaller than min of 0"),
        (16385, "value_bigger_than_max", "Value 16385 bigger than max of 16384"),
        ("wide", "invalid_input_type", "Failed to convert an input value to a INT value"),
    ],
)
def test_the_bounds_and_the_type_of_a_part_are_checked(value: Any, kind: str, message: str) -> None:
    (found,) = errors(prompt_of("ResizeImageMaskNode", {"resize_type.width": value}))
    assert (found["type"], found["message"]) == (kind, message)
    assert found["extra_info"]["input_name"] == "resize_type.width"
    assert found["extra_info"]["input_config"] == SIDE


@pytest.mark.parametrize(
    ("class_type", "name", "wanted"),
    [("BatchImagesNode", "images.image1", "IMAGE"), ("ComfyMathExpression", "values.b", "FLOAT,INT,BOOLEAN")],
)
def test_a_link_of_the_wrong_type_is_refused(class_type: str, name: str, wanted: str) -> None:
    (found,) = errors(prompt_of(class_type, {name: ["mask", 0]}))
    assert found["type"] == "return_type_mismatch"
    assert found["details"] == f"{name}, received_type(MASK) mismatch input_type({wanted})"
    assert found["extra_info"]["input_config"] == [wanted, {}]


def test_a_broken_link_of_a_part_is_refused() -> None:
    (found,) = errors(prompt_of("BatchImagesNode", {"images.image1": ["picture"]}))
    assert (found["type"], found["details"]) == ("bad_linked_input", "images.image1")


def test_what_feeds_a_part_is_checked_too() -> None:
    prompt = prompt_of("BatchImagesNode", {"images.image2": ["other", 0]})
    prompt["other"] = {"class_type": "EmptyImage", "inputs": {"width": 0, "height": 8, "batch_size": 1, "color": 0}}
    with pytest.raises(PromptRejected) as caught:
        validate(prompt, None, catalogue())
    assert list(caught.value.body["node_errors"]) == ["other"]


def test_a_row_ends_with_its_last_part() -> None:
    """Whatever is beyond it is an input that the node does not have."""
    last = {"images.image49": ["mask", 0]}
    beyond = {"images.image50": ["mask", 0]}
    assert [found["details"][:14] for found in errors(prompt_of("BatchImagesNode", last))] == ["images.image49"]
    assert errors(prompt_of("BatchImagesNode", beyond)) == []


def test_parts_are_stored_as_the_node_takes_them() -> None:
    prompt = prompt_of("ResizeImageMaskNode", {"resize_type.width": "32", "resize_type.height": 16.5})
    assert errors(prompt) == []
    assert prompt["node"]["inputs"]["resize_type.width"] == 32
    assert repr(prompt["node"]["inputs"]["resize_type.height"]) == "16"


def test_lenient_takes_any_choice_of_a_part_but_not_a_missing_one() -> None:
    lenient = catalogue(settings=Settings(validation="lenient"))
    assert errors(prompt_of("SaveImageAdvanced", {"format.bit_depth": "9-bit"}), lenient) == []
    assert errors(prompt_of("SaveImageAdvanced", without=["format.bit_depth"]), lenient) == missing("format.bit_depth")


def test_the_parts_of_a_captured_node_type_are_checked_also_within_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    row = ["COMFY_AUTOGROW_V3", {"template": {"input": {"required": {"image": ["IMAGE", {}]}}, "names": ["one", "two"],
                                              "min": 1}}]
    optional = {"seed": ["INT", {"min": 1}]}
    choices = [{"key": "big", "inputs": {"required": {"refs": row}, "optional": optional}}]
    entry = {
        "input": {"required": {"model": ["COMFY_DYNAMICCOMBO_V3", {"options": choices}]}},
        "output": ["IMAGE"],
        "output_node": False,
    }
    server = RecordedServer({**recorded().object_info, "Custom": entry}, recorded().folders)
    of = Catalogue(server, MemoryFiles())
    monkeypatch.setitem(GOOD, "Custom", {"model": "big", "model.refs.one": ["picture", 0]})
    assert errors(prompt_of("Custom"), of) == []
    assert errors(prompt_of("Custom", without=["model.refs.one"]), of) == missing("model.refs.one")
    (found,) = errors(prompt_of("Custom", {"model.seed": 0}), of)
    assert found["extra_info"]["input_name"] == "model.seed"
