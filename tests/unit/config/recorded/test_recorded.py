"""The data that ships: every list of files in the catalogue is known, and the tables name what exists."""

import json
import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from comfyfarm.config.recorded.catalogues import entries_of
from comfyfarm.versions import RECORDED

ROOT = Path(__file__).resolve().parents[4]
REFERENCE: dict[str, Any] = json.loads((ROOT / "farm/comfyfarm/config/recorded/object_info.json").read_text("utf-8"))
TABLES: dict[str, Any] = json.loads((ROOT / "farm/comfyfarm/config/recorded/folders.json").read_text("utf-8"))
OTHERS: dict[str, Any] = {name: entry for version in RECORDED for name, entry in entries_of(version).items()}
INFO = {**OTHERS, **REFERENCE}
CHOICES = [*TABLES["model_choices"], *TABLES["file_choices"]]
KNOWN = {(choice["class_type"], choice["input"]) for choice in CHOICES}

NO_FILES = {
    ("CustomCombo", "choice"): "filled by the page, from what the user types into the node",
    ("ModelAttentionBackend", "attention"): "a machine without a GPU has one choice only",
    ("ModelSamplingContinuousV", "sampling"): "has one choice only",
    ("SaveImageAdvanced", "bit_depth"): "its EXR branch has one choice only",
    ("SaveImageAdvanced", "input_color_space"): "its PNG branch has one choice only",
    ("SelectVAEDevice", "device"): "a machine with one device has one choice only",
}


SCRIPT: dict[str, Any] = runpy.run_path(str(ROOT / "scripts/make_catalogue"), run_name="make_catalogue")


def lists(entry: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """Every combo of a node type: its input and what it offers."""
    return [(name, options) for name, options, _ in SCRIPT["combos"]("", entry["input"])]


def option_list(choice: dict[str, Any]) -> list[str] | None:
    """Return the options of a choice, or ``None`` for one that the page fetches itself."""
    return dict(lists(INFO[choice["class_type"]])).get(choice["input"])


def test_every_list_with_at_most_one_choice_is_explained() -> None:
    """An empty combo is a list of files, or it is named here with its reason; nothing is forgotten."""
    short = {(class_type, name) for class_type, entry in INFO.items() for name, found in lists(entry) if len(found) < 2}
    assert len(short) > 45
    assert short - KNOWN - NO_FILES.keys() == set()
    assert NO_FILES.keys() - short == set()


@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: f"{choice['class_type']}.{choice['input']}")
def test_a_file_choice_offers_nothing_but_its_extras(choice: dict[str, Any]) -> None:
    """No name of a file on the recorded machine stays behind, and each choice belongs to a real input."""
    expected = None if choice.get("remote") else choice.get("before", []) + choice.get("after", [])
    groups = INFO[choice["class_type"]]["input"]
    assert choice["input"] in {**groups["required"], **groups.get("optional", {})}
    assert option_list(choice) == expected


def test_no_choice_is_listed_twice() -> None:
    """One input chooses from one place."""
    assert len(KNOWN) == len(CHOICES)


def test_choices_name_folders_and_kinds_that_exist() -> None:
    """Tables that point at each other point somewhere."""
    names = {folder["name"] for folder in TABLES["folders"]}
    assert {choice["folder"] for choice in TABLES["model_choices"]} <= names
    assert {choice["folder"] for choice in TABLES["file_choices"]} <= {"input", "output", "temp"}
    assert {choice["kind"] for choice in TABLES["file_choices"]} == TABLES["kinds"].keys()


def test_files_are_listed_as_comfyui_lists_them() -> None:
    """``GET /models/{folder}`` is sorted, and every name comes with a size that the configuration could say."""
    for folder in TABLES["folders"]:
        assert list(folder["files"]) == sorted(folder["files"])
        assert all(re.fullmatch(r"\d+(\.\d+)?[KMG]B", size) for size in folder["files"].values())


def test_the_catalogue_is_as_the_script_writes_it() -> None:
    """Made again from itself it is the same, byte for byte: nothing is left that should be out."""
    catalogue = SCRIPT["Catalogue"](SCRIPT["known_choices"](TABLES, is_empty=False))
    again = SCRIPT["one_per_line"]({name: catalogue.entry(name, entry) for name, entry in REFERENCE.items()})
    assert again == (ROOT / "farm/comfyfarm/config/recorded/object_info.json").read_text("utf-8")


def test_an_input_may_be_called_description() -> None:
    """Texts go, also those inside a dynamic combo; an input of the same name stays."""
    inner = {"required": {"tooltip": ["INT", {"default": 1, "tooltip": "text"}]}}
    entry = {
        "input": {
            "required": {
                "description": ["STRING", {"tooltip": "text"}],
                "mode": ["COMFY_DYNAMICCOMBO_V3", {"options": [{"key": "a", "inputs": inner}]}],
            }
        },
        "description": "text",
        "search_aliases": ["text"],
    }
    kept = SCRIPT["Catalogue"]({}).entry("Custom", entry)
    assert "text" not in json.dumps(kept)
    assert list(kept["input"]["required"]) == ["description", "mode"]
    mode = kept["input"]["required"]["mode"][1]["options"][0]
    assert mode["inputs"]["required"] == {"tooltip": ["INT", {"default": 1}]}


def test_files_of_unknown_node_types_are_known_by_their_suffix() -> None:
    """A custom node's list of models is emptied without a table; its other choices stay."""
    options = {"options": ["a.safetensors", "none"], "default": "a.safetensors"}
    kept = SCRIPT["Catalogue"]({}).entry("Custom", {"input": {"required": {"model": ["COMBO", options]}}})
    assert kept["input"]["required"]["model"] == ["COMBO", {"options": ["none"]}]
