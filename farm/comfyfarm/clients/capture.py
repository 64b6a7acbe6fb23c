"""``comfyfarm capture``: what a real server tells of itself, written down so that a farm can serve the same."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import quote

from comfyfarm.clients.comfy_sync import ask
from comfyfarm.clients.errors import HttpStatusError
from comfyfarm.config.captured import FEATURES, MODELS, OBJECT_INFO, SYSTEM_STATS, CapturedServer, check_object_info

FRAGMENT = "instance.toml"
_TIMEOUT_S = 60.0       # a server with many packs of nodes takes its time over /object_info

Get = Callable[[str], bytes]


class NotComfyUI(Exception):
    """What answers is no ComfyUI; the message says what it did."""


@dataclass(frozen=True)
class _Asker:
    """Asks one server.

    :ivar get: gives the body of a path; raises :class:`HttpStatusError` where the server says no.
    """

    get: Get

    def must(self, path: str) -> Any:
        """What every ComfyUI answers.

        :raises NotComfyUI: where this one does not.
        """
        try:
            return json.loads(self.get(path))
        except HttpStatusError as why:
            raise NotComfyUI(f"{path} answered {why.status}") from why
        except ValueError as why:
            raise NotComfyUI(f"{path} answered no JSON") from why

    def may(self, path: str) -> Any:
        """What some do not answer, or only some versions; ``None`` then."""
        try:
            return self.must(path)
        except NotComfyUI:
            return None


def take(get: Get) -> CapturedServer:
    """Ask a server for all that makes it unlike others.

    :param get: gives the body of a path; raises :class:`HttpStatusError` where the server says no.
    :raises NotComfyUI: where it is none.
    """
    asker = _Asker(get)
    stats = asker.must("/system_stats")
    if not isinstance(stats, dict) or not isinstance(stats.get("system"), dict):
        raise NotComfyUI("/system_stats does not describe a system")
    try:
        object_info = check_object_info(asker.must("/object_info"))
    except ValueError as why:
        raise NotComfyUI(f"/object_info: {why}") from why
    features = asker.may("/features")
    return CapturedServer(object_info, _models(asker), stats, features if isinstance(features, dict) else None)


def _models(asker: _Asker) -> dict[str, dict[str, int | None]] | None:
    """By folder and name, the sizes; ``None`` where the server does not tell its folders."""
    folders = asker.may("/models")
    if not isinstance(folders, list):
        return None
    return {folder: dict(_files(asker, folder)) for folder in folders if isinstance(folder, str)}


def _files(asker: _Asker, folder: str) -> Iterator[tuple[str, int | None]]:
    where = quote(folder, safe="")
    listed = asker.may(f"/experiment/models/{where}")
    sizes = {each["name"]: each.get("size") for each in listed or () if isinstance(each, dict) and "name" in each}
    for name in asker.may(f"/models/{where}") or ():
        size = sizes.get(name)
        yield name, size if isinstance(size, int) else None


def write(captured: CapturedServer, directory: Path, url: str, name: str = "captured") -> list[Path]:
    """Put the files into a directory, and beside them an ``[[instance]]`` that serves the same.

    Files of an earlier capture are replaced; others are left alone.

    :param url: of the server, for the reader of the fragment.
    :raises OSError: where a file cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    texts = {
        OBJECT_INFO: _one_per_line(captured.object_info),
        MODELS: None if captured.models is None else _one_per_line(captured.models),
        SYSTEM_STATS: _indented(captured.system_stats),
        FEATURES: _indented(captured.features),
        FRAGMENT: _fragment(captured, url, name),
    }
    for file, text in texts.items():
        if text is None:
            (directory / file).unlink(missing_ok=True)
        else:
            (directory / file).write_text(text, encoding="utf-8")
    return [directory / file for file, text in texts.items() if text is not None]


def _one_per_line(entries: Mapping[str, Any]) -> str:
    """JSON with one entry a line, so that two captures can be compared."""
    lines = (f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in entries.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _indented(told: Any) -> str | None:
    return None if told is None else json.dumps(told, indent=1) + "\n"


def _fragment(captured: CapturedServer, url: str, name: str) -> str:
    version = captured.defaults().get("comfyui_version", "of an unknown version")
    models = sum(map(len, (captured.models or {}).values()))
    return f"""\
# Captured from {url}: ComfyUI {version}, {len(captured.object_info)} node types, {models} model files.
# It can be served as it is (twistd -n comfyfarm --config {FRAGMENT}), or copied into another config.toml:
# captured is relative to the file that it stands in.

[[instance]]
name = {json.dumps(name)}
captured = "."
# vram = "24GB"       # then /system_stats follows what is loaded, instead of standing as it was captured
"""


# comfyfarm capture


def capture(options: argparse.Namespace) -> int:
    """Capture a server, and say what was written."""
    url, directory = options.url, options.output
    try:
        captured = take(lambda path: ask("GET", url + path, timeout_s=_TIMEOUT_S))
        written = write(captured, directory, url, options.name)
    except NotComfyUI as why:
        return _failed(f"{url}: not a ComfyUI server: {why}")
    except HTTPException as why:
        return _failed(f"{url}: not a ComfyUI server: {why!r}")
    except OSError as why:
        whose = why.filename or url
        return _failed(f"{whose}: {getattr(why, 'reason', None) or why.strerror or why}")
    for path in written:
        print(path)     # noqa: T201 (a command says what it did)
    return 0


def _failed(why: str) -> int:
    print(f"comfyfarm capture: {why}", file=sys.stderr)     # noqa: T201
    return 1
