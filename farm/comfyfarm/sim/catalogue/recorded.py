"""The facts of a real server that an instance's catalogue starts from."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import msgspec

from comfyfarm.events.base import Folder
from comfyfarm.sim.catalogue.node_types import NodeType, read_node_type

# What some loaders hand on beside their model, and what is none.
_NO_MODELS = frozenset(("BOOLEAN", "CONDITIONING", "FLOAT", "IMAGE", "INT", "LATENT", "MASK", "STRING"))


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
    :ivar captured: the names that a captured server had; ``None`` where nothing was captured.
    """

    class_type: str
    input: str
    folder: Folder
    kind: Literal["image", "audio", "video", "latent", "3d", "folder"]
    subfolder: str = ""
    before: tuple[str, ...] = ()
    remote: bool = False
    captured: tuple[str, ...] | None = None


class Folders(msgspec.Struct, frozen=True):
    """``folders.json``: the model folders in ComfyUI's order, who chooses from them, and file kinds by suffix."""

    folders: tuple[ModelFolder, ...]
    model_choices: tuple[ModelChoice, ...]
    file_choices: tuple[FileChoice, ...]
    kinds: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class RecordedServer:
    """Everything that was recorded of a server, shared by all instances that are alike.

    :ivar object_info: by node type, as ``/object_info`` gives it.
    :ivar missing: the node types that were taken out.
    :ivar base: what this was made from; what is the same there is not read again.
    """

    object_info: Mapping[str, Mapping[str, Any]]
    folders: Folders
    missing: frozenset[str] = frozenset()
    base: RecordedServer | None = None

    def changed(
        self,
        *,
        without: Collection[str] = (),
        entries: Mapping[str, Mapping[str, Any]] | None = None,
        model_choices: Iterable[ModelChoice] = (),
    ) -> RecordedServer:
        """A server without some node types, and with others; those come last, or replace one of their name."""
        added = entries or {}
        info = {**{name: entry for name, entry in self.object_info.items() if name not in without}, **added}
        kept = info.keys() - added.keys()
        folders = msgspec.structs.replace(
            self.folders,
            model_choices=(*(each for each in self.folders.model_choices if each.class_type in kept), *model_choices),
            file_choices=tuple(each for each in self.folders.file_choices if each.class_type in kept),
        )
        return RecordedServer(info, folders, frozenset(without), self)

    @cached_property
    def node_types(self) -> Mapping[str, NodeType]:
        """The same, read."""
        known = {} if self.base is None else self.base.node_types
        return {
            name: known[name] if self._is_of_base(name) else read_node_type(name, entry)
            for name, entry in self.object_info.items()
        }

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
    def model_types(self) -> frozenset[str]:
        """The types under which loaders hand their models on: ``MODEL``, ``CLIP``, ``VAE`` and so on."""
        loaders = (self.node_types[each.class_type] for each in self.folders.model_choices)
        handed_on = {kind for loader in loaders for kind in loader.outputs}
        return frozenset(handed_on - _NO_MODELS)

    @cached_property
    def json_entries(self) -> Mapping[str, str]:
        """Each node type's entry as JSON, made once for all that share this."""
        known = {} if self.base is None else self.base.json_entries
        return {
            name: known[name] if self._is_of_base(name) else json.dumps(entry)
            for name, entry in self.object_info.items()
        }

    def _is_of_base(self, name: str) -> bool:
        return self.base is not None and self.base.object_info.get(name) is self.object_info[name]
