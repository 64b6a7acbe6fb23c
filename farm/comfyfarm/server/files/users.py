"""Who uses an instance, and where are each one's settings and files kept?"""

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
    """A user that cannot be added; the message is ComfyUI's."""


@dataclass(eq=False)
class Users:
    """The users of one instance, and the directory that holds their files.

    The directory is fresh for each run and goes with it, whatever else a given ``data_dir`` holds: nobody finds these
    files but the API.

    :ivar home: where the directory is made, once it is needed.
    :ivar several: whether a request says by ``comfy-user`` whose it is; else all is one user's.
    :ivar names: by id.
    """

    home: Path
    several: bool
    ids: Random
    names: dict[str, str] = field(default_factory=dict)
    _directory: Path | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Know the one user that needs no adding."""
        if not self.several:
            self.names = {_ONLY_USER: _ONLY_USER}

    def folder_of(self, claimed: str | None) -> UserFolder:
        """The files of whoever asks.

        :param claimed: the header ``comfy-user``, which counts only where there are several.
        :raises ServerError: where nobody has that id.
        """
        user = claimed if self.several and claimed is not None else _ONLY_USER
        if user not in self.names:
            raise ServerError(f"unknown user {user!r}")
        return UserFolder(self._make_directory() / user)

    def described(self) -> dict[str, object]:
        """The body of ``GET /users``."""
        if self.several:
            return {"storage": "server", "users": self.names}
        return {"storage": "server", "migrated": (self._make_directory() / _ONLY_USER).exists()}

    def add(self, name: str) -> str:
        """Take a user in, and give its id.

        :raises BadUser: where the name is empty or taken.
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
            self.home.mkdir(parents=True, exist_ok=True)
            self._directory = Path(tempfile.mkdtemp(prefix="user-", dir=self.home))
        return self._directory
