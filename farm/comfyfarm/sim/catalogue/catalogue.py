"""The node types and model files that one instance has."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from comfyfarm.events.base import Folder
from comfyfarm.sim.catalogue.models import customary_size
from comfyfarm.sim.catalogue.node_types import Input, NodeType
from comfyfarm.sim.catalogue.recorded import FileChoice, ModelChoice, RecordedServer
from comfyfarm.sim.files import Files, Place
from comfyfarm.sim.settings import Validation


@dataclass(eq=False)
class Catalogue:
    """What ``/object_info`` shows and validation uses.

    :ivar models: the exact files of each folder that the configuration names.
    :ivar open_models: whether the other folders take any name; else they are empty.
    :ivar sizes: by folder and name, how many bytes a model has; others have their customary size.
    :ivar brought: pictures that the farm itself put into ``input``; a captured list does not show them.
    """

    recorded: RecordedServer
    files: Files
    models: Mapping[str, Sequence[str]] = field(default_factory=dict)
    open_models: bool = True
    validation: Validation = "strict"
    sizes: Mapping[tuple[str, str], int] = field(default_factory=dict)
    brought: frozenset[str] = frozenset()
    _told: tuple[object, bytes] = (None, b"")

    def knows(self, class_type: str) -> bool:
        """Whether this instance has the node type."""
        return class_type in self.recorded.object_info

    def lacks(self, class_type: str) -> bool:
        """Whether this instance is said to be without the node type, so that no leniency lets it pass."""
        return class_type in self.recorded.missing

    def node_type(self, class_type: Any) -> NodeType | None:
        """What a node type declares, or ``None`` where there is no such type."""
        return self.recorded.node_types.get(class_type)

    def folder_names(self) -> list[str]:
        """The model folders, in ComfyUI's order; those that only the configuration knows come last."""
        return list(dict.fromkeys((*self.recorded.model_folders, *self.models)))

    def model_names(self, folder: str) -> list[str] | None:
        """The files of a model folder, sorted, or ``None`` where there is no such folder."""
        if folder in self.models:
            return sorted(self.models[folder])
        known = self.recorded.model_folders.get(folder)
        if known is None:
            return None
        return sorted(known.files) if known.shipped or self.open_models else []

    def size_bytes(self, folder: str, name: str) -> int:
        """How big a model file is."""
        said = self.sizes.get((folder, name))
        return customary_size(self.recorded.model_folders, folder, name) if said is None else said

    def folders_of(self, name: str) -> list[str]:
        """The model folders in which there is a file of this name."""
        return [folder for folder in self.folder_names() if name in (self.model_names(folder) or ())]

    def choices(self, class_type: str, declared: Input) -> list[Any] | None:
        """What a ``COMBO`` offers now, or ``None`` where ComfyUI checks no list."""
        model = self.recorded.model_choices.get((class_type, declared.name))
        if model is not None:
            return self._model_list(model)
        file = self.recorded.file_choices.get((class_type, declared.name))
        if file is not None:
            return self._file_list(file)
        return declared.choices

    def takes_any_choice(self, class_type: str, name: str) -> bool:
        """Whether an input takes any name, because of ``validation`` or of an open folder."""
        model = self.recorded.model_choices.get((class_type, name))
        is_open = model is not None and self.open_models and model.folder not in self.models
        return self.validation != "strict" or is_open

    def file_kind(self, class_type: str, name: str) -> str | None:
        """The kind of file that this input names and its node checks itself, or ``None``."""
        file = self.recorded.file_choices.get((class_type, name))
        return file.kind if file is not None and file.kind not in ("3d", "folder") else None

    def has_file(self, value: str) -> bool:
        """Whether there is a file that a node's input names."""
        place = annotated_place(value)
        return place is not None and self.files.exists(place)

    def entry(self, class_type: str) -> Mapping[str, Any] | None:
        """The ``/object_info`` entry of a node type as of now, or ``None`` where there is no such type."""
        found = self.recorded.object_info.get(class_type)
        return None if found is None else self._live(class_type, found)

    def object_info(self) -> bytes:
        """All entries as JSON; made anew only after a file came or went."""
        live = sorted(self._live_types())
        as_of = {name: json.dumps(self.entry(name)) for name in live}
        if self._told[0] != as_of:
            texts = {**self.recorded.json_entries, **as_of}
            body = ", ".join(f"{json.dumps(name)}: {text}" for name, text in texts.items())
            self._told = as_of, f"{{{body}}}".encode()
        return self._told[1]

    def _live_types(self) -> set[str]:
        choices = (*self.recorded.model_choices, *self.recorded.file_choices)
        return {class_type for class_type, _ in choices} & self.recorded.object_info.keys()

    def _live(self, class_type: str, entry: Mapping[str, Any]) -> dict[str, Any]:
        """The entry with the lists of its file inputs as they are now."""
        node_type = self.recorded.node_types[class_type]
        changed: dict[str, dict[str, Any]] = {}
        for name, declared in node_type.inputs.items():
            key = (class_type, name)
            if key in self.recorded.model_choices or key in self.recorded.file_choices:
                group = "required" if declared.required else "optional"
                spec = self._live_input(class_type, declared, entry["input"][group][name])
                changed.setdefault(group, {})[name] = spec
        groups = {group: {**entry["input"][group], **specs} for group, specs in changed.items()}
        return {**entry, "input": {**entry["input"], **groups}}

    def _live_input(self, class_type: str, declared: Input, spec: list[Any]) -> list[Any]:
        choices = self.choices(class_type, declared)
        if isinstance(spec[0], list):
            return [choices, *spec[1:]]
        if choices is None:
            return spec
        return [spec[0], {**declared.options, "options": choices}]

    def _model_list(self, choice: ModelChoice) -> list[Any]:
        return [*choice.before, *(self.model_names(choice.folder) or ()), *choice.after]

    def _file_list(self, choice: FileChoice) -> list[Any] | None:
        if choice.remote:
            return None
        suffixes = self.recorded.folders.kinds[choice.kind]
        names = self.files.names(choice.folder, choice.subfolder)
        prefix = f"{choice.subfolder}/" if choice.subfolder else ""
        found = {prefix + name for name in names if name.lower().endswith(tuple(suffixes))}
        if choice.captured is None:
            return [*choice.before, *sorted(found)]
        came = found - self.brought - set(choice.captured)
        return [*choice.before, *(sorted({*choice.captured, *came}) if came else choice.captured)]


_FOLDERS: dict[str, Folder] = {" [input]": "input", " [output]": "output", " [temp]": "temp"}


def annotated_place(value: str, default: Folder = "input") -> Place | None:
    """Where ``"sub/cat.png [output]"`` is, or ``None`` where it leads out of its folder."""
    folder = default
    for ending, named in _FOLDERS.items():
        if value.endswith(ending):
            value, folder = value.removesuffix(ending), named
    parts = [part for part in value.split("/") if part not in ("", ".")]
    if value.startswith("/") or ".." in parts or not parts:
        return None
    return Place(folder, "/".join(parts[:-1]), parts[-1])
