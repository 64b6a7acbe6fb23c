"""What an instance has: node types, models, files; and how ``/object_info`` shows them."""

import json
from collections.abc import Mapping
from typing import Any

from comfyfarm.config.recorded import recorded
from comfyfarm.sim.catalogue.node_types import accepts
from comfyfarm.sim.files import MemoryFiles, Place
from comfyfarm.sim.settings import Settings
from tests.support.instance_story import catalogue


def options(entry: Mapping[str, Any] | None, name: str, group: str = "required") -> Any:
    """What an entry offers at an input."""
    assert entry is not None
    declared = entry["input"][group][name]
    return declared[0] if isinstance(declared[0], list) else declared[1].get("options")


def test_a_folder_that_is_named_has_exactly_those_files() -> None:
    """Sorted; other folders stay open, and show a few customary names."""
    subject = catalogue(models={"checkpoints": ("b.ckpt", "sub/a.ckpt", "a.ckpt")})
    assert subject.model_names("checkpoints") == ["a.ckpt", "b.ckpt", "sub/a.ckpt"]
    assert options(subject.entry("CheckpointLoaderSimple"), "ckpt_name") == ["a.ckpt", "b.ckpt", "sub/a.ckpt"]
    assert len(subject.model_names("loras") or []) > 0
    assert subject.takes_any_choice("LoraLoader", "lora_name")
    assert not subject.takes_any_choice("CheckpointLoaderSimple", "ckpt_name")


def test_closed_folders_are_empty_but_for_what_comes_with_comfyui() -> None:
    subject = catalogue(models={"checkpoints": ("a.ckpt",)}, open_models=False)
    assert subject.model_names("checkpoints") == ["a.ckpt"]
    assert subject.model_names("loras") == []
    assert subject.model_names("configs") == list(recorded().model_folders["configs"].files)
    assert subject.model_names("configs") != []
    assert not subject.takes_any_choice("LoraLoader", "lora_name")


def test_an_unknown_folder_is_none_unless_the_configuration_names_it() -> None:
    """And then it comes last."""
    subject = catalogue(models={"mine": ("x.bin",)})
    assert catalogue().model_names("mine") is None
    assert subject.model_names("mine") == ["x.bin"]
    assert subject.folder_names() == [*catalogue().folder_names(), "mine"]
    assert catalogue().folder_names()[:3] == ["checkpoints", "configs", "loras"]


def test_a_list_of_uploads_is_live() -> None:
    """Pictures only, whatever their case, and none of a subfolder."""
    files = MemoryFiles()
    subject = catalogue(files)
    assert options(subject.entry("LoadImage"), "image") == []
    for name in ("b.png", "A.JPG", "notes.txt", "clip.mp4"):
        files.pictures[Place("input", "", name)] = (8, 8)
    files.pictures[Place("input", "sub", "c.png")] = (8, 8)
    files.pictures[Place("output", "", "d.png")] = (8, 8)
    assert options(subject.entry("LoadImage"), "image") == ["A.JPG", "b.png"]


def test_a_list_that_the_page_fetches_itself_is_not_in_the_catalogue() -> None:
    """``LoadImageOutput`` has another route for its files; any name passes the check of its list."""
    files = MemoryFiles({Place("output", "", "b.png"): (8, 8)})
    entry = catalogue(files).entry("LoadImageOutput")
    assert entry == recorded_entry("LoadImageOutput")
    assert options(entry, "image") is None


def recorded_entry(class_type: str) -> dict[str, Any]:
    """As the data file has it, completed."""
    whole: dict[str, Any] = json.loads(recorded().json_entries[class_type])
    return whole


def test_object_info_is_the_entries_of_all_node_types_as_json() -> None:
    """In the recorded order, and the same as each single entry."""
    files = MemoryFiles({Place("input", "", "b.png"): (8, 8)})
    subject = catalogue(files, models={"checkpoints": ("a.ckpt",)})
    whole = json.loads(subject.object_info())
    assert list(whole) == list(recorded().object_info)
    assert len(whole) == 604
    assert whole == {name: subject.entry(name) for name in whole}
    assert options(whole["LoadImage"], "image") == ["b.png"]
    assert subject.object_info() == json.dumps(whole).encode()


def test_object_info_is_made_once_until_a_file_comes_or_goes() -> None:
    """The same bytes, not equal ones."""
    files = MemoryFiles()
    subject = catalogue(files)
    first = subject.object_info()
    assert subject.object_info() is first
    files.pictures[Place("input", "", "b.png")] = (8, 8)
    assert json.loads(subject.object_info())["LoadImage"]["input"]["required"]["image"][0] == ["b.png"]
    files.pictures.clear()
    assert subject.object_info() == first


def test_instances_do_not_see_each_others_files_and_models() -> None:
    """What was recorded is shared, and never changed."""
    before = json.dumps(recorded().object_info["LoadImage"])
    one = catalogue(MemoryFiles({Place("input", "", "b.png"): (8, 8)}), models={"checkpoints": ("a.ckpt",)})
    one.object_info()
    assert options(catalogue().entry("LoadImage"), "image") == []
    assert options(catalogue().entry("CheckpointLoaderSimple"), "ckpt_name") != ["a.ckpt"]
    assert json.dumps(recorded().object_info["LoadImage"]) == before


def test_an_entry_has_every_key_that_clients_read() -> None:
    entry = catalogue().entry("KSampler")
    assert entry is not None
    assert entry.keys() >= {
        *("input", "input_order", "is_input_list", "output", "output_is_list", "output_name", "name"),
        *("display_name", "description", "python_module", "category", "output_node"),
        *("has_intermediate_output", "search_aliases"),
    }
    assert catalogue().entry("NoSuchNode") is None


def test_lenient_and_off_take_any_choice() -> None:
    for validation in ("lenient", "off"):
        subject = catalogue(settings=Settings(validation=validation), open_models=False)
        assert subject.takes_any_choice("KSampler", "sampler_name")


def test_a_link_may_carry_what_the_input_takes() -> None:
    """One type, one of several, anything; and never more than the input takes."""
    assert accepts("IMAGE", "IMAGE")
    assert accepts("*", "IMAGE")
    assert accepts("IMAGE", "*")
    assert accepts("IMAGE,MASK", "MASK")
    assert accepts("COMFY_MATCHTYPE_V3", "MASK")
    assert not accepts("IMAGE", "MASK")
    assert not accepts("IMAGE", "IMAGE,MASK")


def test_node_types_that_describe_their_outputs_have_the_key() -> None:
    """All of the newer kind, and a few of the older one."""
    info = recorded().object_info
    assert info["KSampler"]["output_tooltips"] == [""]
    assert len(info["CheckpointLoaderSimple"]["output_tooltips"]) == 3
    assert info["SolidMask"]["output_tooltips"] == [None]
    assert "output_tooltips" not in info["SaveImage"]
