"""Constants in sockets: a sample of the errors that a real ComfyUI 0.25.0 was recorded to end with."""

from typing import Any

import pytest

from comfyfarm.config.recorded import recorded
from comfyfarm.sim.catalogue.catalogue import Catalogue
from comfyfarm.sim.catalogue.declared import DeclaredType
from comfyfarm.sim.catalogue.recorded import RecordedServer
from comfyfarm.sim.catalogue.socket_uses import SocketUses
from comfyfarm.sim.files import MemoryFiles
from comfyfarm.sim.nodes import NodeError
from comfyfarm.sim.nodes.constants import check_call
from comfyfarm.sim.prompt.workflow import links_of
from comfyfarm.sim.settings import Validation

LINK = ["1", 0]
CLIP = (
    "ERROR: clip input is invalid: None\n\n"
    "If the clip is from a checkpoint loader node your checkpoint does not contain a valid clip or text encoder model."
)
ENCODE = "encode() argument 'encoding' must be str, not Tensor"
NOTHING: dict[str, Any] = {}


def error_of(
    class_type: str, inputs: dict[str, Any], server: RecordedServer | None = None, validation: Validation = "strict"
) -> str | None:
    """Return the error of a node's call, as type and message; ``None`` if it succeeds."""
    catalogue = Catalogue(server or recorded(), MemoryFiles(), validation=validation)
    try:
        check_call(catalogue.facts(class_type), inputs, links_of({"inputs": inputs}))
    except NodeError as error:
        return f"{error.exception_type}: {error.message}"
    return None


