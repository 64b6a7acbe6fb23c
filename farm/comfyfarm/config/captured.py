"""What a real server told of itself, as ``comfyfarm capture`` wrote it down, read again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from comfyfarm.sim.catalogue.recorded import FileChoice, Folders, ModelChoice, ModelFolder, RecordedServer

OBJECT_INFO = "object_info.json"
MODELS = "models.json"
SYSTEM_STATS = "system_stats.json"
FEATURES = "features.json"

# A custom node whose only output was written without its comma has a string there: ComfyUI takes it as it is.
_KEYS: dict[str, tuple[type[Any], ...]] = {"input": (dict,), "output": (list, str)}

Table = dict[str, Any]
Sizes = Mapping[str, Mapping[str, int | None]]


class NotCaptured(Exception):
    """A file is not what it should be; the message names it and says why, in one line."""


@dataclass(frozen=True, eq=False)
class CapturedServer:
    """What one server told.

    :ivar object_info: by node type.
    :ivar models: by folder and name, the size where the server said it; ``None`` where no folder was captured.
    :ivar system_stats: ``None`` where it was not captured; ``features`` likewise.
    """

    object_info: Mapping[str, Table]
    models: Sizes | None = None
    system_stats: Table | None = None
    features: Table | None = None

    @classmethod
    def read(cls, directory: Path) -> CapturedServer:
        """Read a directory that ``comfyfarm capture`` wrote; only ``object_info.json`` has to be there.

        :raises NotCaptured: where a file is something else.
        """
        return cls(
            cls.read_object_info(directory / OBJECT_INFO),
            _read_models(directory / MODELS),
            _read_table(directory / SYSTEM_STATS, "system_stats", "system"),
            _read_table(directory / FEATURES, "features"),
        )

    @staticmethod
    def read_object_info(path: Path) -> Mapping[str, Table]:
        """Read a server's ``/object_info``, however it came into the file.

        :raises NotCaptured: where it is something else.
        """
        found = _read_json(path)
        try:
            return check_object_info(found)
        except ValueError as why:
            raise NotCaptured(f"{path}: not an object_info: {why}") from why

    def recorded(self, shipped: RecordedServer) -> RecordedServer:
        """These node types, and what is known of them: which of their inputs choose files.

        A list that would not come out as it was captured is left as it was.
        """
        told = RecordedServer(self.object_info, shipped.folders)
        models = self.model_names(shipped)
        names = dict.fromkeys(self.models) if self.models is not None else shipped.model_folders
        folders = Folders(
            folders=tuple(shipped.model_folders.get(name) or ModelFolder(name, {}) for name in names),
            model_choices=tuple(_model_choices(told, models)),
            file_choices=tuple(_file_choices(told)),
            kinds=shipped.folders.kinds,
        )
        return RecordedServer(self.object_info, folders, base=told)

    def model_names(self, shipped: RecordedServer) -> dict[str, tuple[str, ...]]:
        """The files of each folder; where folders were not captured, those that the known loaders offer."""
        if self.models is not None:
            return {folder: tuple(sizes) for folder, sizes in self.models.items()}
        told = RecordedServer(self.object_info, shipped.folders)
        found: dict[str, tuple[str, ...]] = {}
        for choice in told.folders.model_choices:
            offered = _offered(told, choice)
            if offered is not None and choice.folder not in found:
                fixed = {*choice.before, *choice.after}
                found[choice.folder] = tuple(name for name in offered if name not in fixed)
        return found

    def sizes(self) -> dict[tuple[str, str], int]:
        """By folder and name, the sizes that the server said."""
        folders = (self.models or {}).items()
        return {(folder, name): size for folder, sizes in folders for name, size in sizes.items() if size is not None}

    def defaults(self) -> Table:
        """What an instance's configuration says where its file does not: the server's own version and limit."""
        system = (self.system_stats or {}).get("system") or {}
        version, limit = system.get("comfyui_version"), (self.features or {}).get("max_upload_size")
        said = {"comfyui_version": version} if isinstance(version, str) else {}
        return said | ({"max_upload_size": f"{limit}B"} if isinstance(limit, int) and limit > 0 else {})


def check_object_info(found: object) -> Mapping[str, Table]:
    """Hold a piece of JSON against what ``/object_info`` answers.

    :raises ValueError: saying what is wrong.
    """
    if not isinstance(found, dict):
        raise ValueError(f"expected an object with an entry for each node type, got {_kind(found)}")  # noqa: TRY004 (it is the file's value)
    if not found:
        raise ValueError("it holds no node type")
    for name, entry in found.items():
        if not isinstance(entry, dict):
            raise ValueError(f"{name!r}: expected a node type, got {_kind(entry)}")  # noqa: TRY004
        missing = [key for key, kinds in _KEYS.items() if not isinstance(entry.get(key), kinds)]
        if missing:
            raise ValueError(f"{name!r} is no node type, it has no {' and no '.join(missing)}")
    return found


def _kind(found: object) -> str:
    kinds = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return kinds.get(type(found), "a number")


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except OSError as why:
        raise NotCaptured(f"{path}: {why.strerror}") from why
    except (ValueError, RecursionError) as why:
        raise NotCaptured(f"{path}: not JSON: {why}") from why


def _read_table(path: Path, what: str, *keys: str) -> Table | None:
    if not path.exists():
        return None
    found = _read_json(path)
    if not isinstance(found, dict) or not all(isinstance(found.get(key), dict) for key in keys):
        wanted = f"an object with {' and '.join(map(repr, keys))} in it" if keys else "an object"
        raise NotCaptured(f"{path}: not a server's {what}: expected {wanted}")
    return found


def _read_models(path: Path) -> Sizes | None:
    if not path.exists():
        return None
    try:
        return msgspec.convert(_read_json(path), dict[str, dict[str, int | None]])
    except msgspec.ValidationError as why:
        raise NotCaptured(f"{path}: not a list of models: {why}") from why


def _offered(told: RecordedServer, choice: ModelChoice | FileChoice) -> list[Any] | None:
    """What the server offered there, or ``None`` where it has no such list."""
    node_type = told.node_types.get(choice.class_type)
    declared = node_type.inputs.get(choice.input) if node_type is not None else None
    return None if declared is None else declared.choices


def _model_choices(told: RecordedServer, models: Mapping[str, tuple[str, ...]]) -> list[ModelChoice]:
    found = []
    for choice in told.folders.model_choices:
        offered, files = _offered(told, choice), sorted(models.get(choice.folder, ()))
        starts = [at for at in range(len(offered or ()) + 1) if (offered or [])[at : at + len(files)] == files]
        if offered is not None and starts:
            at = len(choice.before) if len(choice.before) in starts else starts[0]
            around = {"before": tuple(offered[:at]), "after": tuple(offered[at + len(files) :])}
            found.append(msgspec.structs.replace(choice, **around))
    return found


def _file_choices(told: RecordedServer) -> list[FileChoice]:
    found = []
    for choice in told.folders.file_choices:
        offered = _offered(told, choice)
        if choice.remote and choice.class_type in told.object_info:
            found.append(choice)
        elif offered is not None:
            before = choice.before if tuple(offered[: len(choice.before)]) == choice.before else ()
            captured = tuple(offered[len(before) :])
            found.append(msgspec.structs.replace(choice, before=before, captured=captured))
    return found
