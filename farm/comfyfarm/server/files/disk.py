"""The files of an instance on disk."""

import errno
import hashlib
import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import ClassVar
from weakref import WeakSet

from comfyfarm.events.base import Folder
from comfyfarm.server.files.atomic import is_taken, system_error, write_new, write_over
from comfyfarm.server.files.folders import make_folders
from comfyfarm.server.files.owned_files import OwnedFiles, inside_of
from comfyfarm.server.media.pictures import ImageRenderer, picture_size
from comfyfarm.server.stat_cache import FileFactCache, digest_of, is_draft, regular_file
from comfyfarm.server.time.turns import at_once
from comfyfarm.sim.files import FileContent, Place, find_place
from comfyfarm.sim.values import Picture

EXAMPLE = "example.png"
"""The picture that every real server has in ``input``."""

_EXAMPLE_SIDE = 256


class Outside(Exception):
    """A path that leads out of its folder."""


@dataclass(eq=False)
class Disk:
    """The three folders of one instance: :class:`~comfyfarm.sim.files.Files` for the simulation, paths for the routes.

    The folders are made at once, because a client may join ``output`` with ``../input/NAME``.

    :ivar _hidden: the content of files that a fault hides.
    """

    input_dir: Path
    output_dir: Path
    temp_dir: Path
    renderer: ImageRenderer
    _hidden: dict[Path, bytes] = field(default_factory=dict, init=False, repr=False)
    _all: ClassVar[WeakSet["Disk"]] = WeakSet()       # instances may share a folder

    def __post_init__(self) -> None:
        self._all.add(self)
        # resolve() would follow symlinks, and a later change of directory must not move the folders.
        self.input_dir, self.output_dir, self.temp_dir = (
            Path(os.path.abspath(path)) for path in (self.input_dir, self.output_dir, self.temp_dir)    # noqa: PTH100
        )
        self._folders: dict[Folder, Path] = {"input": self.input_dir, "output": self.output_dir, "temp": self.temp_dir}
        self._owned = OwnedFiles(self._folders.values())
        self._digests: FileFactCache[str] = FileFactCache(digest_of)
        self._sizes: FileFactCache[tuple[int, int] | None] = FileFactCache(picture_size)
        for folder in self._folders.values():
            self._make(folder)

    # For the simulation; documented in sim.files.Files.

    def names(self, folder: Folder, subfolder: str) -> Collection[str]:
        try:
            directory = self.path(folder, subfolder, "")
            with os.scandir(directory) as entries:
                names = [entry.name for entry in entries if not (entry.is_dir() or is_draft(entry.name))]
        except Outside:
            return ()
        except OSError:
            names = []
        return names + [path.name for path in self._hidden if path.parent == directory]

    def find(self, folder: Folder, name: str, *, confined: bool = False) -> Place | None:
        base = self._folders[folder]
        path = os.path.join(base, name)     # noqa: PTH118 (with its dots, which the system follows)
        if not os.path.exists(path):    # noqa: PTH110 (Path.exists raises at too long a name)
            return None
        if confined and not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(base)):
            return None
        return find_place({home: str(path) for home, path in self._folders.items()}, folder, name)

    def exists(self, place: Place) -> bool:
        path = self._path_of(place)
        return path is not None and regular_file(path) is not None

    def is_folder(self, place: Place) -> bool:
        path = self._path_of(place)
        return path is not None and os.path.isdir(path)     # noqa: PTH112 (Path.is_dir raises at too long a name)

    def digest(self, place: Place) -> str | None:
        path = self._path_of(place)
        return None if path is None else self.digest_at(path)

    def size(self, place: Place) -> tuple[int, int] | None:
        path = self._path_of(place)
        return None if path is None else self._sizes.of(path)

    def put(self, place: Place, content: FileContent) -> None:
        """Write a new file, whole or not at all.

        :raises Outside: if the place is out of its folder.
        :raises OSError: if the system refuses: a directory of that name, a full disk.
        """
        path = self.path(place.folder, place.subfolder, place.name)
        if path in self._hidden or is_taken(path):     # before anything is rendered
            # Not EEXIST for a directory: names() leaves it out, so a retry would fail, too.
            raise system_error(errno.EISDIR if path.is_dir() else errno.EEXIST, path)
        self._create(path, self.renderer.render(place.name, content, self.content_of))
        self._owned.written.add(path)

    # For faults, through the simulation, on the files of jobs.

    def replace(self, place: Place, content: FileContent) -> None:
        path = self.path(place.folder, place.subfolder, place.name)
        if not (os.path.lexists(path) and any(disk.wrote(path) for disk in self._all)):
            raise system_error(errno.EEXIST, path)
        write_over(path, self.renderer.render(place.name, content, self.content_of))
        self._owned.written.add(path)

    def remove(self, place: Place) -> bool:
        path = self._written_path(place)
        if path is None:
            return False
        self._owned.written.discard(path)
        at_once(self._owned.remove({path}))
        return True

    def hide(self, place: Place) -> bool:
        """Keep the content in memory and remove the file, so that nothing hidden can be left behind on disk."""
        path = self._written_path(place)
        if path is not None:
            self._hidden[path] = path.read_bytes()
        return self.remove(place)

    def reveal(self, place: Place) -> bool:
        path = self._path_of(place)
        content = self._hidden.pop(path, None) if path is not None else None
        if path is None or content is None:
            return False
        try:
            self._create(path, content)
        except OSError:
            return False
        self._owned.written.add(path)
        return True

    def length(self, place: Place) -> int | None:
        path = self._path_of(place)
        found = None if path is None else regular_file(path)
        return None if found is None else found.st_size

    def cut(self, place: Place, size_bytes: int) -> bool:
        path = self._written_path(place)
        if path is None:
            return False
        write_over(path, path.read_bytes()[:size_bytes])
        return True

    def wrote(self, path: Path) -> bool:
        """Return whether a job of this instance wrote this file."""
        return path in self._owned.written

    def _written_path(self, place: Place) -> Path | None:
        """Return the path of a file that a job of this instance wrote, or ``None``."""
        path = self._path_of(place)
        return path if path in self._owned.written and path is not None and regular_file(path) is not None else None

    # For the routes.

    def path(self, folder: Folder, subfolder: str, name: str) -> Path:
        """Return the path for a name, whether or not something is there.

        :raises Outside: if it leads out of the folder.  As in ComfyUI the texts of the paths are compared, so a symlink
            in a folder may lead out of it.
        """
        path = _path_inside(self._folders[folder], subfolder, name)
        if path is None:
            raise Outside(f"{name!r} in {subfolder or '.'!r} of {folder}")
        return path

    def digest_at(self, path: Path) -> str | None:
        """Return the SHA-256 of a file, in hex, or ``None`` if there is no file."""
        return self._digests.of(path)

    def content_of(self, digest: str) -> bytes | None:
        """Return the bytes of a file by a digest that was computed before; ``None`` if it has changed or gone."""
        path = self._digests.path_with(digest)
        return None if path is None else path.read_bytes()

    def upload(self, path: Path, content: bytes) -> None:
        """Write a client's file over any file of that name.

        :raises OSError: if the directory is missing or the name impossible.
        """
        self._owned.upload(path, content)

    def make_directory(self, folder: Folder, subfolder: str) -> None:
        """Make a subfolder, to be removed at the end.

        :raises Outside: if it is out of the folder.
        """
        self._make(self.path(folder, subfolder, ""))

    # For the instance.

    def provide(self, name: str, content: bytes) -> None:
        """Put a picture of the instance into ``input``, unless it is there already.

        :raises FileExistsError: if another file has its name.
        """
        path = self.path("input", "", name)
        try:
            self._create(path, content)
            self._owned.provided.add(path)
        except FileExistsError:
            if self.digest_at(path) != hashlib.sha256(content).hexdigest():
                raise system_error(errno.EEXIST, path) from None      # this path, not that of the draft

    def provide_example(self) -> None:
        """Put a small copy of the input picture into ``input`` as ``example.png``; a user's own file stays."""
        width, height = self.renderer.size
        scale = min(1.0, _EXAMPLE_SIDE / max(width, height))
        small = Picture(max(1, round(width * scale)), max(1, round(height * scale)))
        with suppress(FileExistsError):
            self.provide(EXAMPLE, self.renderer.preview_png(small))

    # What removes many files is a generator: it goes on in another turn of the reactor after each of its parts.

    def empty_temp(self) -> Iterator[None]:
        """Remove what jobs and clients put into ``temp``, as ComfyUI does when it starts and stops."""
        inside = inside_of(self.temp_dir)
        self._hidden = {path: content for path, content in self._hidden.items() if not str(path).startswith(inside)}
        yield from self._owned.remove_inside(self.temp_dir)

    def remove_uploads(self) -> Iterator[None]:
        """Remove the clients' files."""
        yield from self._owned.remove_uploads()

    def remove_outputs(self) -> Iterator[None]:
        """Remove the jobs' files (for a reset with ``files=true``)."""
        self._hidden.clear()
        yield from self._owned.remove_written()

    def remove_all(self) -> None:
        """Remove all files that the farm wrote, and the directories that it made if they are empty now."""
        self._hidden.clear()
        self._owned.remove_all()

    def _path_of(self, place: Place) -> Path | None:
        try:
            return self.path(place.folder, place.subfolder, place.name)
        except Outside:
            return None

    def _create(self, path: Path, content: bytes) -> None:
        try:
            write_new(path, content)
        except (FileNotFoundError, NotADirectoryError):     # the directory is missing, or is none
            self._make(path.parent)
            write_new(path, content)

    def _make(self, directory: Path) -> None:
        self._owned.made.update(make_folders(directory))


@lru_cache(1024)
def _path_inside(base: Path, subfolder: str, name: str) -> Path | None:
    """Return the path for a name; ``None`` if it leads out of the folder, or cannot be one."""
    if "\0" in subfolder or "\0" in name:
        return None
    if name not in ("", ".", "..") and "/" not in name and (folder := _path_inside(base, subfolder, "")) is not None:
        return folder / name    # as nearly all: jobs write ever new names into the same folders
    path = os.path.abspath(os.path.join(base, subfolder, name))     # noqa: PTH100, PTH118 (as ComfyUI joins)
    return Path(path) if os.path.commonpath((base, path)) == str(base) else None