RECORDED: list[tuple[str, dict[str, Any], str | None]] = [
    ("ImageScale", {"image": None}, "AttributeError: 'NoneType' object has no attribute 'movedim'"),
    ("ImageScale", {"image": "%image%"}, "AttributeError: 'str' object has no attribute 'movedim'"),
    ("ImageScale", {"image": LINK}, None),
    ("SaveImage", {"images": None}, "TypeError: 'NoneType' object is not subscriptable"),
    ("SaveImage", {"images": "%image%"}, "AttributeError: 'str' object has no attribute 'shape'"),
    ("ImageInvert", {"image": "%image%"}, "TypeError: unsupported operand type(s) for -: 'float' and 'str'"),
    ("AdjustBrightness", {"images": None}, "TypeError: unsupported operand type(s) for *: 'NoneType' and 'float'"),
    ("AdjustBrightness", {"images": "%image%"}, "TypeError: can't multiply sequence by non-int of type 'float'"),
    ("ImageFlip", {"image": None}, "TypeError: flip(): argument 'input' (position 1) must be Tensor, not NoneType"),
    ("ImageGrid", {"images": "%image%"}, "ValueError: Expected 4D image tensor, got str shape None"),
    ("ImageToMask", {"image": "%image%"}, "TypeError: string indices must be integers, not 'tuple'"),
    ("CropMask", {"mask": None}, "AttributeError: 'NoneType' object has no attribute 'reshape'"),
    ("CLIPTextEncode", {"clip": None}, f"RuntimeError: {CLIP}"),
    ("CLIPTextEncode", {"clip": "%image%"}, "AttributeError: 'str' object has no attribute 'tokenize'"),
    ("VAEDecode", {"samples": LINK, "vae": None}, "AttributeError: 'NoneType' object has no attribute 'decode'"),
    ("VAEDecode", {"samples": None, "vae": None}, "TypeError: 'NoneType' object is not subscriptable"),
    ("VAEEncode", {"pixels": LINK, "vae": None}, "AttributeError: 'NoneType' object has no attribute 'encode'"),
    ("VAEEncode", {"pixels": LINK, "vae": "%image%"}, f"TypeError: {ENCODE}"),
    ("LatentUpscale", {"samples": None}, "AttributeError: 'NoneType' object has no attribute 'copy'"),
    ("LatentComposite", {"samples_to": LINK, "samples_from": "%image%"},
     "TypeError: string indices must be integers, not 'str'"),
    ("FluxGuidance", {"conditioning": None}, "TypeError: 'NoneType' object is not iterable"),
    ("FluxGuidance", {"conditioning": "%image%"}, "IndexError: string index out of range"),
    ("ConditioningCombine", {"conditioning_1": None, "conditioning_2": None},
     "TypeError: unsupported operand type(s) for +: 'NoneType' and 'NoneType'"),
    ("ConditioningCombine", {"conditioning_1": "%image%", "conditioning_2": None},
     'TypeError: can only concatenate str (not "NoneType") to str'),
    ("ConditioningCombine", {"conditioning_1": None, "conditioning_2": "%image%"},
     "TypeError: unsupported operand type(s) for +: 'NoneType' and 'str'"),
    ("AudioConcat", {"audio1": None, "audio2": LINK}, None),
    ("AudioConcat", {"audio1": "%image%", "audio2": LINK}, "TypeError: string indices must be integers, not 'str'"),
    ("PreviewAudio", {"audio": None},
     "ValueError: PreviewAudio: input audio is None (source video may have no audio track)."),
    ("ImageStitch", {"image1": LINK, "image2": None}, None),
    ("ImageStitch", {"image1": LINK, "image2": "%image%"}, "AttributeError: 'str' object has no attribute 'shape'"),
    ("ComfyNumberConvert", {"value": None}, "TypeError: Unsupported input type: NoneType"),
    ("ComfyNumberConvert", {"value": "%image%"}, "ValueError: Cannot convert string to number: '%image%'"),
    ("MoGeRender", {"moge_geometry": None}, "TypeError: argument of type 'NoneType' is not iterable"),
    ("MoGeRender", {"moge_geometry": "%image%"}, "ValueError: moge_geometry has no depth output."),
    ("LatentApplyOperation", {"samples": LINK, "operation": None}, "TypeError: 'NoneType' object is not callable"),
    ("Painter", {"bg_color": None}, "AttributeError: 'NoneType' object has no attribute 'lstrip'"),
    ("Painter", {"bg_color": "%image%"}, None),
    ("PreviewAny", {"source": None}, None),
    ("SAM3_Detect", {"image": LINK, "positive_coords": "%image%", "model": None},
     "json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)"),
    ("ColorTransfer", {"image_target": None, "image_ref": None},
     "TypeError: ColorTransfer.execute() missing 1 required positional argument: 'source_stats'"),
    ("WanImageToVideo", {"positive": None, "negative": None, "vae": None}, None),
    ("WanImageToVideo", {"positive": None, "negative": None, "vae": None, "clip_vision_output": "%image%"},
     "TypeError: 'NoneType' object is not iterable"),
    ("WanTrackToVideo", {"positive": None, "negative": None, "vae": None, "start_image": None}, None),
    ("WanTrackToVideo", {"positive": None, "negative": None, "vae": None, "start_image": LINK},
     "AttributeError: 'NoneType' object has no attribute 'encode'"),
]


@pytest.mark.parametrize(("class_type", "inputs", "error"), RECORDED)
def test_a_constant_in_a_socket_fails_with_the_words_of_the_real_node(
    class_type: str, inputs: dict[str, Any], error: str | None
) -> None:
    assert error_of(class_type, inputs) == error


SAMPLER = {"model": None, "positive": None, "negative": None, "latent_image": None}


@pytest.mark.parametrize(
    ("linked", "error"),
    [
        ((), "TypeError: 'NoneType' object is not subscriptable"),
        (("latent_image",), "AttributeError: 'NoneType' object has no attribute 'get_model_object'"),
        (("latent_image", "model"), "TypeError: 'NoneType' object is not iterable"),
        (("latent_image", "model", "positive"), "TypeError: 'NoneType' object is not iterable"),
        (tuple(SAMPLER), None),
    ],
)
def test_of_several_nulls_the_one_that_the_node_uses_first_fails(linked: tuple[str, ...], error: str | None) -> None:
    assert error_of("KSampler", SAMPLER | dict.fromkeys(linked, LINK)) == error


