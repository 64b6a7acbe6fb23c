"""What is refused, in which words: the answers of ``POST /prompt`` as WIRE.md section 3 has them."""

import json
from copy import deepcopy
from typing import Any

import pytest

from comfyfarm.sim.errors import PromptRejected
from comfyfarm.sim.files import MemoryFiles, Place
from comfyfarm.sim.prompt.validation import ValidationResult, validate
from comfyfarm.sim.settings import Settings
from comfyfarm.versions import behaviour_of
from tests.support.instance_story import Prompt, catalogue, chain, picture

WIDTH = ["INT", {"default": 512, "min": 1, "max": 16384, "step": 1}]
IMAGE = ["IMAGE", {}]
LENIENT, OFF = Settings(validation="lenient"), Settings(validation="off")
WAYS = ["nearest-exact", "bilinear", "area", "bicubic", "lanczos"]


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def with_size(**inputs: Any) -> Prompt:
    """The smallest job, with other constants at its first node."""
    prompt = picture()
    prompt["1"]["inputs"] |= inputs
    return prompt


def with_images(link: Any) -> Prompt:
    """The smallest job, with another link at the node that saves."""
    prompt = picture()
    prompt["2"]["inputs"]["images"] = link
    return prompt


def with_source(source: dict[str, Any], **more: Any) -> Prompt:
    """The smallest job, with another first node."""
    return picture() | {"1": source} | more


def without(node_id: str, name: str) -> Prompt:
    prompt = picture()
    del prompt[node_id]["inputs"][name]
    return prompt


def scale(**inputs: Any) -> dict[str, Any]:
    usual = {"image": ["3", 0], "upscale_method": "area", "width": 8, "height": 8, "crop": "center"}
    return node("ImageScale", **{**usual, **inputs})


def refusal(prompt: Prompt, settings: Settings = Settings(), **has: Any) -> dict[str, Any]:
    """The body of the 400."""
    with pytest.raises(PromptRejected) as caught:
        validate(prompt, None, catalogue(settings=settings, **has))
    body: dict[str, Any] = json.loads(json.dumps(caught.value.body, default=list))
    return body


def error(kind: str, message: str, details: str, **extra_info: Any) -> dict[str, Any]:
    return {"type": kind, "message": message, "details": details, "extra_info": extra_info}


def not_converted(name: str, config: list[Any], value: Any, why: str) -> dict[str, Any]:
    message = f"Failed to convert an input value to a {config[0]} value"
    about = {"input_name": name, "input_config": config, "received_value": value, "exception_message": why}
    return error("invalid_input_type", message, f"{name}, {value}, {why}", **about)


def about_width(kind: str, message: str, value: Any) -> dict[str, Any]:
    return error(kind, message, "width", input_name="width", input_config=WIDTH, received_value=value)


def not_in_list(name: str, value: Any, choices: list[str]) -> dict[str, Any]:
    about = {"input_name": name, "input_config": [choices, {}], "received_value": value}
    return error("value_not_in_list", "Value not in list", f"{name}: {value!r} not in {choices!r}", **about)


def bad_link(name: str, config: list[Any], link: Any) -> dict[str, Any]:
    message = "Bad linked input, must be a length-2 list of [node_id, slot_index]"
    return error("bad_linked_input", message, name, input_name=name, input_config=config, received_value=link)


def missing(name: str) -> dict[str, Any]:
    return error("required_input_missing", "Required input is missing", name, input_name=name)


def raised(kind: str, text: str) -> dict[str, Any]:
    about = {"exception_type": kind, "traceback": [f"{kind}: {text}"]}
    return error("exception_during_validation", "Exception when validating node", text, **about)


def raised_inside(kind: str, text: str, name: str, config: list[Any], link: list[Any]) -> dict[str, Any]:
    about = {"input_name": name, "input_config": config, "exception_message": text, "exception_type": kind}
    more = {"traceback": [f"{kind}: {text}"], "linked_node": link}
    return error(
        "exception_during_inner_validation", "Exception when validating inner node", text, **about, **more
    )


def custom(name: str, text: str) -> dict[str, Any]:
    what = "Custom validation failed for node"
    return error("custom_validation_failed", what, f"{name} - {text}", input_name=name)


