"""The node types and model files that one instance has."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from comfyfarm.events.base import Folder
from comfyfarm.sim.catalogue.models import customary_size
from comfyfarm.sim.catalogue.node_types import Input, NodeType
from comfyfarm.sim.catalogue.recorded import FileChoice, RecordedServer
from comfyfarm.sim.catalogue.socket_uses import SocketUses
from comfyfarm.sim.catalogue.staging import Staging
from comfyfarm.sim.catalogue.type_facts import (
    PlainInput,
    TypeFacts,
    by_slot,
    names_of,
    needed_inputs,
    plain_test,
    used_inputs,
)
from comfyfarm.sim.files import Files
from comfyfarm.sim.settings import Validation
from comfyfarm.versions import DEFAULT_BEHAVIOUR, Behaviour

_SHIPPED_CUSTOM_NODE = "custom_nodes.websocket_image_save"      # the only one in ComfyUI's own folder
# Their nodes check them with validators of their own, which accept more than the list: these take anything (the two
# lists of files were not recorded),
_UNCHECKED = {
    ("CustomCombo", "choice"), ("GeminiInputFiles", "file"), ("OpenAIInputFiles", "file"),
    ("SelectCLIPDevice", "device"), ("SelectModelDevice", "device"), ("SelectVAEDevice", "device"),
}
_EMPTY_TOO = {("Load3D", "model_file")}     # and this one an empty name.

_NOT_STAGED = Staging()


@dataclass(eq=False)
class Catalogue:
    """The node types, models and files of an instance, for ``/object_info`` and validation.

    :ivar models: the exact files of each folder that the configuration names.
    :ivar open_models: the other folders accept any name; else they are empty.
    :ivar sizes: by folder and name, the size of a model in bytes; others have their customary size.
    :ivar behaviour: that of the instance's version.
    :ivar brought: pictures that the farm itself put into ``input``; a captured list does not show them.
    :ivar result_name: the name of a static instance's results, which leads out of ``output``, but may be named always.
    """

    recorded: RecordedServer
    files: Files
    models: Mapping[str, Sequence[str]] = field(default_factory=dict)
    open_models: bool = True
    validation: Validation = "strict"
    sizes: Mapping[tuple[str, str], int] = field(default_factory=dict)
    brought: frozenset[str] = frozenset()
    result_name: str | None = None
    behaviour: Behaviour = DEFAULT_BEHAVIOUR
    _object_info: tuple[object, bytes] = (None, b"")
    _facts: dict[str, TypeFacts] = field(default_factory=dict)

    def knows(self, class_type: str) -> bool:
        return class_type in self.recorded.object_info

    def node_type(self, class_type: Any) -> NodeType | None:
        return self.recorded.node_types.get(class_type)

    def socket_uses(self, class_type: str) -> SocketUses | None:
        """Return what is recorded of the calls of a node type.

        ``None`` for one that does not come with ComfyUI, and for all if ``validation`` is ``off``.
        """
        module = str(self.recorded.object_info.get(class_type, {}).get("python_module", "custom_nodes"))
        if self.validation == "off" or (module.startswith("custom_nodes") and module != _SHIPPED_CUSTOM_NODE):
            return None
        return self.recorded.load_uses().get(class_type, SocketUses())

    def facts(self, class_type: str) -> TypeFacts:
        """Return what this catalogue says of a node type; made once for each type that it has."""
        found = self._facts.get(class_type)
        if found is None:
            found = self._make_facts(class_type)
            if found.node_type is not None:     # clients may name any number of unknown types
                self._facts[class_type] = found
        return found

    def _make_facts(self, class_type: str) -> TypeFacts:
        node_type, uses = self.node_type(class_type), self.socket_uses(class_type)
        names = names_of(node_type)
        declared = node_type.inputs.values() if node_type is not None and names is not None else ()
        files = [(choice.class_type, choice.input) for choice in self.recorded.folders.file_choices]
        models = self.recorded.model_choices.items()
        outputs = by_slot(node_type.outputs if node_type else ())
        return TypeFacts(
            name=class_type,
            node_type=node_type,
            uses=uses,
            staging=self.staging(class_type),
            outputs=outputs,
            inputs=None if names is None else tuple(self._plain_input(class_type, own) for own in declared),
            names=names,
            used=used_inputs(uses),
            needed=needed_inputs(node_type, uses),
            files=tuple(name for own, name in files if own == class_type and self.file_kind(own, name) is not None),
            model_inputs={name: choice for (own, name), choice in models if own == class_type},
            model_slots=frozenset(slot for slot, kind in outputs.items() if kind in self.recorded.model_types),
        )

    def _plain_input(self, class_type: str, declared: Input) -> PlainInput:
        name = declared.name
        is_live = (class_type, name) in self.recorded.file_choices
        choices = None if is_live or declared.type != "COMBO" else self.choices(class_type, declared)
        takes_any = self.takes_any_choice(class_type, name) or self.file_kind(class_type, name) is not None
        return name, declared.type, declared.required, plain_test(declared, choices, takes_any=takes_any)

    def staging(self, class_type: str) -> Staging:
        return self.recorded.staged.get(class_type, _NOT_STAGED)

    def folder_names(self) -> list[str]:
        """Return the model folders in ComfyUI's order; those that only the configuration names come last."""
        return list(dict.fromkeys((*self.recorded.model_folders, *self.models)))

    def model_names(self, folder: str) -> list[str] | None:
        """Return the files of a model folder, sorted, or ``None`` if there is no such folder."""
        if folder in self.models:
            return sorted(self.models[folder])
        recorded = self.recorded.model_folders.get(folder)
        if recorded is None:
            return None
        return sorted(recorded.files) if recorded.shipped or self.open_models else []

    def size_bytes(self, folder: str, name: str) -> int:
        size_bytes = self.sizes.get((folder, name))
        return customary_size(self.recorded.model_folders, folder, name) if size_bytes is None else size_bytes

    def folders_of(self, name: str) -> list[str]:
        return [folder for folder in self.folder_names() if name in (self.model_names(folder) or ())]

    def choices(self, class_type: str, declared: Input) -> list[Any] | None:
        """Return what a ``COMBO`` offers now, or ``None`` if ComfyUI checks no list."""
        model = self.recorded.model_choices.get((class_type, declared.name))
        if model is not None:
            return [*model.before, *(self.model_names(model.folder) or ()), *model.after]
        file = self.recorded.file_choices.get((class_type, declared.name))
        if file is not None:
            return self._file_list(file)
        return declared.choices

    def config(self, class_type: str, declared: Input) -> list[Any]:
        """Return the pair ``[type, options]`` as ComfyUI repeats it in its errors, with the present choices."""
        kind, options = declared.config
        choices = self.choices(class_type, declared) if declared.type == "COMBO" else None
        if choices is None:
            return declared.config
        return [choices, options] if isinstance(kind, list) else [kind, {**options, "options": choices}]

    def takes_any_choice(self, class_type: str, name: str) -> bool:
        """Return whether an input accepts any name: by ``validation``, an open folder or its node's own validator."""
        key = class_type, name
        model = self.recorded.model_choices.get(key)
        is_open = model is not None and self.open_models and model.folder not in self.models
        return self.validation != "strict" or is_open or key in _UNCHECKED

    def takes_choice(self, class_type: str, name: str, value: Any) -> bool:
        """Return whether an input accepts this value, whether or not it is in its list."""
        return self.takes_any_choice(class_type, name) or (value == "" and (class_type, name) in _EMPTY_TOO)

    def file_kind(self, class_type: str, name: str) -> str | None:
        """Return the kind of file that this input names, if its node checks that itself, else ``None``."""
        file = self.recorded.file_choices.get((class_type, name))
        return file.kind if file is not None and file.kind not in ("3d", "folder") else None

    def has_file(self, value: str) -> bool:
        """Return whether a node's own check accepts the name of a file; a folder passes, too.

        Of older versions it may be in any folder of the instance; of newer ones only in that it is looked up in.
        """
        folder, name = annotated(value)
        confined = self.behaviour.confines_files and (folder, name) != ("output", self.result_name)
        place = self.files.find(folder, name, confined=confined)
        return place is not None and (self.files.is_folder(place) or self.files.exists(place))

    def entry(self, class_type: str) -> Mapping[str, Any] | None:
        """Return the present ``/object_info`` entry of a node type, or ``None`` if there is no such type."""
        entry = self.recorded.object_info.get(class_type)
        return None if entry is None else self._live(class_type, entry)

    def object_info(self) -> bytes:
        """Return all entries as JSON; the text is made again only if a file was added or removed."""
        choices = self.recorded.file_choices.values()
        folders = sorted({(choice.folder, choice.subfolder) for choice in choices if not choice.remote})
        files = [set(self.files.names(folder, subfolder)) for folder, subfolder in folders]
        if self._object_info[0] != files:
            self._object_info = files, self._make_object_info()
        return self._object_info[1]

    def _make_object_info(self) -> bytes:
        choices = (*self.recorded.model_choices, *self.recorded.file_choices)
        live_types = {class_type for class_type, _ in choices} & self.recorded.object_info.keys()
        live = {name: json.dumps(self.entry(name)) for name in sorted(live_types)}
        texts = {**self.recorded.json_entries, **live}
        body = ", ".join(f"{json.dumps(name)}: {text}" for name, text in texts.items())
        return f"{{{body}}}".encode()

    def _live(self, class_type: str, entry: Mapping[str, Any]) -> dict[str, Any]:
        """Return the entry with the present lists of its file inputs."""
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

    def _file_list(self, choice: FileChoice) -> list[Any] | None:
        if choice.remote:
            return None
        suffixes = self.recorded.folders.kinds[choice.kind]
        names = self.files.names(choice.folder, choice.subfolder)
        prefix = f"{choice.subfolder}/" if choice.subfolder else ""
        found = {prefix + name for name in names if name.lower().endswith(tuple(suffixes))}
        if choice.captured is None:
            return [*choice.before, *sorted(found)]
        added = found - self.brought - set(choice.captured)
        return [*choice.before, *(sorted({*choice.captured, *added}) if added else choice.captured)]


_FOLDERS: dict[str, Folder] = {" [input]": "input", " [output]": "output", " [temp]": "temp"}


def annotated(value: str, default: Folder = "input") -> tuple[Folder, str]:
    """Return folder and name of ``"sub/cat.png [output]"``."""
    for ending, folder in _FOLDERS.items():
        if value.endswith(ending):
            return folder, value.removesuffix(ending)
    return default, value
