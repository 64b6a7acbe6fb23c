"""The names of new files: ComfyUI's prefix rules, and three ways to make a name unique.

The rules of the counter, of subfolders and of tokens are those of docs/fidelity.md, "Output names".
"""

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from itertools import count
from random import Random

from comfyfarm.events.base import Folder
from comfyfarm.sim.files import ROOT, FileContent, Files, Place
from comfyfarm.sim.nodes import NodeError, Save
from comfyfarm.sim.settings import Naming
from comfyfarm.versions import DEFAULT_BEHAVIOUR, Behaviour

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_BATCH_NUMBER = "%batch_num%"
Key = tuple[Folder, str, str, str]


@dataclass(frozen=True)
class _Series:
    """Files that share a prefix.

    :ivar end: what follows the counter in their names: ``_`` or nothing.
    :ivar unique: the part that makes their names unique if there is no counter.
    """

    folder: Folder
    subfolder: str
    name: str
    end: str
    suffix: str
    unique: str

    @property
    def key(self) -> Key:
        return self.folder, self.subfolder, self.name, self.end

    @cached_property
    def _numbered(self) -> re.Pattern[str]:
        base = re.escape(self.name).replace(_BATCH_NUMBER, r"\d+")
        return re.compile(rf"{base}_(\d+)(?=[{self.end or '_.'}]|\Z)")

    def number(self, file: str) -> int:
        """Return the counter in a file's name, or 0 if the name is of no such file."""
        found = self._numbered.match(file)
        return int(found[1]) if found else 0


@dataclass(eq=False)
class Namer:
    """Gives each new file of one instance a name that no other file ever had.

    :ivar letters: the random stream of the letters in temporary names.
    :ivar _tried: without a counter, by series and name: how often the name was taken; of the last unique part only.
    """

    files: Files
    naming: Naming
    letters: Random
    behaviour: Behaviour = DEFAULT_BEHAVIOUR
    _highest: dict[Key, int] = field(default_factory=dict)
    _last: dict[Key, Place] = field(default_factory=dict)
    _temp_prefixes: dict[tuple[str, str, str], str] = field(default_factory=dict)
    _tried: dict[tuple[str, Key, str], int] = field(default_factory=dict)

    def forget(self) -> None:
        """Restart the counters, because the files are gone."""
        self._highest.clear()
        self._last.clear()
        self._tried.clear()

    def keep_temp_prefixes(self, class_types: Mapping[str, str]) -> None:
        """Drop the temporary prefixes of all but these nodes (id -> type)."""
        kept = class_types.items()
        self._temp_prefixes = {key: prefix for key, prefix in self._temp_prefixes.items() if key[:2] in kept}

    def temp_prefix(self, node: str, class_type: str, first: str) -> str:
        """Return the prefix of a node's previews: the first part, and five random letters that belong to the node."""
        key = node, class_type, first
        if key not in self._temp_prefixes:
            drawn = "".join(self.letters.choice(_LETTERS) for _ in range(5))
            self._temp_prefixes[key] = f"{first}_temp_{drawn}"
        return self._temp_prefixes[key]

    def write(
        self,
        save: Save,
        prefix: str,
        contents: Iterable[FileContent],
        prompt_id: str,
        unix_ms: int,
        *,
        again: bool = False,
    ) -> Iterator[Place]:
        """Write the files of one output, each under a new name, as their places are taken from the iterator.

        :param again: the first file gets the last name instead, and overwrites that file.
        :raises NodeError: if the prefix leads out of the folder, or the system refuses the file.
        """
        subfolder, name = split_prefix(prefix, save, unix_ms, self.behaviour)
        unique = prompt_id if self.naming == "prompt_id" else str(unix_ms)
        series = _Series(save.folder, subfolder, name, "_" * save.underscore, save.suffix, unique)
        for index, content in enumerate(contents):
            try:
                place = self._overwrite(series, content) if again and not index else None
                place = place or self._put(series, index, content)
            except (OSError, RecursionError, ValueError) as error:
                raise NodeError(type(error).__name__, _error_text(series, error)) from error
            yield place

    def _put(self, series: _Series, index: int, content: FileContent) -> Place:
        base = series.name.replace(_BATCH_NUMBER, str(index))
        for attempt in count():
            unique = self._unique_part(series, base, is_taken=attempt == 1)
            place = Place(series.folder, series.subfolder, f"{base}_{unique}{series.suffix}")
            try:
                self.files.put(place, content)
            except FileExistsError:
                continue
            self._last[series.key] = place
            return place
        raise AssertionError("there is always a next name")

    def _unique_part(self, series: _Series, base: str, *, is_taken: bool) -> str:
        """Return what makes the next name unique; it is never the same twice, so that every search ends.

        :param is_taken: the last name was taken: another instance shares the folder, which is listed again.
        """
        if self.naming == "counter":
            return f"{self._next_number(series, list_again=is_taken):05}{series.end}"
        key = series.unique, series.key, base
        if key not in self._tried:
            self._tried = {known: tried for known, tried in self._tried.items() if known[0] == series.unique}
        self._tried[key] = tried = self._tried.get(key, 0) + 1
        return series.unique if tried == 1 else f"{series.unique}_{tried}"

    def _overwrite(self, series: _Series, content: FileContent) -> Place | None:
        """Overwrite the file with the last name in the folder, which may be shared; ``None`` if there is none."""
        last = self._last.get(series.key)
        if self.naming == "counter":
            names = self.files.names(series.folder, series.subfolder)
            found = {series.number(name): name for name in names if name.endswith(series.suffix)}
            number = max(found, default=0)
            if number > (series.number(last.name) if last else 0):
                last = Place(series.folder, series.subfolder, found[number])
                self._highest[series.key] = max(number, self._highest.get(series.key, 0))
        if last is None:
            return None
        try:
            self.files.replace(last, content)
        except FileExistsError:     # it is gone, or no instance of this folder wrote it
            return None
        self._last[series.key] = last
        return last

    def _next_number(self, series: _Series, *, list_again: bool) -> int:
        """Return one more than the highest number so far; at the first call or again, also than those in the folder."""
        highest = self._highest.get(series.key, 0)
        if list_again or series.key not in self._highest:
            names = self.files.names(series.folder, series.subfolder)
            highest = max(highest, max(map(series.number, names), default=0))
        self._highest[series.key] = highest + 1
        return highest + 1


