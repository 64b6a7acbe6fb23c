"""The facts of a real server that an instance's catalogue starts from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import msgspec

from .files import Folder
from .node_types import NodeType, read_node_type

__all__ = ["FileChoice", "Folders", "ModelChoice", "ModelFolder", "Recorded"]


class ModelFolder(msgspec.Struct, frozen=True):
    """One kind of model.

    :ivar files: customary names and their sizes, shown while the configuration leaves the folder open.
    :ivar shipped: the files come with ComfyUI itself and are always there.
    """

    name: str
    files: dict[str, str]
    shipped: bool = False


class ModelChoice(msgspec.Struct, frozen=True):
    """An input that chooses from a model folder.

    :ivar before: fixed choices ahead of the files; ``after``: behind them.
    """

    class_type: str
    input: str
    folder: str
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


class FileChoice(msgspec.Struct, frozen=True):
    """An input that chooses a file of a certain kind from one of the instance's own folders.

    :ivar remote: the page asks another route for the list; ``/object_info`` holds none.
    """

    class_type: str
    input: str
    folder: Folder
    kind: Literal["image", "audio", "video", "latent", "3d", "folder"]
    subfolder: str = ""
    before: tuple[str, ...] = ()
    remote: bool = False


class Folders(msgspec.Struct, frozen=True):
    """``folders.json``: the model folders in ComfyUI's order, who chooses from them, and file kinds by suffix."""

    folders: tuple[ModelFolder, ...]
    model_choices: tuple[ModelChoice, ...]
    file_choices: tuple[FileChoice, ...]
    kinds: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Recorded:
    """Everything that was recorded, shared by all instances of a process.

    :ivar object_info: by node type, as ``/object_info`` gives it, texts for people left out.
    """

    object_info: Mapping[str, dict[str, Any]]
    folders: Folders

    @cached_property
    def node_types(self) -> Mapping[str, NodeType]:
        """The same, read."""
        return {name: read_node_type(name, entry) for name, entry in self.object_info.items()}

    @cached_property
    def model_choices(self) -> Mapping[tuple[str, str], ModelChoice]:
        """By node type and input."""
        return {(each.class_type, each.input): each for each in self.folders.model_choices}

    @cached_property
    def file_choices(self) -> Mapping[tuple[str, str], FileChoice]:
        """By node type and input."""
        return {(each.class_type, each.input): each for each in self.folders.file_choices}

    @cached_property
    def model_folders(self) -> Mapping[str, ModelFolder]:
        """By name, in ComfyUI's order."""
        return {each.name: each for each in self.folders.folders}

    @cached_property
    def json_entries(self) -> Mapping[str, str]:
        """Each node type's entry as JSON, made once for the whole process."""
        return {name: json.dumps(complete(entry)) for name, entry in self.object_info.items()}


def complete(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry with the keys that hold texts for people, which were not recorded, left empty."""
    filled = dict(entry) | {"description": "", "search_aliases": []}
    if "api_node" in entry:     # a node of ComfyUI's newer kind
        filled |= {"output_tooltips": [None] * len(entry["output"]), "price_badge": None}
    return filled
