"""Write down what a real server reports about itself, so that a farm can serve the same."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from comfyfarm.clients.comfy_sync import HttpStatusError
from comfyfarm.config.captured import FEATURES, MODELS, OBJECT_INFO, SYSTEM_STATS, CapturedServer, check_object_info

FRAGMENT = "instance.toml"
DIGESTS = "captured.sha256"
"""The digests of the other files as they were written, in the form of ``sha256sum``."""

TIMEOUT_S = 60.0       # a server with many packs of nodes takes its time over /object_info

Get = Callable[[str], bytes]


class NotComfyUI(Exception):
    """The server is no ComfyUI; the message says what it answered."""


def take(get: Get) -> CapturedServer:
    """Query a server for everything in which servers differ.

    :param get: returns the body at a path; raises :class:`HttpStatusError` if the server answers with an error.
    :raises NotComfyUI: if the server is no ComfyUI.
    """
    stats = _require(get, "/system_stats")
    if not isinstance(stats, dict) or not isinstance(stats.get("system"), dict):
        raise NotComfyUI("/system_stats does not describe a system")
    try:
        object_info = check_object_info(_require(get, "/object_info"))
    except ValueError as error:
        raise NotComfyUI(f"/object_info: {error}") from error
    features = _fetch_optional(get, "/features")
    return CapturedServer(object_info, _models(get), stats, features if isinstance(features, dict) else None)


def _require(get: Get, path: str) -> Any:
    """Return the JSON at a path that every ComfyUI has.

    :raises NotComfyUI: if there is none.
    """
    try:
        return json.loads(get(path))
    except HttpStatusError as error:
        raise NotComfyUI(f"{path} answered {error.status}") from error
    except ValueError as error:
        raise NotComfyUI(f"{path} answered no JSON") from error


def _fetch_optional(get: Get, path: str) -> Any:
    """Return the JSON at a path that only some versions have, or ``None``."""
    try:
        return _require(get, path)
    except NotComfyUI:
        return None


def _models(get: Get) -> dict[str, dict[str, int | None]] | None:
    """Return the sizes by folder and name; ``None`` if the server does not list its folders."""
    folders = _fetch_optional(get, "/models")
    if not isinstance(folders, list):
        return None
    return {folder: dict(_files(get, folder)) for folder in folders if isinstance(folder, str)}


def _files(get: Get, folder: str) -> Iterator[tuple[str, int | None]]:
    path = quote(folder, safe="")
    entries = _fetch_optional(get, f"/experiment/models/{path}") or ()
    sizes = {entry["name"]: entry.get("size") for entry in entries if isinstance(entry, dict) and "name" in entry}
    for name in _fetch_optional(get, f"/models/{path}") or ():
        size = sizes.get(name)
        yield name, size if isinstance(size, int) else None


def write(captured: CapturedServer, directory: Path, url: str, name: str = "captured") -> list[Path]:
    """Write the files into a directory, with an ``[[instance]]`` that serves the same, and return their paths.

    Files of an earlier capture are replaced; others are left alone.

    :param url: the server's, for the reader of the ``[[instance]]``.
    :raises OSError: if a file cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    texts = {
        OBJECT_INFO: _one_per_line(captured.object_info),
        MODELS: None if captured.models is None else _one_per_line(captured.models),
        SYSTEM_STATS: _indented(captured.system_stats),
        FEATURES: _indented(captured.features),
        FRAGMENT: _fragment(captured, url, name),
    }
    written = {file: text for file, text in texts.items() if text is not None}
    lines = (f"{_digest(text.encode())}  {file}\n" for file, text in written.items())
    for file in texts.keys() - written.keys():
        (directory / file).unlink(missing_ok=True)
    for file, text in {**written, DIGESTS: "".join(lines)}.items():
        (directory / file).write_text(text, encoding="utf-8")
    return [directory / file for file in written]


def edited_files(directory: Path) -> list[str]:
    """Return the names of the files in a directory that a capture would overwrite and none has written as they are.

    :raises OSError: if a file cannot be read.
    """
    digests = directory / DIGESTS
    written = digests.read_text("utf-8").splitlines() if digests.exists() else []
    files = [file for file in (OBJECT_INFO, MODELS, SYSTEM_STATS, FEATURES, FRAGMENT) if (directory / file).exists()]
    return [file for file in files if f"{_digest((directory / file).read_bytes())}  {file}" not in written]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _one_per_line(entries: Mapping[str, Any]) -> str:
    """Return JSON with one entry per line, so that two captures can be compared by lines."""
    lines = (f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in entries.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _indented(table: Any) -> str | None:
    return None if table is None else json.dumps(table, indent=1) + "\n"


def _fragment(captured: CapturedServer, url: str, name: str) -> str:
    version = captured.defaults().get("comfyui_version", "of an unknown version")
    models = sum(map(len, (captured.models or {}).values()))
    return f"""\
# Captured from {url}: ComfyUI {version}, {len(captured.object_info)} node types, {models} model files.
# It can be served as it is (comfyfarm run --config {FRAGMENT}), or copied into another config.toml:
# captured is relative to the file that it stands in.

[[instance]]
name = {json.dumps(name)}
captured = "."
# vram = "24GB"       # then /system_stats follows what is loaded, instead of standing as it was captured
"""