@pytest.mark.parametrize(
    ("class_type", "inputs", "error"),
    [
        ("ImageScale", {"image": ""}, "AttributeError: 'str' object has no attribute 'movedim'"),
        ("ImageScale", {"image": NOTHING}, "AttributeError: 'dict' object has no attribute 'movedim'"),
        ("ImageScale", {"image": 0}, "AttributeError: 'int' object has no attribute 'movedim'"),
        ("ImageScale", {"image": True}, "AttributeError: 'bool' object has no attribute 'movedim'"),
        ("ImageScale", {"image": ["a", "b", "c"]}, "AttributeError: 'list' object has no attribute 'movedim'"),
        ("SaveImage", {"images": ""}, "IndexError: string index out of range"),
        ("SaveImage", {"images": NOTHING}, "KeyError: 0"),
        ("SaveImage", {"images": []}, "IndexError: list index out of range"),
        ("SaveImage", {"images": 0.5}, "TypeError: 'float' object is not subscriptable"),
        ("ImageToMask", {"image": NOTHING}, "TypeError: unhashable type: 'slice'"),
        ("ImageToMask", {"image": []}, "TypeError: list indices must be integers or slices, not tuple"),
        ("LatentUpscale", {"samples": NOTHING}, "KeyError: 'samples'"),
        ("LatentUpscale", {"samples": {"samples": 1}}, None),
        ("RebatchLatents", {"latents": 0}, "TypeError: 'int' object is not subscriptable"),
        ("CLIPTextEncode", {"clip": 0}, "AttributeError: 'int' object has no attribute 'tokenize'"),
        ("VAEEncode", {"pixels": LINK, "vae": NOTHING}, "AttributeError: 'dict' object has no attribute 'encode'"),
        ("FluxGuidance", {"conditioning": ""}, None),
        ("FluxGuidance", {"conditioning": 0}, "TypeError: 'int' object is not iterable"),
        ("FlipSigmas", {"sigmas": 0}, "TypeError: object of type 'int' has no len()"),
        ("MoGeRender", {"moge_geometry": 0}, "TypeError: argument of type 'int' is not iterable"),
        ("ImageFlip", {"image": NOTHING}, "TypeError: flip(): argument 'input' (position 1) must be Tensor, not dict"),
        ("ImageInvert", {"image": 0}, None),
        ("ConditioningCombine", {"conditioning_1": LINK, "conditioning_2": None},
         'TypeError: can only concatenate list (not "NoneType") to list'),
        ("ConditioningCombine", {"conditioning_1": NOTHING, "conditioning_2": LINK},
         "TypeError: unsupported operand type(s) for +: 'dict' and 'list'"),
        ("ConditioningCombine", {"conditioning_1": LINK, "conditioning_2": LINK}, None),
    ],
)
def test_other_constants_fail_as_python_does_with_them(class_type: str, inputs: dict[str, Any], error: str) -> None:
    assert error_of(class_type, inputs) == error


def test_a_link_to_an_input_that_the_node_does_not_have_is_an_unexpected_argument() -> None:
    error = "TypeError: {} got an unexpected keyword argument 'caption'"
    for name, function in (("SaveImage", "SaveImage.save_images()"), ("ImageBlend", "ImageBlend.execute()")):
        assert error_of(name, {"caption": LINK}) == error.format(function)
        assert error_of(name, {"caption": "a barn"}) is None


def test_the_parts_of_a_growing_input_are_declared() -> None:
    assert error_of("BatchImagesNode", {"images.image0": LINK, "images.image1": LINK}) is None


def test_node_types_of_which_nothing_is_recorded_succeed() -> None:
    declared = DeclaredType(inputs={"image": "IMAGE"}, output_node=True)
    server = recorded().changed(entries={name: declared.entry(name) for name in ("MyNode", "ImageScale")})
    for name in ("MyNode", "ImageScale"):
        assert error_of(name, {"image": None, "caption": LINK}, server) is None
    assert error_of("ImageInvert", {"image": None}, server) is not None


def test_nothing_is_checked_if_validation_is_off() -> None:
    assert error_of("ImageScale", {"image": None}, validation="lenient") is not None
    assert error_of("ImageScale", {"image": None}, validation="off") is None


def test_the_facts_are_about_inputs_that_the_node_types_have() -> None:
    node_types = recorded().node_types
    for name, facts in recorded().load_uses().items():
        assert isinstance(facts, SocketUses)
        named = {use.input for use in facts.uses} | {part for use in facts.uses for part in use.given} | {*facts.needs}
        assert named <= node_types[name].inputs.keys()
