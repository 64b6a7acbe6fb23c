"""Replace what cannot be the same twice in a transcript.

Ids, times, job numbers and names that a run makes up are replaced, lists whose order depends on the server's hash
seed are sorted, and texts for people are removed. :func:`without_files` also removes what depends on output files.
"""

import json
import re
from dataclasses import dataclass, field
from typing import Any

from comfyfarm.conformance.describe import Step

_FOR_PEOPLE = {"tooltip", "description", "output_tooltips", "search_aliases", "price_badge"}
_TIMES = {"timestamp", "create_time", "execution_start_time", "execution_end_time", "modified", "created", "t"}
_NUMBERS = {"number", "priority"}
_UNORDERED = {"errors", "dependent_outputs", "executed", "current_outputs", "cycle_nodes", "nodes"}
_FILE_LISTS = ("images", "animated")
_FILE_COUNTS = ("outputs_count", "preview_output")

_TEMP_NAME = re.compile(r"_temp_[a-z]{5}_\d{5}_")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_PATH = re.compile(r"(?<=: )(/|[A-Za-z]:\\)[^\n]*")


@dataclass
class Aliases:
    """The ids and numbers of one run, and what replaces them.

    :ivar words: the alias of each id and name.
    :ivar fresh: the numbers drawn to avoid cached results.
    :ivar first_number: the number of the first accepted job; the others count from it.
    """

    words: dict[str, str] = field(default_factory=dict)
    fresh: set[int] = field(default_factory=set)
    first_number: int | None = None

    def name(self, kind: str, word: str) -> None:
        """Give an id the next alias of its kind, such as ``<job 1>``, unless it has one."""
        if word not in self.words:
            count = sum(alias.startswith(f"<{kind} ") for alias in self.words.values())
            self.words[word] = f"<{kind} {count + 1}>"

    def is_job(self, value: object) -> bool:
        return isinstance(value, str) and self.words.get(value, "").startswith("<job ")


def normalise(value: Any, aliases: Aliases) -> Any:
    """Return a copy without anything that depends on the run."""
    replacements = {**aliases.words, **{str(number): "<fresh>" for number in aliases.fresh}}
    longest_first = sorted((word for word in replacements if word), key=len, reverse=True)
    pattern = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
    return _Normaliser(aliases, replacements, pattern).any(value)


@dataclass(frozen=True)
class _Normaliser:
    aliases: Aliases
    replacements: dict[str, str]
    pattern: re.Pattern[str]

    def any(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return self.table(value)
        if isinstance(value, list | tuple):
            return self.queue_item(value) if self.is_queue_item(value) else [self.any(item) for item in value]
        return "<fresh>" if type(value) is int and value in self.aliases.fresh else value

    def text(self, value: str) -> str:
        value = self.pattern.sub(lambda match: self.replacements[match[0]], value)
        value = _TEMP_NAME.sub("_temp_<letters>_<k>_", value)
        return "<tensor>" if value.startswith("tensor(") else _UUID.sub("<uuid>", value)

    def table(self, value: dict[str, Any]) -> dict[str, Any]:
        table = {self.text(key): self.entry(key, item) for key, item in value.items() if key not in _FOR_PEOPLE}
        if value.get("type") == "prompt_outputs_failed_validation" and isinstance(table.get("details"), str):
            table["details"] = "\n".join(sorted(table["details"].split("\n")))
        return table

    def entry(self, key: str, value: Any) -> Any:
        """Return the value of ``key`` in a JSON object; some keys have rules of their own."""
        if key in _TIMES and isinstance(value, int | float):
            return f"<{type(value).__name__}>"
        if key in _NUMBERS:
            return self.number(value)
        if key == "traceback" and isinstance(value, list):
            return ["<traceback>"] if value else []
        if key == "exception_message" and isinstance(value, str):
            return _PATH.sub("<path>", self.text(value))
        normal = self.any(value)
        return sorted(normal, key=_order) if key in _UNORDERED and isinstance(normal, list) else normal

    def number(self, value: Any) -> Any:
        """Return a job's number relative to the first job's, such as ``N+2``; a client's own number is a float."""
        first = self.aliases.first_number
        if type(value) is not int or first is None:
            return value
        distance = abs(value) - first
        alias = f"N{distance:+}" if distance else "N"
        return f"-({alias})" if value < 0 else alias

    def is_queue_item(self, value: list[Any] | tuple[Any, ...]) -> bool:
        return len(value) in (5, 6) and self.aliases.is_job(value[1]) and isinstance(value[2], dict)

    def queue_item(self, value: list[Any] | tuple[Any, ...]) -> list[Any]:
        number, *middle, outputs = value[:5]
        ordered = sorted(self.any(outputs), key=_order)
        return [self.number(number), *map(self.any, middle), ordered, *map(self.any, value[5:])]


def _order(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def without_files(steps: list[Step]) -> list[Step]:
    """Return the steps with ``"<files>"`` for each list of files, and without the replies to ``GET /view``.

    A static instance of the farm writes no files and names the same picture for every output.
    """
    is_view = [str(step.get("ask")).startswith("GET /view?") for step in steps]
    return [{"ask": "GET /view"} if view else _without_files(step) for view, step in zip(is_view, steps, strict=True)]


def _without_files(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: "<files>" if key in _FILE_LISTS and _are_files(item) else _without_files(item)
            for key, item in value.items()
            if key not in _FILE_COUNTS
        }
    return [_without_files(item) for item in value] if isinstance(value, list) else value


def _are_files(value: Any) -> bool:
    # A link between nodes has the key "images", too, but is a list without objects.
    return isinstance(value, list) and all(isinstance(item, dict) and "filename" in item for item in value)