def mismatch(received: str) -> dict[str, Any]:
    details = f"images, received_type({received}) mismatch input_type(IMAGE)"
    about = {"input_name": "images", "input_config": IMAGE, "received_type": received, "linked_node": ["1", 0]}
    return error("return_type_mismatch", "Return type mismatch between linked nodes", details, **about)


FAULTS = {
    "a constant is missing": (without("1", "width"), "1", [missing("width")]),
    "a link is missing": (without("2", "images"), "2", [missing("images")]),
    "a word where a number belongs": (
        with_size(width="abc"),
        "1",
        [not_converted("width", WIDTH, "abc", "invalid literal for int() with base 10: 'abc'")],
    ),
    "null where a number belongs": (
        with_size(width=None),
        "1",
        [
            not_converted(
                "width",
                WIDTH,
                None,
                "int() argument must be a string, a bytes-like object or a real number, not 'NoneType'",
            )
        ],
    ),
    "an infinite number": (
        with_size(width=float("inf")),
        "1",
        [not_converted("width", WIDTH, float("inf"), "cannot convert float infinity to integer")],
    ),
    "too small": (with_size(width=0), "1", [about_width("value_smaller_than_min", "Value 0 smaller than min of 1", 0)]),
    "too big": (
        with_size(width=99999),
        "1",
        [about_width("value_bigger_than_max", "Value 99999 bigger than max of 16384", 99999)],
    ),
    "measured after its conversion": (
        with_size(width="99999"),
        "1",
        [about_width("value_bigger_than_max", "Value 99999 bigger than max of 16384", 99999)],
    ),
    "none of the choices": (
        with_source(scale(upscale_method="bogus"), **{"3": picture()["1"]}),
        "1",
        [not_in_list("upscale_method", "bogus", WAYS)],
    ),
    "two that are none of the choices": (
        with_source(scale(upscale_method=None, crop=5), **{"3": picture()["1"]}),
        "1",
        [not_in_list("upscale_method", None, WAYS), not_in_list("crop", 5, ["disabled", "center"])],
    ),
    "a link of one part": (with_size(width=[1]), "1", [bad_link("width", WIDTH, [1])]),
    "a link of three parts": (with_images(["1", 0, 0]), "2", [bad_link("images", IMAGE, ["1", 0, 0])]),
    "a link of no parts": (with_images([]), "2", [bad_link("images", IMAGE, [])]),
    "a link to another type": (
        with_source(node("SolidMask", value=1.0, width=8, height=8)),
        "2",
        [mismatch("MASK")],
    ),
    "a link to nothing, at the output": (with_images(["99", 0]), "2", [raised("KeyError", "'99'")]),
    "a link to a number": (with_images([1, 0]), "2", [raised("KeyError", "1")]),
    "a link to a list": (with_images([["1"], 0]), "2", [raised("TypeError", "unhashable type: 'list'")]),
    "a slot that is not there": (with_images(["1", 7]), "2", [raised("IndexError", "tuple index out of range")]),
    "a slot that is no number": (
        with_images(["1", "0"]),
        "2",
        [raised("TypeError", "tuple indices must be integers or slices, not str")],
    ),
    "an output without inputs": (
        picture() | {"2": {"class_type": "SaveImage"}},
        "2",
        [raised("KeyError", "'inputs'")],
    ),
    "a node without inputs": (
        with_source({"class_type": "EmptyImage"}),
        "1",
        [raised_inside("KeyError", "'inputs'", "images", IMAGE, ["1", 0])],
    ),
    "a link to nothing, further up": (
        with_size(width=["99", 0]),
        "1",
        [raised_inside("KeyError", "'99'", "images", IMAGE, ["1", 0])],
    ),
    "a file that is not there": (
        with_source(node("LoadImage", image="no.png")),
        "1",
        [custom("image", "Invalid image file: no.png")],
    ),
    "a file outside": (
        with_source(node("LoadImage", image="../../etc/passwd")),
        "1",
        [custom("image", "Invalid image file: ../../etc/passwd")],
    ),
    "a number for a file's name": (
        with_source(node("LoadImage", image=5)),
        "1",
        [raised_inside("AttributeError", "'int' object has no attribute 'endswith'", "images", IMAGE, ["1", 0])],
    ),
}


