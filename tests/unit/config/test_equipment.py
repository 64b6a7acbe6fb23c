"""The equipment of instances: node types, models and sizes; and the errors for wrong names."""

import json
import os
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from comfyfarm.config import ConfigError, FarmConfig, load, read
from comfyfarm.config.captured import CapturedServer, NotCaptured
from comfyfarm.config.equipment import EquipmentCache, check_equipment
from comfyfarm.config.recorded import recorded
from comfyfarm.config.recorded.api_nodes import api_nodes
from comfyfarm.sim.catalogue.catalogue import Catalogue
from comfyfarm.sim.errors import PromptRejected
from comfyfarm.sim.files import MemoryFiles, Place
from comfyfarm.sim.prompt.validation import validate
from comfyfarm.versions import DEFAULT

UPSCALE = {
    "inputs": {
        "image": "IMAGE",
        "upscale_by": {"type": "FLOAT", "default": 2.0, "min": 0.05, "max": 4.0},
        "mode_type": ["Linear", "Chess"],
        "upscale_model": {"folder": "upscale_models"},
    },
    "optional": {"seed": {"type": "INT", "default": 0, "options": {"control_after_generate": True}}},
    "hidden": {"unique_id": "UNIQUE_ID"},
    "outputs": {"UPSCALED": "IMAGE"},
    "category": "image/upscaling",
    "display_name": "Ultimate SD Upscale",
    "duration": "300ms",
}


def farm(*instances: dict[str, Any], folder: Path = Path(), **tables: Any) -> FarmConfig:
    """A configuration that was read and checked as at a farm's start."""
    named = [{"name": f"gpu-{index}", "port": 0, **each} for index, each in enumerate(instances)]
    config = read({"instance": named, **tables}, folder)
    check_equipment(config, EquipmentCache())
    return config


def catalogue(*, files: MemoryFiles | None = None, folder: Path = Path(), **keys: Any) -> Catalogue:
    """Return the equipment of an instance with these keys."""
    (config,) = farm(keys, folder=folder).instance
    return EquipmentCache().equip(config).catalogue(config, files or MemoryFiles())


def complaint(*instances: dict[str, Any], **tables: Any) -> str:
    """The one line that such a farm is refused with."""
    with pytest.raises(ConfigError) as refused:
        farm(*instances, **tables)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def declared(**keys: Any) -> dict[str, Any]:
    """An instance with one declared node type."""
    return {"node_types": {"Ok": {}, "UltimateSDUpscale": {**UPSCALE, **keys}}}


def workflow(**inputs: Any) -> dict[str, Any]:
    """A prompt that upscales with the declared node type."""
    given = {"image": ["1", 0], "upscale_by": 2, "mode_type": "Chess", "upscale_model": "x2.pth", **inputs}
    return {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}},
        "2": {"class_type": "UltimateSDUpscale", "inputs": given},
        "3": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}},
    }


# Missing node types.


def test_a_missing_node_type_is_neither_shown_nor_accepted() -> None:
    lacking = catalogue(missing_nodes=["EmptyImage", "LoraLoader"])
    shown = json.loads(lacking.object_info())
    assert recorded().object_info.keys() - shown.keys() == {"EmptyImage", "LoraLoader"}
    assert lacking.entry("EmptyImage") is None
    with pytest.raises(PromptRejected) as refused:
        validate({"1": {"class_type": "EmptyImage", "inputs": {}}}, None, lacking)
    assert refused.value.body["error"]["type"] == "missing_node_type"


def test_a_missing_node_type_is_refused_even_where_unknown_ones_pass() -> None:
    """``lenient`` lets pass what the catalogue does not know, but not what is error to be missing."""
    lenient = catalogue(validation="lenient", missing_nodes=["UltimateSDUpscale"])
    prompt = {"1": {"class_type": "Unheard", "inputs": {}}}
    assert validate(prompt, None, lenient).outputs == ("1",)
    prompt["1"]["class_type"] = "UltimateSDUpscale"
    with pytest.raises(PromptRejected):
        validate(prompt, None, lenient)


