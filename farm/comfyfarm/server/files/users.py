"""The users of an instance, and their settings and files."""

import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from comfyfarm.seeds import new_uuid
from comfyfarm.server.files.detached import walk
from comfyfarm.server.files.disk import Outside
from comfyfarm.server.files.folders import make_folders
from comfyfarm.server.files.removal import remove_tree
from comfyfarm.sim.errors import ServerError
from comfyfarm.versions import DEFAULT_BEHAVIOUR, Behaviour

_ONLY_USER = "default"
_NOT_IN_AN_ID = re.compile(r"[^A-Za-z0-9_-]+")


class BadUser(Exception):
    """A user cannot be added; the message is ComfyUI's."""


@dataclass(eq=False)
class Users:
    """The users of one instance, and the directory that holds their files.

    The directory is new for each run and removed at its end, also inside a configured ``data_dir``, because only the
    API uses these files.

    :ivar base_dir: where the directory is made when it is first needed.
    :ivar several: whether requests name their user by the header ``comfy-user``; if not, there is one user.
    :ivar names: by id.
    """

    base_dir: Path
    several: bool
    ids: Random
    behaviour: Behaviour = DEFAULT_BEHAVIOUR
    names: dict[str, str] = field(default_factory=dict)
    _directory: Path | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if not self.several:
            self.names = {_ONLY_USER: _ONLY_USER}

    def folder_of(self, claimed: str | None) -> "UserFolder":
        """Return the files of the user of a request.

        :param claimed: the header ``comfy-user``, which is ignored unless there are several users.
        :raises ServerError: if no user has that id.
        """
        user = claimed if self.several and claimed is not None else _ONLY_USER
        if user not in self.names:
            raise ServerError(f"unknown user {user!r}")
        return UserFolder(self._make_directory() / user, self.behaviour)

    def as_json(self) -> dict[str, object]:
        """Return the body of ``GET /users``."""
        if self.several:
            return {"storage": "server", "users": self.names}
        return {"storage": "server", "migrated": (self._make_directory() / _ONLY_USER).exists()}

    def add(self, name: str) -> str:
        """Add a user, and return its id.

        :raises BadUser: if the name is empty or taken.
        """
        name = name.strip()
        if not name:
            raise BadUser("username not provided")
        if name in self.names.values():
            raise BadUser("Duplicate username.")
        user = f"{_NOT_IN_AN_ID.sub('-', name).strip('-_')}_{new_uuid(self.ids)}"
        self.names[user] = name
        return user

    def remove_files(self) -> None:
        """Remove every user's settings and files."""
        if self._directory is not None:
            remove_tree(self._directory)
            self._directory = None

    def _make_directory(self) -> Path:
        if self._directory is None:
            self.base_dir.mkdir(parents=True, exist_ok=True)
            self._directory = Path(tempfile.mkdtemp(prefix="user-", dir=self.base_dir))
        return self._directory


def is_there(path: Path) -> bool:
    """Return whether something is at this path; never raises, also not for an impossible name."""
    return os.path.exists(path)     # noqa: PTH110 (Path.exists raises at too long a name)


@dataclass(frozen=True)
class UserFolder:
    """The directory of one user, which is made with its first file."""

    root: Path
    behaviour: Behaviour = DEFAULT_BEHAVIOUR

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
        :raises RecursionError: as a real server, if it lies in too many new folders.
        """
        make_folders(path.parent)
        path.write_bytes(content)
        os.utime(path, (unix_s, unix_s))

    def move(self, path: Path, to: Path) -> None:
        """Rename a file, over any file of the new name.

        :raises OSError: if the name is impossible.
        :raises RecursionError: as a real server, if it would lie in too many new folders.
        """
        make_folders(to.parent)
        path.replace(to)

    def full_info(self, path: Path, base: Path | None = None) -> dict[str, Any]:
        """Return the description of a file for ``full_info=true``.

        :param base: the directory that its path is relative to; ``None`` for the user's folder.
        """
        found = path.stat()
        # On a real server "created" is the time of the inode's last change: the same time, except after a rename.
        changed = int(found.st_mtime * 1000) if self.behaviour.dates_in_ms else found.st_mtime
        name = path.relative_to(base or self.root).as_posix()
        info = {"path": name, "size": found.st_size, "modified": changed}
        return {**info, "created": changed} if self.behaviour.dates_creation else info

    def files(self, directory: Path, *, recurse: bool) -> list[Path]:
        """Return the files of a directory, sorted, without those whose name begins with a dot."""
        return sorted(_files(directory, recurse=recurse))

    def tree(self, directory: Path) -> list[dict[str, Any]]:
        """Return everything below a directory in the format of ``/v2/userdata``, directories first."""
        below = [Path(path) for path, _ in walk(str(directory))][1:]
        entries = sorted(below, key=lambda path: (not path.is_dir(), path.name.lower(), path))
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
    left = [directory]
    while left:     # no call for each level: the folders may be deeper than Python's recursion limit
        inside = left.pop()
        with suppress(NotADirectoryError):
            for path in inside.iterdir():
                if path.name.startswith("."):
                    continue
                if path.is_file():
                    yield path
                elif recurse and path.is_dir():
                    left.append(path)
