"""One user's files, as ``/userdata`` lists and keeps them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from comfyfarm.server.files.disk import Outside


def is_there(path: Path) -> bool:
    """Whether there is something; under a name that no file can have there is not."""
    return os.path.exists(path)     # noqa: PTH110 (Path.exists raises at too long a name)


@dataclass(frozen=True)
class UserFolder:
    """A user's own directory, which comes to be with its first file."""

    root: Path

    def place(self, name: str) -> Path:
        """Where a name leads to, whether or not something is there.

        :raises Outside: where that is out of the folder.
        """
        path = os.path.abspath(os.path.join(self.root, name))   # noqa: PTH100, PTH118 (".." by the text, as ComfyUI)
        if os.path.commonpath((self.root, path)) != str(self.root):
            raise Outside(f"{name} of a user's folder")
        return Path(path)

    def name_of(self, path: Path) -> str:
        """The name that leads to a path."""
        return path.relative_to(self.root).as_posix()

    def write(self, path: Path, content: bytes, unix_s: float) -> None:
        """Keep a file.

        :param unix_s: what a client's clock says now: simulated time, which the system's own would not tell.
        :raises OSError: where the name is impossible.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (unix_s, unix_s))

    def move(self, path: Path, to: Path) -> None:
        """Give a file another name, over whatever has it.

        :raises OSError: where the name is impossible.
        """
        to.parent.mkdir(parents=True, exist_ok=True)
        path.replace(to)

    def described(self, path: Path, base: Path | None = None) -> dict[str, Any]:
        """What ``full_info=true`` says of a file.

        :param base: what its path is told from; the folder itself, if nothing else is said.
        """
        found = path.stat()
        # On a real server "created" is when the file's entry last changed: the same moment, but for a rename.
        changed_ms = int(found.st_mtime * 1000)
        name = path.relative_to(base or self.root).as_posix()
        return {"path": name, "size": found.st_size, "modified": changed_ms, "created": changed_ms}

    def listed(self, directory: Path, *, recurse: bool) -> list[Path]:
        """The files of a directory, those aside whose name begins with a dot."""
        return sorted(path for path in _files(directory, recurse=recurse))

    def tree(self, directory: Path) -> list[dict[str, Any]]:
        """Everything below a directory, as ``/v2/userdata`` tells it: directories first."""
        entries = sorted(directory.rglob("*"), key=lambda path: (not path.is_dir(), path.name.lower(), path))
        return [self._entry(path) for path in entries]

    def _entry(self, path: Path) -> dict[str, Any]:
        entry: dict[str, Any] = {"name": path.name, "path": self.name_of(path)}
        if path.is_dir():
            return {**entry, "type": "directory"}
        found = path.stat()
        return {**entry, "type": "file", "size": found.st_size, "modified": found.st_mtime}

    # Settings are a file among the others.

    def settings(self) -> dict[str, Any]:
        """The user's settings; none where the file is missing or broken."""
        try:
            found = json.loads(self._settings_file.read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    def keep_settings(self, settings: dict[str, Any], unix_s: float) -> None:
        """Keep the user's settings."""
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