def test_a_typing_error_in_missing_nodes_is_refused_with_the_likely_name() -> None:
    assert complaint({}, {"missing_nodes": ["VAEDecode", "KSamplr"]}).startswith(
        "instance[1].missing_nodes[1]: there is no node type 'KSamplr'; is 'KSampler' meant?"
    )
    assert "is 'KSampler' meant?" in complaint({"missing_nodes": ["ksampler"]})


def test_a_custom_node_that_nobody_knows_may_be_missing() -> None:
    """A farm cannot know all custom nodes; nor is a name wrong that another instance declares."""
    farm({"missing_nodes": ["UltimateSDUpscale"]})
    farm({"missing_nodes": ["LoadImages"]}, {"node_types": {"LoadImages": {}}})
    assert "missing_nodes[0]: 'LoadImages' is declared in node_types" in complaint(
        {"missing_nodes": ["LoadImages"], "node_types": {"LoadImages": {}}}
    )


def test_instances_that_are_alike_share_their_catalogue() -> None:
    """A hundred instances cost the memory of one."""
    config = farm(*[{"missing_nodes": ["KSampler"], **declared()} for _ in range(3)], {}, {"api_nodes": False})
    equipment_cache = EquipmentCache()
    one, two, three, plain, core = (equipment_cache.equip(instance).recorded for instance in config.instance)
    assert one is two is three
    assert core is recorded()
    assert plain.node_types["VAEDecode"] is core.node_types["VAEDecode"]
    assert one.node_types["VAEDecode"] is plain.node_types["VAEDecode"]


# Declared node types.


def test_a_declared_node_type_is_shown_as_comfyui_shows_its_own() -> None:
    shown = json.loads(catalogue(**declared(), models={"upscale_models": ["x4.pth", "x2.pth"]}).object_info())
    assert list(shown)[-1] == "UltimateSDUpscale"
    entry = shown["UltimateSDUpscale"]
    assert entry["input"] == {
        "required": {
            "image": ["IMAGE"],
            "upscale_by": ["FLOAT", {"default": 2.0, "min": 0.05, "max": 4.0}],
            "mode_type": [["Linear", "Chess"]],
            "upscale_model": [["x2.pth", "x4.pth"]],
        },
        "optional": {"seed": ["INT", {"default": 0, "control_after_generate": True}]},
        "hidden": {"unique_id": "UNIQUE_ID"},
    }
    assert entry["input_order"]["required"] == ["image", "upscale_by", "mode_type", "upscale_model"]
    assert (entry["output"], entry["output_name"], entry["output_is_list"]) == (["IMAGE"], ["UPSCALED"], [False])
    assert (entry["display_name"], entry["category"]) == ("Ultimate SD Upscale", "image/upscaling")
    assert entry.keys() == shown["SaveImage"].keys() - {"essentials_category"}


def test_a_declared_node_type_validates_like_a_core_node() -> None:
    has = catalogue(**declared(), models={"upscale_models": ["x2.pth"]})
    assert validate(workflow(), None, has).outputs == ("3",)
    wrong = workflow(upscale_by=9, mode_type="Zigzag", upscale_model="x8.pth", image=["2", 1])
    del wrong["2"]["inputs"]["image"]
    with pytest.raises(PromptRejected) as refused:
        validate(wrong, None, has)
    problems = refused.value.body["node_errors"]["2"]["errors"]
    assert [(problem["type"], problem["extra_info"]["input_name"]) for problem in problems] == [
        ("required_input_missing", "image"),
        ("value_bigger_than_max", "upscale_by"),
        ("value_not_in_list", "mode_type"),
        ("value_not_in_list", "upscale_model"),
    ]


def test_a_declared_node_type_takes_its_time() -> None:
    """Its duration stands among the others; ``timing.nodes`` of the same name goes first."""
    (plain, timed) = farm(declared(), {**declared(), "timing": {"nodes": {"UltimateSDUpscale": "1s"}}}).instance
    assert plain.timing.node_span("UltimateSDUpscale").first == 300
    assert timed.timing.node_span("UltimateSDUpscale").first == 1000


