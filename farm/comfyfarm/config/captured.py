"""Read what ``comfyfarm capture`` has written: the node types, models and facts of a real server."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import msgspec

from comfyfarm.config.sources import read_regular
from comfyfarm.sim.catalogue.recorded import FileChoice, Folders, ModelChoice, ModelFolder, RecordedServer

OBJECT_INFO = "object_info.json"
MODELS = "models.json"
SYSTEM_STATS = "system_stats.json"
FEATURES = "features.json"

# "output" is a string for a custom node whose tuple of one output lacks its comma; ComfyUI accepts that.
_NODE_TYPE_KEYS: dict[str, tuple[type[Any], ...]] = {"input": (dict,), "output": (list, str)}

Table = dict[str, Any]
Sizes = Mapping[str, Mapping[str, int | None]]


class NotCaptured(Exception):
    """A captured file has the wrong content; the message names the file and the reason, in one line."""


@dataclass(frozen=True, eq=False)
class CapturedServer:
    """The data that was captured from one server.

    :ivar object_info: by node type.
    :ivar models: the sizes by folder and file name, ``None`` for an unknown size; ``None``: no folders were captured.
    :ivar system_stats: ``None``: not captured.
    :ivar features: ``None``: not captured.
    """

    object_info: Mapping[str, Table]
    models: Sizes | None = None
    system_stats: Table | None = None
    features: Table | None = None

    @classmethod
    def read(cls, directory: Path) -> Self:
        """Read a directory that ``comfyfarm capture`` has written; only ``object_info.json`` is required.

        :raises NotCaptured: if a file cannot be read or has the wrong content.
        """
        return cls(
            cls.read_object_info(directory / OBJECT_INFO),
            _read_models(directory / MODELS),
            _read_table(directory / SYSTEM_STATS, "system_stats", "system"),
            _read_table(directory / FEATURES, "features"),
        )

    @staticmethod
    def read_object_info(path: Path) -> Mapping[str, Table]:
        """Read a file with a server's ``/object_info``, whatever has written it.

        :raises NotCaptured: if it cannot be read or has the wrong content.
        """
        parsed = _read_json(path)
        try:
            return check_object_info(parsed)
        except ValueError as error:
            raise NotCaptured(f"{path}: not an object_info: {error}") from error

    def recorded(self, shipped: RecordedServer) -> RecordedServer:
        """Return these node types, together with what is known of their inputs that choose files.

        An input whose list could not be reproduced from the folders keeps the captured list.
        """
        base = RecordedServer(self.object_info, shipped.folders)
        names = dict.fromkeys(self.models) if self.models is not None else shipped.model_folders
        folders = Folders(
            folders=tuple(shipped.model_folders.get(name) or ModelFolder(name, {}) for name in names),
            model_choices=tuple(_model_choices(base, self.model_names(shipped))),
            file_choices=tuple(_file_choices(base)),
            kinds=shipped.folders.kinds,
        )
        return RecordedServer(self.object_info, folders, base=base, load_uses=shipped.load_uses)

    def model_names(self, shipped: RecordedServer) -> dict[str, tuple[str, ...]]:
        """Return the files of each folder; if folders were not captured, those that the known loaders offer."""
        if self.models is not None:
            return {folder: tuple(sizes) for folder, sizes in self.models.items()}
        base = RecordedServer(self.object_info, shipped.folders)
        found: dict[str, tuple[str, ...]] = {}
        for choice in base.folders.model_choices:
            offered = _offered(base, choice)
            if offered is not None and choice.folder not in found:
                fixed = {*choice.before, *choice.after}
                found[choice.folder] = tuple(name for name in offered if name not in fixed)
        return found

    def sizes(self) -> dict[tuple[str, str], int]:
        """Return the known sizes in bytes, by folder and file name."""
        folders = (self.models or {}).items()
        return {(folder, name): size for folder, sizes in folders for name, size in sizes.items() if size is not None}

    def defaults(self) -> Table:
        """Return defaults for keys of an ``[[instance]]``: the server's own version and upload limit."""
        system = (self.system_stats or {}).get("system") or {}
        version, limit = system.get("comfyui_version"), (self.features or {}).get("max_upload_size")
        defaults = {"comfyui_version": version} if isinstance(version, str) else {}
        return defaults | ({"max_upload_size": f"{limit}B"} if isinstance(limit, int) and limit > 0 else {})


def check_object_info(parsed: object) -> Mapping[str, Table]:
    """Return parsed JSON if it has the form of ``/object_info``.

    :raises ValueError: saying what is wrong.
    """
    if not isinstance(parsed, dict):
        raise ValueError(f"expected an object with an entry for each node type, got {_json_type(parsed)}")  # noqa: TRY004 (it is the file's value)
    if not parsed:
        raise ValueError("it holds no node type")
    for name, entry in parsed.items():
        if not isinstance(entry, dict):
            raise ValueError(f"{name!r}: expected a node type, got {_json_type(entry)}")  # noqa: TRY004
        missing = [key for key, types in _NODE_TYPE_KEYS.items() if not isinstance(entry.get(key), types)]
        if missing:
            raise ValueError(f"{name!r} is no node type, it has no {' and no '.join(missing)}")
    return parsed


def _json_type(parsed: object) -> str:
    types = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return types.get(type(parsed), "a number")


def _read_json(path: Path) -> Any:
    try:
        return json.loads(read_regular(path))
    except OSError as error:
        raise NotCaptured(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise NotCaptured(f"{path}: not JSON: {error}") from error


def _read_table(path: Path, what: str, *keys: str) -> Table | None:
    if not path.exists():
        return None
    parsed = _read_json(path)
    if not isinstance(parsed, dict) or not all(isinstance(parsed.get(key), dict) for key in keys):
        expected = f"an object with {' and '.join(map(repr, keys))} in it" if keys else "an object"
        raise NotCaptured(f"{path}: not a server's {what}: expected {expected}")
    return parsed


def _read_models(path: Path) -> Sizes | None:
    if not path.exists():
        return None
    try:
        return msgspec.convert(_read_json(path), dict[str, dict[str, int | None]])
    except msgspec.ValidationError as error:
        raise NotCaptured(f"{path}: not a list of models: {error}") from error


def _offered(base: RecordedServer, choice: ModelChoice | FileChoice) -> list[Any] | None:
    """Return the choices of an input, or ``None`` if it is unknown or no list of choices."""
    node_type = base.node_types.get(choice.class_type)
    declared = node_type.inputs.get(choice.input) if node_type is not None else None
    return None if declared is None else declared.choices


def _model_choices(base: RecordedServer, models: Mapping[str, tuple[str, ...]]) -> list[ModelChoice]:
    found = []
    for choice in base.folders.model_choices:
        offered, files = _offered(base, choice), sorted(models.get(choice.folder, ()))
        starts = [at for at in range(len(offered or ()) + 1) if (offered or [])[at : at + len(files)] == files]
        if offered is not None and starts:
            at = len(choice.before) if len(choice.before) in starts else starts[0]
            around = {"before": tuple(offered[:at]), "after": tuple(offered[at + len(files) :])}
            found.append(msgspec.structs.replace(choice, **around))
    return found


def _file_choices(base: RecordedServer) -> list[FileChoice]:
    found = []
    for choice in base.folders.file_choices:
        offered = _offered(base, choice)
        if choice.remote and choice.class_type in base.object_info:
            found.append(choice)
        elif offered is not None:
            before = choice.before if tuple(offered[: len(choice.before)]) == choice.before else ()
            captured = tuple(offered[len(before) :])
            found.append(msgspec.structs.replace(choice, before=before, captured=captured))
    return found