def split_prefix(
    prefix: str, save: Save, unix_ms: int, behaviour: Behaviour = DEFAULT_BEHAVIOUR
) -> tuple[str, str]:
    """Return subfolder and name of a prefix, with its tokens replaced.

    :raises NodeError: if it leads out of the folder.
    """
    if "\0" in prefix:
        raise NodeError("ValueError", "embedded null byte")
    path = posixpath.normpath(_replace_tokens(prefix, save, unix_ms) if "%" in prefix else prefix)
    subfolder, name = posixpath.split(path)
    if path.startswith("/") or subfolder.split("/")[0] == "..":
        raise NodeError("Exception", _outside_text(save.folder, subfolder, behaviour))
    return subfolder, name


def _replace_tokens(prefix: str, save: Save, unix_ms: int) -> str:
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


def _error_text(series: _Series, error: OSError | RecursionError | ValueError) -> str:
    """Return Python's text, with the path of a server that is installed at ``/srv/comfyui``."""
    if not isinstance(error, OSError) or error.errno is None:
        return type(error).__name__ if isinstance(error, OSError) else str(error)
    path = posixpath.join(ROOT, series.folder, series.subfolder, series.name)
    return f"[Errno {error.errno}] {error.strerror}: {path!r}"


def _outside_text(folder: Folder, subfolder: str, behaviour: Behaviour) -> str:
    """Return ComfyUI's text, with the paths of a server that is installed at ``/srv/comfyui``."""
    inside = f"{ROOT}/{folder}"
    full = posixpath.normpath(posixpath.join(inside, subfolder))
    text = (
        "**** ERROR: Saving image outside the output folder is not allowed.\n"
        f" full_output_folder: {full}\n"
        f"         output_dir: {inside}"
    )
    if behaviour.shortens_outside_error:
        return text
    return f"{text}\n         commonpath: {posixpath.commonpath((inside, full))}"