def test_a_declared_node_type_replaces_one_of_its_name() -> None:
    has = catalogue(node_types={"LoadImage": {"inputs": {"path": "STRING"}, "outputs": ["IMAGE"]}})
    shown = json.loads(has.object_info())
    assert shown["LoadImage"]["input"] == {"required": {"path": ["STRING"]}}
    assert list(shown) == [*recorded().object_info, *api_nodes(DEFAULT)]


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({"x": 3}, "inputs.x: expected str or a table or a list, got int"),
        ({"x": []}, "inputs.x: expected at least one choice, got none"),
        ({"x": "COMBO"}, "inputs.x: expected a type name, or a list of choices, got COMBO"),
        ({"x": {"type": "FLOAT", "defalt": 1}}, "inputs.x.defalt: unknown key"),
        ({"x": {"default": 1}}, "inputs.x: expected exactly one of type, choices, folder, got none"),
        ({"x": {"type": "A", "folder": "b"}}, "inputs.x: expected exactly one of type, choices, folder, got type and"),
        ({"x": {"type": "IMAGE", "min": 1}}, "inputs.x.min: only an INT or a FLOAT has one"),
        ({"x": {"type": "INT", "min": 5, "max": 1}}, "inputs.x.min: 5 is more than max, which is 1"),
        ({"x": {"type": "INT", "min": 5, "default": 1}}, "inputs.x.default: 1 is out of bounds"),
        ({"x": {"type": "INT", "default": True}}, "inputs.x.default: expected what INT takes, got True"),
        ({"x": {"choices": ["a"], "default": "b"}}, "inputs.x.default: 'b' is none of the choices"),
        ({"x": {"type": "INT", "options": {"day": date(2026, 1, 1)}}}, "inputs.x.options: Object of type date is not"),
        ({"seed": "INT"}, "optional: 'seed' is among the inputs already"),
    ],
)
def test_a_mistake_in_an_input_is_refused_with_its_place(inputs: dict[str, Any], expected: str) -> None:
    assert complaint(declared(inputs=inputs)).startswith(f"instance[0].node_types.UltimateSDUpscale.{expected}")


def test_a_mistake_in_a_node_type_is_refused_with_its_place() -> None:
    where = "node_types.UltimateSDUpscale"
    assert complaint(declared(output=["IMAGE"])) == f"instance[0].{where}.output: unknown key; did you mean 'outputs'?"
    assert complaint(declared(outputs=3)).startswith(f"instance[0].{where}.outputs: expected a table or a list")
    assert complaint({}, profile={"p": declared(duration="3 potatoes")}).startswith(f"profile.p.{where}.duration: ")


# Models and their sizes.


def test_a_model_has_the_size_that_is_written_else_its_customary_one() -> None:
    """A name that is customary nowhere has the usual size of its folder."""
    listed = ["own.safetensors:23GB", "sd_xl_base_1.0.safetensors", "other.safetensors"]
    has = catalogue(models={"checkpoints": listed, "mine": ["a.bin", "ae.safetensors"]})
    gb = 1024**3
    assert has.model_names("checkpoints") == ["other.safetensors", "own.safetensors", "sd_xl_base_1.0.safetensors"]
    assert has.size_bytes("checkpoints", "own.safetensors") == 23 * gb
    assert has.size_bytes("checkpoints", "sd_xl_base_1.0.safetensors") == round(6.94 * gb)
    assert has.size_bytes("checkpoints", "other.safetensors") == round(6.94 * gb)
    assert has.size_bytes("mine", "a.bin") == gb
    assert has.size_bytes("mine", "ae.safetensors") == 335 * 1024**2
    assert has.folders_of("ae.safetensors") == ["vae", "mine"]


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        (["a:1GB", "b", "a:2GB"], "[2]: 'a' has 2GB here and 1GB at models.checkpoints[0]"),
        (["a:1GB", "b:2gb"], "[1]: expected a size such as"),
        (["a:1GB", "b.ckpt:big"], "[1]: expected a size such as"),
        (["b", ":1GB"], "[1]: expected a file name before the size"),
        ([3], "[0]: expected a file name such as"),
        ("a", ": expected a list, got str"),
    ],
)
def test_a_mistake_in_a_model_is_refused_with_its_place(listed: Any, expected: str) -> None:
    error = complaint({}, {"models": {"loras": ["l"], "checkpoints": listed}})
    assert error.startswith(f"instance[1].models.checkpoints{expected}")