@pytest.mark.parametrize(("prompt", "node_id", "errors"), FAULTS.values(), ids=FAULTS.keys())
def test_the_node_at_fault_is_named_with_comfyuis_words(prompt: Prompt, node_id: str, errors: list[Any]) -> None:
    """One faulty node under one output: the whole answer."""
    body = refusal(deepcopy(prompt))
    lines = [f"{entry['message']}: {entry['details']}" for entry in errors] if node_id == "2" else []
    assert body == {
        "error": error("prompt_outputs_failed_validation", "Prompt outputs failed validation", "\n".join(lines)),
        "node_errors": {
            node_id: {
                "errors": errors,
                "dependent_outputs": ["2"],
                "class_type": prompt[node_id]["class_type"],
            }
        },
    }


def test_an_answer_has_its_keys_in_comfyuis_order() -> None:
    """Clients that show the text of an answer show it so."""
    body = refusal(with_size(width=0))
    assert list(body) == ["error", "node_errors"]
    assert list(body["error"]) == ["type", "message", "details", "extra_info"]
    assert list(body["node_errors"]["1"]) == ["errors", "dependent_outputs", "class_type"]
    assert list(body["node_errors"]["1"]["errors"][0]) == ["type", "message", "details", "extra_info"]


@pytest.mark.parametrize(
    ("nodes", "message", "extra_info"),
    [
        (
            {"1": {"inputs": {}}},
            "Node 'ID #1' has no class_type. The workflow may be corrupted or a custom node is missing.",
            {"node_id": "1", "class_type": None, "node_title": None},
        ),
        (
            {"7": {"inputs": {}, "_meta": {"title": "My Node"}}},
            "Node 'My Node' has no class_type. The workflow may be corrupted or a custom node is missing.",
            {"node_id": "7", "class_type": None, "node_title": "My Node"},
        ),
        (
            {"1": node("NoSuchNode")},
            "Node 'NoSuchNode' not found. The custom node may not be installed.",
            {"node_id": "1", "class_type": "NoSuchNode", "node_title": "NoSuchNode"},
        ),
        (
            {"3": node("NoSuchNode") | {"_meta": {"title": "My Node"}}},
            "Node 'My Node' not found. The custom node may not be installed.",
            {"node_id": "3", "class_type": "NoSuchNode", "node_title": "My Node"},
        ),
        (
            {"3": node("NoSuchNode") | {"_meta": {"title": None}}},
            "Node 'None' not found. The custom node may not be installed.",
            {"node_id": "3", "class_type": "NoSuchNode", "node_title": None},
        ),
        (
            {"7": {"inputs": {}, "_meta": {"title": None}}},
            "Node 'ID #7' has no class_type. The workflow may be corrupted or a custom node is missing.",
            {"node_id": "7", "class_type": None, "node_title": None},
        ),
        (
            {"1": {"class_type": None, "inputs": {}}},
            "Node 'None' not found. The custom node may not be installed.",
            {"node_id": "1", "class_type": None, "node_title": None},
        ),
    ],
)
def test_an_unknown_node_type_is_named_by_its_title(
    nodes: Prompt, message: str, extra_info: dict[str, Any]
) -> None:
    """Also where nothing needs the node; and before anything else is looked at."""
    (node_id,) = nodes
    expected = error("missing_node_type", message, f"Node ID '#{node_id}'", **extra_info)
    assert refusal({**nodes, "8": node("SaveImage"), "9": node("AlsoUnknown")}) == {
        "error": expected,
        "node_errors": {},
    }


@pytest.mark.parametrize(
    ("prompt", "targets"),
    [({}, None), ({"1": picture()["1"]}, None), (picture(), []), (picture(), ["1"]), (picture(), "1")],
)
def test_a_prompt_that_shows_nothing_is_refused(prompt: Prompt, targets: Any) -> None:
    """Without an output node, or with none of the targets."""
    with pytest.raises(PromptRejected) as caught:
        validate(deepcopy(prompt), targets, catalogue())
    assert caught.value.body == {
        "error": error("prompt_no_outputs", "Prompt has no outputs", ""),
        "node_errors": {},
    }


def test_only_the_outputs_asked_for_run() -> None:
    """A string is searched for the ids, as ComfyUI's ``in`` does."""
    prompt = picture() | {"4": node("PreviewImage", images=["1", 0]), "24": node("PreviewImage", images=["1", 0])}
    assert validate(deepcopy(prompt), ["4", "1"], catalogue()) == ValidationResult(("4",), {})
    assert validate(deepcopy(prompt), {"2": None}, catalogue()) == ValidationResult(("2",), {})
    assert validate(deepcopy(prompt), "24", catalogue()) == ValidationResult(("2", "4", "24"), {})


