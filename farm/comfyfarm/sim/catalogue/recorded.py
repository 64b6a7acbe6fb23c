"""The recorded facts of a real server, on which an instance's catalogue is based."""

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Self

import msgspec

from comfyfarm.events.base import Folder
from comfyfarm.sim.catalogue.node_types import NodeType, read_node_type
from comfyfarm.sim.catalogue.socket_uses import SocketUses
from comfyfarm.sim.catalogue.staging import Staging

# Outputs of some loaders that are no models.
_NO_MODELS = frozenset(("BOOLEAN", "CONDITIONING", "FLOAT", "IMAGE", "INT", "LATENT", "MASK", "STRING"))


class ModelFolder(msgspec.Struct, frozen=True):
    """One kind of model.

    :ivar files: customary names and their sizes, shown unless the configuration lists the folder's files.
    :ivar shipped: the files come with ComfyUI itself and are always there.
    :ivar since: the version that brought the folder.
    """

    name: str
    files: dict[str, str]
    shipped: bool = False
    since: str = "0"


class ModelChoice(msgspec.Struct, frozen=True):
    """An input that chooses from a model folder.

    :ivar before: fixed choices before the files; ``after``: after them.
    """

    class_type: str
    input: str
    folder: str
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


class FileChoice(msgspec.Struct, frozen=True):
    """An input that chooses a file of a certain kind from one of the instance's own folders.

    :ivar remote: the page requests the list from another route; ``/object_info`` has none.
    :ivar captured: the names that a captured server had; ``None`` if nothing was captured.
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
    """``folders.json``: the model folders in ComfyUI's order, the inputs that choose files, the suffixes by kind."""

    folders: tuple[ModelFolder, ...]
    model_choices: tuple[ModelChoice, ...]
    file_choices: tuple[FileChoice, ...]
    kinds: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class RecordedServer:
    """Everything that was recorded of a server; instances with the same equipment share it.

    :ivar object_info: by node type, its entry in ``/object_info``.
    :ivar missing: the node types that were removed; lenient validation rejects them too.
    :ivar staged: by node type, what the declared ones show and how they expand.
    :ivar base: the server that this one was derived from; entries that are the same are not read again.
    :ivar load_uses: reads what ComfyUI's own node types do with their inputs.
    """

    object_info: Mapping[str, Mapping[str, Any]]
    folders: Folders
    missing: frozenset[str] = frozenset()
    base: Self | None = None
    load_uses: Callable[[], Mapping[str, SocketUses]] = dict
    staged: Mapping[str, Staging] = field(default_factory=dict)

    def changed(
        self,
        *,
        without: Collection[str] = (),
        entries: Mapping[str, Mapping[str, Any]] | None = None,
        model_choices: Iterable[ModelChoice] = (),
        staged: Mapping[str, Staging] | None = None,
    ) -> "RecordedServer":
        """Return a server without some node types and with others, which come last or replace one of their name."""
        added = entries or {}
        info = {**{name: entry for name, entry in self.object_info.items() if name not in without}, **added}
        kept = info.keys() - added.keys()
        models = [choice for choice in self.folders.model_choices if choice.class_type in kept]
        files = tuple(choice for choice in self.folders.file_choices if choice.class_type in kept)
        folders = msgspec.structs.replace(self.folders, model_choices=(*models, *model_choices), file_choices=files)
        return RecordedServer(
            info, folders, frozenset(without), self, load_uses=self.load_uses, staged=staged or {}
        )

    @cached_property
    def node_types(self) -> Mapping[str, NodeType]:
        base = {} if self.base is None else self.base.node_types
        return {
            name: base[name] if self._is_of_base(name) else read_node_type(name, entry)
            for name, entry in self.object_info.items()
        }

    @cached_property
    def model_choices(self) -> Mapping[tuple[str, str], ModelChoice]:
        """By node type and input."""
        return {(choice.class_type, choice.input): choice for choice in self.folders.model_choices}

    @cached_property
    def file_choices(self) -> Mapping[tuple[str, str], FileChoice]:
        """By node type and input."""
        return {(choice.class_type, choice.input): choice for choice in self.folders.file_choices}

    @cached_property
    def model_folders(self) -> Mapping[str, ModelFolder]:
        """By name, in ComfyUI's order."""
        return {folder.name: folder for folder in self.folders.folders}

    @cached_property
    def model_types(self) -> frozenset[str]:
        """The output types of loaders that are models: ``MODEL``, ``CLIP``, ``VAE`` and so on."""
        loaders = (self.node_types[choice.class_type] for choice in self.folders.model_choices)
        return frozenset({kind for loader in loaders for kind in loader.outputs} - _NO_MODELS)

    @cached_property
    def json_entries(self) -> Mapping[str, str]:
        """By node type, its entry as JSON; made once for all instances that share this server."""
        base = {} if self.base is None else self.base.json_entries
        return {
            name: base[name] if self._is_of_base(name) else json.dumps(entry)
            for name, entry in self.object_info.items()
        }

    def _is_of_base(self, name: str) -> bool:
        return self.base is not None and self.base.object_info.get(name) is self.object_info[name]
