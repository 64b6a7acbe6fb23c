"""The users of an instance, and the directory of their settings and files."""

from __future__ import annotations

import re
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from comfyfarm.seeds import new_uuid
from comfyfarm.server.files.userdata import UserFolder
from comfyfarm.sim.errors import ServerError

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
    names: dict[str, str] = field(default_factory=dict)
    _directory: Path | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if not self.several:
            self.names = {_ONLY_USER: _ONLY_USER}

    def folder_of(self, claimed: str | None) -> UserFolder:
        """Return the files of the user of a request.

        :param claimed: the header ``comfy-user``, which is ignored unless there are several users.
        :raises ServerError: if no user has that id.
        """
        user = claimed if self.several and claimed is not None else _ONLY_USER
        if user not in self.names:
            raise ServerError(f"unknown user {user!r}")
        return UserFolder(self._make_directory() / user)

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
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None

    def _make_directory(self) -> Path:
        if self._directory is None:
            self.base_dir.mkdir(parents=True, exist_ok=True)
            self._directory = Path(tempfile.mkdtemp(prefix="user-", dir=self.base_dir))
        return self._directory