def test_values_are_stored_as_the_node_takes_them() -> None:
    """Numbers as text, fractions, truth values and wrapped values: history shows what they became."""
    prompt = with_size(width="64", height=32.9, batch_size=True, color={"__value__": "7"})
    prompt["2"]["inputs"] |= {"filename_prefix": 5, "unknown": {"kept": [1]}}
    validate(prompt, None, catalogue())
    assert prompt["1"]["inputs"] == {"width": 64, "height": 32, "batch_size": 1, "color": 7}
    assert [type(value) for value in prompt["1"]["inputs"].values()] == [int] * 4
    assert prompt["2"]["inputs"] == {"images": ["1", 0], "filename_prefix": "5", "unknown": {"kept": [1]}}


def test_good_values_are_stored_although_another_is_refused() -> None:
    """ComfyUI converts as it goes."""
    prompt = with_size(width="64", height=0)
    refusal(prompt)
    assert prompt["1"]["inputs"]["width"] == 64


def test_what_no_output_needs_is_not_looked_at() -> None:
    """Only its type has to be known."""
    prompt = picture() | {"7": node("EmptyImage", width="nonsense")}
    assert validate(prompt, None, catalogue()).outputs == ("2",)
    assert prompt["7"]["inputs"] == {"width": "nonsense"}


def test_a_negative_slot_counts_from_the_end() -> None:
    """As Python's indexing does."""
    assert validate(with_images(["1", -1]), None, catalogue()).outputs == ("2",)
    assert refusal(with_images(["1", -2]))["node_errors"]["2"]["errors"][0]["details"] == "tuple index out of range"


def test_the_outputs_of_a_newer_node_are_a_list() -> None:
    prompt = with_source(node("SolidMask", value=1.0, width=8, height=8))
    prompt["2"] = node("MaskPreview", mask=["1", 1])
    assert refusal(prompt)["node_errors"]["2"]["errors"][0]["details"] == "list index out of range"


def test_good_outputs_run_where_others_are_refused() -> None:
    """200, and the answer lists the outputs that will not run."""
    prompt = with_size(width=0) | {"3": picture()["1"], "4": node("PreviewImage", images=["3", 0])}
    verdict = validate(prompt, None, catalogue())
    assert verdict.outputs == ("4",)
    assert list(verdict.node_errors) == ["1"]
    assert list(verdict.node_errors["1"]["dependent_outputs"]) == ["2"]


def test_every_output_behind_a_faulty_node_is_listed() -> None:
    """Each line of the summary belongs to an output itself; both outputs are named at the node they need."""
    prompt = with_size(width=0) | {"3": node("PreviewImage", images=["1", 0]), "4": node("PreviewImage")}
    body = refusal(prompt)
    assert body["error"]["details"] == "Required input is missing: images"
    assert body["node_errors"]["1"]["dependent_outputs"] == ["2", "3", "4"]     # as ComfyUI does, related or not
    assert body["node_errors"]["4"]["dependent_outputs"] == ["4"]


@pytest.mark.parametrize(
    ("links", "named"),
    [
        ({"3": "3"}, ["3"]),
        ({"3": "4", "4": "3"}, ["3", "4"]),
        ({"3": "4", "4": "5", "5": "6", "6": "4"}, ["4", "5", "6"]),
    ],
)
def test_a_circle_is_described_at_each_of_its_nodes(links: dict[str, str], named: list[str]) -> None:
    """And nowhere else: the node that leads into it is not at fault."""
    prompt = with_images(["3", 0]) | {key: node("ImageInvert", image=[source, 0]) for key, source in links.items()}
    body = refusal(prompt)
    path = " -> ".join(f"{key} (ImageInvert)" for key in (*named, named[0]))
    assert body["error"]["details"] == ""
    assert body["node_errors"] == {
        key: {
            "errors": [error("dependency_cycle", "Dependency cycle detected", path, node_id=key, cycle_nodes=named)],
            "dependent_outputs": ["2"],
            "class_type": "ImageInvert",
        }
        for key in named
    }


