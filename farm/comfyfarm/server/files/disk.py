"""Where do an instance's files stand on the disk, and which of them did we put there?

A user may hand us folders of their own, so every file that comes from us is remembered, and no other is ever removed.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar
from weakref import WeakSet

from comfyfarm.events.base import Folder
from comfyfarm.server.files.atomic import system_error, write_new, write_over
from comfyfarm.server.media.pictures import ImageRenderer, picture_size
from comfyfarm.server.stat_cache import FileFactCache, digest_of, is_draft, regular_file
from comfyfarm.sim.files import FileContent, Place


class Outside(Exception):
    """A path that leads out of the folder it was asked in."""


@dataclass(eq=False)
class Disk:
    """The three folders of one instance: :class:`~comfyfarm.sim.files.Files` for the simulation, paths for the routes.

    The folders are made at once, because a client may join ``output`` with ``../input/NAME``.
    """

    input_dir: Path
    output_dir: Path
    temp_dir: Path
    renderer: ImageRenderer
    _written: set[Path] = field(default_factory=set, init=False, repr=False)
    _uploads: set[Path] = field(default_factory=set, init=False, repr=False)
    _brought: set[Path] = field(default_factory=set, init=False, repr=False)
    _made: set[Path] = field(default_factory=set, init=False, repr=False)
    _hidden: dict[Path, bytes] = field(default_factory=dict, init=False, repr=False)
    _all: ClassVar[WeakSet[Disk]] = WeakSet()       # instances may share a folder

    def __post_init__(self) -> None:
        """Make the folders."""
        self._all.add(self)
        # resolve() would follow symlinks, and a later change of directory must not move the folders.
        self.input_dir, self.output_dir, self.temp_dir = (
            Path(os.path.abspath(each)) for each in (self.input_dir, self.output_dir, self.temp_dir)    # noqa: PTH100
        )
        self._folders: dict[Folder, Path] = {"input": self.input_dir, "output": self.output_dir, "temp": self.temp_dir}
        self._digests: FileFactCache[str] = FileFactCache(digest_of)
        self._sizes: FileFactCache[tuple[int, int] | None] = FileFactCache(picture_size)
        for folder in self._folders.values():
            self._make(folder)

    # What the simulation asks.

    def names(self, folder: Folder, subfolder: str) -> Collection[str]:
        """See :class:`~comfyfarm.sim.files.Files`; directories are not among them."""
        try:
            directory = self.place(folder, subfolder, "")
            with os.scandir(directory) as entries:
                seen = [entry.name for entry in entries if not (entry.is_dir() or is_draft(entry.name))]
        except Outside:
            return ()
        except OSError:
            seen = []
        return seen + [path.name for path in self._hidden if path.parent == directory]

    def exists(self, place: Place) -> bool:
        """See :class:`~comfyfarm.sim.files.Files`."""
        path = self._inside(place)
        return path is not None and regular_file(path) is not None

    def digest(self, place: Place) -> str | None:
        """See :class:`~comfyfarm.sim.files.Files`."""
        path = self._inside(place)
        return None if path is None else self.digest_at(path)

    def size(self, place: Place) -> tuple[int, int] | None:
        """See :class:`~comfyfarm.sim.files.Files`."""
        path = self._inside(place)
        return None if path is None else self._sizes.of(path)

    def put(self, place: Place, written: FileContent) -> None:
        """See :class:`~comfyfarm.sim.files.Files`.

        :raises Outside: where the place is out of its folder.
        :raises OSError: where the system refuses: a directory of that name, a full disk.
        """
        path = self.place(place.folder, place.subfolder, place.name)
        if path.is_dir():
            raise system_error(errno.EISDIR, path)      # names() does not show it: another try would end here, too
        if os.path.lexists(path) or path in self._hidden:
            raise system_error(errno.EEXIST, path)    # before anything is painted
        self._create(path, self.renderer.paint(place.name, written, self.content_of))
        self._written.add(path)

    # What faults do, through the simulation, to files that jobs have written.

    def replace(self, place: Place, written: FileContent) -> None:
        """See :class:`~comfyfarm.sim.files.Files`."""
        path = self.place(place.folder, place.subfolder, place.name)
        if not (os.path.lexists(path) and any(each.wrote(path) for each in self._all)):
            raise system_error(errno.EEXIST, path)
        write_over(path, self.renderer.paint(place.name, written, self.content_of))
        self._written.add(path)

    def remove(self, place: Place) -> bool:
        """See :class:`~comfyfarm.sim.files.Files`."""
        path = self._ours(place)
        if path is None:
            return False
        self._remove(self._written, {path})
        return True

    def hide(self, place: Place) -> bool:
        """See :class:`~comfyfarm.sim.files.Files`; its content is only remembered, so that nothing can be left
        behind.
        """
        path = self._ours(place)
        if path is None:
            return False
        self._hidden[path] = path.read_bytes()
        self._remove(self._written, {path})
        return True

    def reveal(self, place: Place) -> bool:
        """See :class:`~comfyfarm.sim.files.Files`."""
        path = self._inside(place)
        content = self._hidden.pop(path, None) if path is not None else None
        if path is None or content is None:
            return False
        try:
            self._create(path, content)
        except OSError:
            return False
        self._written.add(path)
        return True

    def length(self, place: Place) -> int | None:
        """See :class:`~comfyfarm.sim.files.Files`."""
        path = self._inside(place)
        found = None if path is None else regular_file(path)
        return None if found is None else found.st_size

    def cut(self, place: Place, size_bytes: int) -> bool:
        """See :class:`~comfyfarm.sim.files.Files`."""
        path = self._ours(place)
        if path is None:
            return False
        write_over(path, path.read_bytes()[:size_bytes])
        return True

    def wrote(self, path: Path) -> bool:
        """Whether a job of this instance wrote it."""
        return path in self._written

    def _ours(self, place: Place) -> Path | None:
        """Where a file stands that a job of ours wrote, or ``None`` where there is none."""
        path = self._inside(place)
        return path if path in self._written and path is not None and regular_file(path) is not None else None

    # What the routes ask.

    def place(self, folder: Folder, subfolder: str, name: str) -> Path:
        """Where a name leads to, whether or not something is there.

        :raises Outside: where that is out of the folder.  Like ComfyUI we compare the texts of the paths, so that a
            symlink in a folder may lead out of it.
        """
        base = self._folders[folder]
        if "\0" in subfolder or "\0" in name:
            raise Outside(f"a path with NUL in {folder}")
        path = os.path.abspath(os.path.join(base, subfolder, name))     # noqa: PTH100, PTH118 (as ComfyUI joins)
        if os.path.commonpath((base, path)) != str(base):
            raise Outside(f"{name} in {subfolder or '.'} of {folder}")
        return Path(path)

    def digest_at(self, path: Path) -> str | None:
        """The SHA-256 of a file, in hex, or ``None`` where there is none."""
        return self._digests.of(path)

    def content_of(self, digest: str) -> bytes | None:
        """The bytes of a file whose digest was asked before, or ``None`` where it has changed or gone."""
        path = self._digests.having(digest)
        return None if path is None else path.read_bytes()

    def upload(self, path: Path, content: bytes) -> None:
        """Write a client's file, over whatever stands there; nobody ever sees half of it.

        What was there and is not ours counts as the user's still: it will not be removed.

        :raises OSError: where the directory is missing or the name impossible.
        """
        ours = not os.path.lexists(path) or path in self._written
        write_over(path, content)
        if ours:
            self._uploads.add(path)

    def make_directory(self, folder: Folder, subfolder: str) -> None:
        """Make a subfolder and remember it.

        :raises Outside: where it is out of the folder.
        """
        self._make(self.place(folder, subfolder, ""))

    # What the instance does with its folders.

    def bring(self, name: str, content: bytes) -> None:
        """Put the instance's own picture into ``input``, unless it stands there already.

        :raises FileExistsError: where another file has its name.
        """
        path = self.place("input", "", name)
        try:
            self._create(path, content)
            self._brought.add(path)
        except FileExistsError:
            if self.digest_at(path) != hashlib.sha256(content).hexdigest():
                raise system_error(errno.EEXIST, path) from None      # not of the draft

    def empty_temp(self) -> None:
        """Remove what we and our clients put into ``temp``, as ComfyUI does when it starts and stops."""
        temp = self._folders["temp"]
        for ours in (self._written, self._uploads):
            self._remove(ours, {path for path in ours if path.is_relative_to(temp)})
        self._hidden = {path: content for path, content in self._hidden.items() if not path.is_relative_to(temp)}

    def remove_uploads(self) -> None:
        """Remove the clients' files (for a reset)."""
        self._remove(self._uploads, set(self._uploads))

    def remove_outputs(self) -> None:
        """Remove the jobs' files (for a reset with ``files=true``); the instance's own picture stays."""
        self._remove(self._written, set(self._written))
        self._hidden.clear()

    def remove_written(self) -> None:
        """Remove all that came from us: files, uploads, and the directories we made, if they are empty now."""
        for ours in (self._written, self._uploads, self._brought):
            self._remove(ours, set(ours))
        self._hidden.clear()
        self._remove_directories(self._made)

    def _inside(self, place: Place) -> Path | None:
        try:
            return self.place(place.folder, place.subfolder, place.name)
        except Outside:
            return None

    def _create(self, path: Path, content: bytes) -> None:
        """Write a new file, whole or not at all."""
        self._make(path.parent)
        write_new(path, content)

    def _make(self, directory: Path) -> None:
        if directory.is_dir():
            return
        if directory.exists():
            raise system_error(errno.ENOTDIR, directory)  # mkdir would say that the *name* is taken
        self._make(directory.parent)
        directory.mkdir()
        self._made.add(directory)

    def _remove(self, ours: set[Path], paths: set[Path]) -> None:
        for path in paths:
            with suppress(OSError):
                path.unlink()
        ours -= paths
        folders = set(self._folders.values())
        self._remove_directories({made for made in self._made - folders if folders.intersection(made.parents)})

    def _remove_directories(self, directories: set[Path]) -> None:
        for directory in sorted(directories, key=lambda made: len(made.parts), reverse=True):
            with suppress(OSError):     # not empty: somebody else uses it
                directory.rmdir()
                self._made.discard(directory)
