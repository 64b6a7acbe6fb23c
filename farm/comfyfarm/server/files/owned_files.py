"""The files and directories that the farm wrote or made; no others are ever removed.

A user may configure folders of their own, which hold files of theirs.
"""

import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from comfyfarm.server.files.atomic import write_over
from comfyfarm.server.files.path_set import PathSet
from comfyfarm.server.files.removal import remove_files

_IN_A_TURN = 200    # files: about 5 ms


@dataclass(eq=False)
class OwnedFiles:
    """The files of one instance that the farm wrote, and the directories that it made.

    What removes many files is a generator: it goes on in another turn of the reactor after each of its parts.

    :ivar folders: those of the instance.
    :ivar written: the files of jobs.
    :ivar uploads: the files of clients.
    :ivar provided: the pictures that are in ``input`` from the start.
    :ivar made: the directories.
    :ivar _outdated: the files that later turns of the reactor will remove.
    :ivar _renewed: those of them that a client has written anew, and that stay.
    """

    folders: Collection[Path]
    written: PathSet = field(default_factory=PathSet)
    uploads: set[Path] = field(default_factory=set)
    provided: set[Path] = field(default_factory=set)
    made: set[Path] = field(default_factory=set)
    _outdated: list[Collection[Path]] = field(default_factory=list)
    _renewed: set[Path] = field(default_factory=set)

    def upload(self, path: Path, content: bytes) -> None:
        """Write a client's file; over one that the farm did not write it still counts as the user's."""
        is_outdated = any(path in paths for paths in self._outdated)
        is_ours = not os.path.lexists(path) or path in self.written or is_outdated
        write_over(path, content)
        if is_outdated:
            self._renewed.add(path)
        if is_ours:
            self.uploads.add(path)

    def remove_inside(self, folder: Path) -> Iterator[None]:
        """Remove what jobs and clients put into a folder whose names are drawn anew by each process."""
        inside = inside_of(folder)
        # New names do not meet the old ones, so the files of jobs may be removed later.
        written = {path for path in self.written if str(path).startswith(inside)}
        uploads = {path for path in self.uploads if str(path).startswith(inside)}
        self.written -= written
        self.uploads -= uploads
        remove_files(written)
        yield from self.remove(uploads)

    def remove_uploads(self) -> Iterator[None]:
        """Remove the clients' files."""
        uploads, self.uploads = self.uploads, set()
        yield from self.remove(uploads)

    def remove_written(self) -> Iterator[None]:
        """Remove the jobs' files."""
        written, self.written = self.written, PathSet()
        yield from self.remove(written)

    def remove_all(self) -> None:
        """Remove all files, and the directories that are empty then."""
        remove_files(set().union(self.written, self.uploads, self.provided, *self._outdated), self.made)
        for paths in (self.written, self.uploads, self.provided, self._outdated, self.made):
            paths.clear()

    def remove(self, paths: Collection[Path]) -> Iterator[None]:
        """Remove files, and then the directories inside the folders that are empty now."""
        self._outdated.append(paths)
        for number, path in enumerate(paths, 1):
            if path not in self._renewed:
                with suppress(OSError):
                    path.unlink()
            if not number % _IN_A_TURN:
                yield
        self._outdated = [others for others in self._outdated if others is not paths]
        if not self._outdated:
            self._renewed.clear()
        folders = tuple(map(inside_of, self.folders))
        made = [directory for directory in self.made if str(directory).startswith(folders)]
        for number, directory in enumerate(sorted(made, key=lambda made: len(str(made)), reverse=True), 1):
            with suppress(OSError):     # not empty: somebody else uses it
                directory.rmdir()
                self.made.discard(directory)
            if not number % _IN_A_TURN:
                yield


def inside_of(folder: Path) -> str:
    """Return what the path of everything inside a folder begins with; Path.is_relative_to takes ten times as long."""
    return f"{folder}{os.sep}"