@pytest.mark.parametrize("settings", [Settings(), LENIENT], ids=lambda settings: settings.validation)
def test_a_chain_of_a_thousand_nodes_is_too_long(settings: Settings) -> None:
    """Python's limit ends ComfyUI's check at a node near the other end; 600 nodes are no problem."""
    assert validate(chain(600), None, catalogue(settings=settings)) == ValidationResult(("2",), {})
    body = refusal(chain(1000), settings)
    assert (body["error"]["type"], body["error"]["details"]) == ("prompt_outputs_failed_validation", "")
    ((node_id, found),) = body["node_errors"].items()
    (reported,) = found["errors"]
    assert reported["type"] == "exception_during_inner_validation"
    assert reported["details"] == "maximum recursion depth exceeded"
    assert reported["extra_info"]["exception_type"] == "RecursionError"
    assert reported["extra_info"]["linked_node"] == [node_id, 0]
    assert found["dependent_outputs"] == ["2"]


def test_a_long_chain_is_as_good_as_its_parts_if_an_output_in_the_middle_is_checked_first() -> None:
    """What has been checked is not checked again; and without a check there is no limit."""
    prompt = {"m": node("PreviewImage", images=["500", 0]), **chain(1000)}
    assert validate(prompt, None, catalogue()).outputs == ("m", "2")
    assert validate(chain(5000), None, catalogue(settings=OFF)).outputs == ("2",)


def test_a_fault_at_the_far_end_of_a_long_chain_is_found() -> None:
    """It is reported once."""
    prompt = chain(900)
    prompt["1"]["inputs"]["width"] = 0
    assert list(refusal(prompt)["node_errors"]) == ["1"]


def test_a_circle_of_five_thousand_nodes_is_told_in_few_words() -> None:
    """The whole path at each of its nodes would be an answer of 600 MB; ComfyUI meets Python's limit here."""
    prompt = chain(5000)
    prompt["3"]["inputs"]["image"] = ["5000", 0]
    (found,) = refusal(prompt)["node_errors"].values()
    (reported,) = found["errors"]
    assert (reported["type"], reported["details"]) == (
        "exception_during_inner_validation",
        "maximum recursion depth exceeded",
    )


def test_choices_of_new_nodes_are_checked_like_those_of_old_ones() -> None:
    """``["COMBO", {"options": [...]}]``: the error repeats the pair as it is declared."""
    prompt = {
        "1": picture()["1"],
        "3": node("ImageStitch", image1=["1", 0], direction="around", match_image_size=True, spacing_width=0),
        "4": node("PreviewImage", images=["3", 0]),
    }
    prompt["3"]["inputs"]["spacing_color"] = "white"
    (found,) = refusal(prompt)["node_errors"]["3"]["errors"]
    assert found["details"] == "direction: 'around' not in ['right', 'down', 'left', 'up']"
    kind, config = found["extra_info"]["input_config"]
    assert (kind, config["options"]) == ("COMBO", ["right", "down", "left", "up"])


@pytest.mark.parametrize(
    ("class_type", "inputs"),
    [
        ("CustomCombo", {"choice": "Music", "option0": "Music", "index": 0}),
        ("SelectModelDevice", {"model": None, "device": "gpu:7"}),
        ("SelectCLIPDevice", {"clip": None, "device": "gpu:7"}),
        ("SelectVAEDevice", {"vae": None, "device": "cpu"}),
        ("Load3D", {"model_file": "", "image": {}, "width": 8, "height": 8}),
    ],
)
def test_nodes_with_a_validator_of_their_own_take_what_their_lists_do_not_have(
    class_type: str, inputs: dict[str, Any]
) -> None:
    prompt = {"1": node(class_type, **inputs), "2": node("PreviewAny", source=["1", 0])}
    assert validate(prompt, None, catalogue()).outputs == ("2",)


def test_a_3d_file_that_is_not_there_is_refused() -> None:
    prompt = {"1": node("Load3D", model_file="3d/cat.glb", image={}, width=8, height=8)}
    prompt["2"] = node("PreviewAny", source=["1", 0])
    (found,) = refusal(prompt)["node_errors"]["1"]["errors"]
    assert found["details"] == "model_file: '3d/cat.glb' not in ['none']"


