"""What a new file is called: ComfyUI's prefix rules, and three ways to be unique.

The rules of the counter, of subfolders and of tokens are those of docs/fidelity.md, "Output names".
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from random import Random

from comfyfarm.events.base import Folder
from comfyfarm.sim.files import FileContent, Files, Place
from comfyfarm.sim.nodes import NodeError, Save
from comfyfarm.sim.settings import Naming

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_ROOT = "/srv/comfyui"


@dataclass(frozen=True)
class _Series:
    """Files that share a prefix.

    :ivar word: what makes their names unique where no counter does.
    """

    folder: Folder
    subfolder: str
    name: str
    suffix: str
    word: str

    @property
    def key(self) -> tuple[Folder, str, str]:
        """Whose counter it is."""
        return self.folder, self.subfolder, self.name

    def later_word(self, attempt: int) -> str:
        """The word, and from the second attempt on a number behind it."""
        return f"{self.word}_{attempt + 1}" if attempt else self.word


@dataclass(eq=False)
class Namer:
    """Gives each new file of one instance a name that no other file ever had.

    :ivar letters: where the letters of temporary names come from.
    """

    files: Files
    naming: Naming
    letters: Random
    _highest: dict[tuple[Folder, str, str], int] = field(default_factory=dict)
    _last: dict[tuple[Folder, str, str], Place] = field(default_factory=dict)
    _temp_prefixes: dict[tuple[str, str], str] = field(default_factory=dict)

    def forget(self) -> None:
        """Count anew, because the files are gone."""
        self._highest.clear()
        self._last.clear()

    def keep_temp_prefixes(self, class_types: Mapping[str, str]) -> None:
        """Forget the temporary prefixes of all but these nodes (id -> type)."""
        self._temp_prefixes = {key: value for key, value in self._temp_prefixes.items() if key in class_types.items()}

    def temp_prefix(self, node: str, class_type: str) -> str:
        """The prefix of a node's previews; its five letters belong to the node."""
        key = node, class_type
        if key not in self._temp_prefixes:
            drawn = "".join(self.letters.choice(_LETTERS) for _ in range(5))
            self._temp_prefixes[key] = f"ComfyUI_temp_{drawn}"
        return self._temp_prefixes[key]

    def check(self, save: Save, prefix: str, unix_ms: int) -> None:
        """Look at a prefix under which nothing will be written.

        :raises NodeError: where it leads out of the folder.
        """
        _split(prefix, save, unix_ms)

    def write(
        self, save: Save, prefix: str, parts: list[FileContent], prompt_id: str, unix_ms: int, *, again: bool = False
    ) -> list[Place]:
        """Write the files of one output, each under a new name.

        :param again: the first one under the name that was given last, over what stands there.
        :raises NodeError: where the prefix leads out of the folder, or the system takes no such file.
        """
        subfolder, name = _split(prefix, save, unix_ms)
        word = prompt_id if self.naming == "prompt_id" else str(unix_ms)
        series = _Series(save.folder, subfolder, name, save.suffix, word)
        try:
            return [
                (self._put_again(series, part) if again and not index else None) or self._put(series, index, part)
                for index, part in enumerate(parts)
            ]
        except (OSError, ValueError) as why:
            raise NodeError(type(why).__name__, _impossible(series, why)) from why

    def _put(self, series: _Series, index: int, part: FileContent) -> Place:
        """Write one file; where its name was taken meanwhile, look again and take the next."""
        base = series.name.replace("%batch_num%", str(index))
        for attempt in count():
            unique = f"{self._count(series):05}_" if self.naming == "counter" else series.later_word(attempt)
            place = Place(series.folder, series.subfolder, f"{base}_{unique}{series.suffix}")
            try:
                self.files.put(place, part)
            except FileExistsError:
                self._highest.pop(series.key, None)
            else:
                self._last[series.key] = place
                return place
        raise AssertionError("there is always a next name")

    def _put_again(self, series: _Series, part: FileContent) -> Place | None:
        """Write over the file whose name was given last, whoever shares the folder; ``None`` where there is none."""
        last = self._last.get(series.key)
        if self.naming == "counter":
            names = self.files.names(series.folder, series.subfolder)
            found = {_number(each, series.name): each for each in names if each.endswith(series.suffix)}
            number = max(found, default=0)
            if number > (_number(last.name, series.name) if last else 0):
                last = Place(series.folder, series.subfolder, found[number])
                self._highest[series.key] = max(number, self._highest.get(series.key, 0))
        if last is None:
            return None
        try:
            self.files.replace(last, part)
        except FileExistsError:     # it has gone, or is not ours to write over
            return None
        self._last[series.key] = last
        return last

    def _count(self, series: _Series) -> int:
        """The next number: one more than the highest ever given, or found in the folder at the first look."""
        if series.key not in self._highest:
            names = self.files.names(series.folder, series.subfolder)
            self._highest[series.key] = max((_number(each, series.name) for each in names), default=0)
        self._highest[series.key] += 1
        return self._highest[series.key]


def _number(file: str, name: str) -> int:
    """The counter in a file's name, or 0 where it is not one of this prefix."""
    if not file.startswith(name + "_"):
        return 0
    digits = file[len(name) + 1 :].split("_", maxsplit=1)[0]
    return int(digits) if digits.isdecimal() else 0


def _split(prefix: str, save: Save, unix_ms: int) -> tuple[str, str]:
    """Subfolder and name of a prefix, its tokens replaced."""
    if "\0" in prefix:
        raise NodeError("ValueError", "embedded null byte")
    path = posixpath.normpath(_fill_in(prefix, save, unix_ms))
    subfolder, name = posixpath.split(path)
    if path.startswith("/") or subfolder.split("/")[0] == ".." or name == "..":
        raise NodeError("Exception", _outside(save.folder, subfolder))
    return subfolder, name


def _fill_in(prefix: str, save: Save, unix_ms: int) -> str:
    now = datetime.fromtimestamp(unix_ms / 1000, tz=UTC)
    tokens = {
        "%width%": str(save.picture.width),
        "%height%": str(save.picture.height),
        "%year%": str(now.year),
        "%month%": f"{now.month:02}",
        "%day%": f"{now.day:02}",
        "%hour%": f"{now.hour:02}",
        "%minute%": f"{now.minute:02}",
        "%second%": f"{now.second:02}",
    }
    for token, text in tokens.items():
        prefix = prefix.replace(token, text)
    return prefix


def _impossible(series: _Series, why: OSError | ValueError) -> str:
    """What Python says; the path is that of a server that stands at ``/srv/comfyui``."""
    if not isinstance(why, OSError) or why.errno is None:
        return str(why) if isinstance(why, ValueError) else type(why).__name__
    path = posixpath.join(_ROOT, series.folder, series.subfolder, series.name)
    return f"[Errno {why.errno}] {why.strerror}: {path!r}"


def _outside(folder: Folder, subfolder: str) -> str:
    """ComfyUI's text; its paths are those of a server that stands at ``/srv/comfyui``."""
    inside = f"{_ROOT}/{folder}"
    meant = posixpath.normpath(posixpath.join(inside, subfolder))
    return (
        "**** ERROR: Saving image outside the output folder is not allowed.\n"
        f" full_output_folder: {meant}\n"
        f"         output_dir: {inside}\n"
        f"         commonpath: {posixpath.commonpath((inside, meant))}"
    )