def test_the_name_of_a_model_may_hold_a_colon() -> None:
    has = catalogue(models={"LLM": ["qwen2.5:7b", "gemma3:12b:8.1GB", "team:style.safetensors"]})
    assert has.model_names("LLM") == ["gemma3:12b", "qwen2.5:7b", "team:style.safetensors"]
    assert has.size_bytes("LLM", "gemma3:12b") == round(8.1 * 1024**3)


def test_the_same_model_may_be_listed_twice_with_one_size() -> None:
    assert catalogue(models={"checkpoints": ["a:1GB", "a", "a:1024MB"]}).model_names("checkpoints") == ["a"]


def test_a_warm_model_must_be_there_and_fit() -> None:
    """While checkpoints are open to any name, any name may be warm."""
    farm({"warm": ["any.safetensors"]})
    models = {"checkpoints": ["a:3GB"], "loras": ["b:1GB"]}
    farm({"warm": ["a", "b"], "models": models, "vram": "4GB"})
    error = complaint({"warm": ["a", "c"], "models": models})
    assert error == "instance[0].warm[1]: there is no model 'c'; name it in models.FOLDER"
    assert "instance[0].warm[0]: 'a' does not fit" in complaint({"warm": ["a"], "models": models, "vram": "2GB"})


# A captured catalogue.


def captured(folder: Path, **entries: Any) -> str:
    """A file with these node types and one core loader, as a server gave them."""
    loader = {"ckpt_name": [["own.safetensors", "two.safetensors"], {"tooltip": "kept"}]}
    picture = {"image": [["b.png", "a.png"], {"image_upload": True}]}
    custom = {"model": [["b.gguf", "a.gguf"]], "odd": "STRING"}
    recorded: dict[str, Any] = {
        "CheckpointLoaderSimple": {"input": {"required": loader}, "output": ["MODEL", "CLIP", "VAE"]},
        "LoadImage": {"input": {"required": picture}, "output": ["IMAGE"]},
        "UnetLoaderGGUF": {"input": {"required": custom}, "output": ["MODEL"], "description": "kept"},
    }
    (folder / "info.json").write_text(json.dumps(recorded | entries))
    return "info.json"


def test_a_captured_file_replaces_the_catalogue(tmp_path: Path) -> None:
    """Nothing is added to it or left out, and the lists of its loaders are the instance's models."""
    has = catalogue(folder=tmp_path, object_info=captured(tmp_path))
    assert has.object_info() == (tmp_path / "info.json").read_bytes()
    assert has.model_names("checkpoints") == ["own.safetensors", "two.safetensors"]
    assert not has.takes_any_choice("CheckpointLoaderSimple", "ckpt_name")
    assert not has.knows("KSampler")


def test_models_of_the_configuration_go_into_a_captured_loader_but_not_into_one_that_nobody_knows(
    tmp_path: Path,
) -> None:
    has = catalogue(folder=tmp_path, object_info=captured(tmp_path), models={"checkpoints": ["new.safetensors"]})
    shown = json.loads(has.object_info())
    assert shown["CheckpointLoaderSimple"]["input"]["required"]["ckpt_name"] == [
        ["new.safetensors"],
        {"tooltip": "kept"},
    ]
    assert shown["UnetLoaderGGUF"]["input"]["required"]["model"] == [["b.gguf", "a.gguf"]]