FILES = MemoryFiles({Place("input", "", "cat.png"): (8, 8), Place("output", "sub", "dog.png"): (8, 8)})
IN_ITS_FOLDER = [
    *("cat.png", "cat.png [input]", "./cat.png", "../input/cat.png", "/srv/comfyui/input/cat.png"),
    *("sub/dog.png [output]", "../output/sub/dog.png [output]", "/srv/comfyui/output/sub//dog.png [output]"),
    *("", ".", "./", " [temp]", "sub [output]", "sub/ [output]"),      # folders: the job fails when it runs
]
IN_ANOTHER = ["../output/sub/dog.png", "/srv/comfyui/output/sub/dog.png", "../input/cat.png [output]", "../output/sub"]
NOWHERE = [
    *("dog.png", "cat.png [output]", "cat.png[input]", "/cat.png", "sub/", "sub", "cat.png/"),
    *("..", "../..", "/", "../cat.png", "../../etc/passwd", "/etc/passwd", "/srv/comfyui/x", "cat.png\0"),
]


@pytest.mark.parametrize("confined", [False, True])
@pytest.mark.parametrize("name", IN_ITS_FOLDER + IN_ANOTHER + NOWHERE)
def test_a_file_may_be_named_by_any_path_that_leads_to_it(name: str, confined: bool) -> None:
    """Relative or absolute; newer versions want it in the folder that the name says; what is outside is refused."""
    prompt, has = with_source(node("LoadImage", image=name)), catalogue(FILES)
    has.behaviour = behaviour_of("0.28.0" if confined else "0.27.0")
    if name in IN_ITS_FOLDER or (name in IN_ANOTHER and not confined):
        assert validate(prompt, None, has).outputs == ("2",)
        return
    with pytest.raises(PromptRejected) as caught:
        validate(prompt, None, has)
    (found,) = caught.value.body["node_errors"]["1"]["errors"]
    assert (found["type"], found["details"]) == ("custom_validation_failed", f"image - Invalid image file: {name}")


def test_the_result_of_a_static_instance_may_be_named_always() -> None:
    """Though it leads out of its folder; its name means nothing elsewhere."""
    has = catalogue(FILES)
    has.behaviour, has.result_name = behaviour_of("0.28.0"), "../input/cat.png"
    assert has.has_file("../input/cat.png [output]")
    assert not has.has_file("../input/cat.png [temp]")
    assert not has.has_file("../output/sub/dog.png")


def checkpoint(name: Any) -> Prompt:
    size = node("EmptyLatentImage", width=64, height=64, batch_size=1)
    decode = node("VAEDecode", samples=["3", 0], vae=["1", 2])
    source = node("CheckpointLoaderSimple", ckpt_name=name)
    return {"1": source, "2": node("PreviewImage", images=["4", 0]), "3": size, "4": decode}


def test_an_exact_folder_takes_only_its_files() -> None:
    """``models.checkpoints = [...]`` is what the instance has."""
    has: dict[str, Any] = {"models": {"checkpoints": ["b.safetensors", "a.safetensors"]}}
    assert validate(checkpoint("a.safetensors"), None, catalogue(**has)).outputs == ("2",)
    (found,) = refusal(checkpoint("c.safetensors"), **has)["node_errors"]["1"]["errors"]
    assert found["details"] == "ckpt_name: 'c.safetensors' not in ['a.safetensors', 'b.safetensors']"
    assert found["extra_info"]["input_config"][0] == ["a.safetensors", "b.safetensors"]


def test_errors_at_a_choice_repeat_what_there_is_to_choose_now() -> None:
    """As a list in the older nodes, among the options in the newer ones."""
    files = MemoryFiles({Place("input", "", "cat.png"): (8, 8)})
    here = catalogue(files, models={"checkpoints": ["a.ckpt"], "upscale_models": ["b.pth"]})
    newer = ["COMBO", {"multiselect": False, "options": ["b.pth"]}]
    for class_type, name, config in (
        ("CheckpointLoaderSimple", "ckpt_name", [["a.ckpt"], {}]),
        ("LoadImage", "image", [["cat.png"], {"image_upload": True}]),
        ("UpscaleModelLoader", "model_name", newer),
    ):
        for link in (["2", 0], ["2"]):
            source = node("SolidMask", value=1.0, width=8, height=8)
            prompt = {"1": node(class_type, **{name: link}), "2": source, "3": node("PreviewAny", source=["1", 0])}
            with pytest.raises(PromptRejected) as caught:
                validate(prompt, None, here)
            (found,) = caught.value.body["node_errors"]["1"]["errors"]
            assert found["extra_info"]["input_config"] == config
            if len(link) == 2:
                assert found["details"] == f"{name}, received_type(MASK) mismatch input_type({config[0]})"
    prompt = {"1": node("UpscaleModelLoader", model_name="no.pth"), "3": node("PreviewAny", source=["1", 0])}
    with pytest.raises(PromptRejected) as caught:
        validate(prompt, None, here)
    assert caught.value.body["node_errors"]["1"]["errors"][0]["extra_info"]["input_config"] == newer


