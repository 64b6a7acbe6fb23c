"""The files of one user, as ``/userdata`` lists and writes them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from comfyfarm.server.files.disk import Outside


def is_there(path: Path) -> bool:
    """Return whether something is at this path; never raises, also not for an impossible name."""
    return os.path.exists(path)     # noqa: PTH110 (Path.exists raises at too long a name)


@dataclass(frozen=True)
class UserFolder:
    """The directory of one user, which is made with its first file."""

    root: Path

    def path(self, name: str) -> Path:
        """Return the path for a name, whether or not something is there.

        :raises Outside: if it leads out of the folder.
        """
        path = os.path.abspath(os.path.join(self.root, name))   # noqa: PTH100, PTH118 (".." by the text, as ComfyUI)
        if os.path.commonpath((self.root, path)) != str(self.root):
            raise Outside(f"{name} of a user's folder")
        return Path(path)

    def name_of(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def write(self, path: Path, content: bytes, unix_s: float) -> None:
        """Write a file.

        :param unix_s: its modification time, as Unix time in seconds: simulated time, not the system's.
        :raises OSError: if the name is impossible.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (unix_s, unix_s))

    def move(self, path: Path, to: Path) -> None:
        """Rename a file, over any file of the new name.

        :raises OSError: if the name is impossible.
        """
        to.parent.mkdir(parents=True, exist_ok=True)
        path.replace(to)

    def full_info(self, path: Path, base: Path | None = None) -> dict[str, Any]:
        """Return the description of a file for ``full_info=true``.

        :param base: the directory that its path is relative to; ``None`` for the user's folder.
        """
        found = path.stat()
        # On a real server "created" is the time of the inode's last change: the same time, except after a rename.
        changed_ms = int(found.st_mtime * 1000)
        name = path.relative_to(base or self.root).as_posix()
        return {"path": name, "size": found.st_size, "modified": changed_ms, "created": changed_ms}

    def files(self, directory: Path, *, recurse: bool) -> list[Path]:
        """Return the files of a directory, sorted, without those whose name begins with a dot."""
        return sorted(_files(directory, recurse=recurse))

    def tree(self, directory: Path) -> list[dict[str, Any]]:
        """Return everything below a directory in the format of ``/v2/userdata``, directories first."""
        entries = sorted(directory.rglob("*"), key=lambda path: (not path.is_dir(), path.name.lower(), path))
        return [self._entry(path) for path in entries]

    def _entry(self, path: Path) -> dict[str, Any]:
        entry: dict[str, Any] = {"name": path.name, "path": self.name_of(path)}
        if path.is_dir():
            return {**entry, "type": "directory"}
        found = path.stat()
        return {**entry, "type": "file", "size": found.st_size, "modified": found.st_mtime}

    def settings(self) -> dict[str, Any]:
        """Return the user's settings; none if their file is missing or broken."""
        try:
            found = json.loads(self._settings_file.read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    def write_settings(self, settings: dict[str, Any], unix_s: float) -> None:
        self.write(self._settings_file, json.dumps(settings, indent=4).encode(), unix_s)

    @property
    def _settings_file(self) -> Path:
        return self.root / "comfy.settings.json"


def _files(directory: Path, *, recurse: bool) -> Iterator[Path]:
    try:
        entries = [path for path in directory.iterdir() if not path.name.startswith(".")]
    except NotADirectoryError:
        return
    for path in entries:
        if path.is_file():
            yield path
        elif recurse and path.is_dir():
            yield from _files(path, recurse=True)