def test_an_upload_joins_the_pictures_that_a_captured_server_had(tmp_path: Path) -> None:
    files = MemoryFiles()
    has = catalogue(files=files, folder=tmp_path, object_info=captured(tmp_path))
    assert json.loads(has.object_info())["LoadImage"]["input"]["required"]["image"][0] == ["b.png", "a.png"]
    files.pictures[Place("input", "", "new.png")] = (8, 8)
    assert json.loads(has.object_info())["LoadImage"]["input"]["required"]["image"][0] == ["a.png", "b.png", "new.png"]


def test_a_custom_node_that_says_too_little_spoils_nothing(tmp_path: Path) -> None:
    """ComfyUI serves such nodes too, so a capture of a real server has some."""
    sloppy = {"input": {"required": {"a": [], "b": None}, "optional": None, "hidden": []}, "output": "IMAGE"}
    has = catalogue(folder=tmp_path, object_info=captured(tmp_path, Sloppy=sloppy))
    assert json.loads(has.object_info())["Sloppy"] == sloppy
    prompt = {"1": {"class_type": "Sloppy", "inputs": {"a": 1, "b": 2}}}
    with pytest.raises(PromptRejected) as refused:
        validate(prompt, None, has)
    assert refused.value.body["error"]["type"] == "prompt_no_outputs"


def test_a_captured_catalogue_can_lack_and_gain_node_types(tmp_path: Path) -> None:
    keys = {"object_info": captured(tmp_path), "missing_nodes": ["UnetLoaderGGUF"], **declared()}
    has = catalogue(folder=tmp_path, **keys)
    assert list(json.loads(has.object_info())) == ["CheckpointLoaderSimple", "LoadImage", "Ok", "UltimateSDUpscale"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("<html>", "not JSON: Expecting value: line 1 column 1 (char 0)"),
        ("[]", "not an object_info: expected an object with an entry for each node type, got a list"),
        ("{}", "not an object_info: it holds no node type"),
        ('{"a": 1}', "not an object_info: 'a': expected a node type, got a number"),
        ('{"3": {"class_type": "KSampler"}}', "not an object_info: '3' is no node type, it has no input and no output"),
        ('{"a": {"input": {}, "output": 3}}', "not an object_info: 'a' is no node type, it has no output"),
    ],
)
def test_a_file_that_is_no_object_info_is_refused_with_the_reason(tmp_path: Path, content: str, expected: str) -> None:
    (tmp_path / "info.json").write_text(content)
    (tmp_path / "config.toml").write_text('[[instance]]\nobject_info = "info.json"\n')
    config = load(tmp_path / "config.toml")
    with pytest.raises(ConfigError) as refused:
        check_equipment(config, EquipmentCache())
    assert str(refused.value).startswith(f"instance[0].object_info: {tmp_path}/info.json: {expected}")


def test_a_captured_file_is_no_pipe(tmp_path: Path) -> None:
    """It might never end, or begin."""
    os.mkfifo(tmp_path / "object_info.json")
    with pytest.raises(NotCaptured, match="it is a device, a pipe or a socket, and no file"):
        CapturedServer.read_object_info(tmp_path / "object_info.json")


def test_a_captured_directory_that_is_none_is_refused_with_the_reason(tmp_path: Path) -> None:
    error = complaint({"captured": str(tmp_path)})
    assert error == f"instance[0].captured: {tmp_path}/object_info.json: No such file or directory"
    captured(tmp_path)
    (tmp_path / "info.json").rename(tmp_path / "object_info.json")
    for name, content in (("models.json", '["a"]'), ("system_stats.json", "{}"), ("features.json", "[]")):
        (tmp_path / name).write_text(content)
        assert complaint({"captured": str(tmp_path)}).startswith(f"instance[0].captured: {tmp_path}/{name}: not a ")
        (tmp_path / name).unlink()
    farm({"captured": str(tmp_path)})


def test_an_older_version_may_lack_a_node_type_that_only_it_had() -> None:
    missing = {"missing_nodes": ["IdeogramV1"]}
    farm({**missing, "comfyui_version": "0.28.0"})
    assert "is 'IdeogramV4'" in complaint(missing)