def test_a_long_list_is_not_repeated() -> None:
    """Twenty choices are, twenty-one are not."""
    for count, config in ((20, list), (21, type(None))):
        names = [f"{index:02}.ckpt" for index in range(count)]
        body = refusal(checkpoint("no"), models={"checkpoints": names})
        (found,) = body["node_errors"]["1"]["errors"]
        assert isinstance(found["extra_info"]["input_config"], config)
    assert found["details"] == "ckpt_name: 'no' not in (list of length 21)"


def test_an_open_folder_takes_any_name() -> None:
    """Unless ``open_models`` is false: then it is empty."""
    assert validate(checkpoint("anything.safetensors"), None, catalogue()).outputs == ("2",)
    body = refusal(checkpoint("anything.safetensors"), open_models=False)
    assert body["node_errors"]["1"]["errors"][0]["details"] == "ckpt_name: 'anything.safetensors' not in []"


def test_lenient_takes_unknown_types_and_names() -> None:
    """An unknown node that nobody consumes is an output; one that feeds another is not."""
    prompt = {
        "1": node("MyLoader", file="x"),
        "2": node("MyMiddle", image=["1", 5], mask=["1", 0]),
        "3": node("MySaver", image=["2", 0]),
        "4": scale(image=["2", 1], upscale_method="mine"),
        "5": node("PreviewImage", images=["4", 0]),
    }
    assert validate(prompt, None, catalogue(settings=LENIENT)) == ValidationResult(("3", "5"), {})


def test_lenient_still_refuses_what_is_broken() -> None:
    """Missing inputs, bad links and bounds of known types; faults behind an unknown type come through it."""
    assert "1" in refusal(with_size(width=0), LENIENT)["node_errors"]
    prompt = with_size(width=0) | {"2": node("MySaver", image=["1", 0])}
    body = refusal(prompt, LENIENT)
    assert list(body["node_errors"]) == ["1"]
    assert body["node_errors"]["1"]["dependent_outputs"] == ["2"]
    assert refusal({"1": {"inputs": {}}}, LENIENT)["error"]["type"] == "missing_node_type"


def test_lenient_finds_a_circle_of_unknown_types() -> None:
    prompt = {"1": node("A", x=["2", 0]), "2": node("B", x=["1", 0]), "3": node("Out", x=["1", 0])}
    assert sorted(refusal(prompt, LENIENT)["node_errors"]) == ["1", "2"]


@pytest.mark.parametrize(
    "prompt",
    [
        {"1": {}},
        {"1": {"class_type": "SaveImage"}},
        {"1": node("SaveImage", images=["9", 0])},
        {"1": node("Anything", x=[1, 2, 3])},
        {"1": node("EmptyImage", width="wide")},
        {"1": node("A"), "2": node("B", x=["1", 9])},
    ],
)
def test_off_takes_any_object_of_nodes(prompt: Prompt) -> None:
    """Every node without a consumer counts as an output, whatever its type."""
    before = deepcopy(prompt)
    assert validate(prompt, None, catalogue(settings=OFF)).outputs == (list(prompt)[-1],)
    assert prompt == before


@pytest.mark.parametrize(
    "prompt",
    [
        {"1": {"class_type": ["EmptyImage"], "inputs": {}}},
        {"1": {"class_type": "EmptyImage", "inputs": {}, "_meta": None}},
        {"1": {"class_type": "EmptyImage", "inputs": {}, "_meta": "x"}},
    ],
)
def test_what_comfyui_cannot_read_makes_it_raise(prompt: Prompt) -> None:
    """The route answers 500 then."""
    with pytest.raises((TypeError, AttributeError)):
        validate(prompt, None, catalogue())
