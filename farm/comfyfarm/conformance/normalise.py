"""What in a transcript cannot be the same twice, and what stands for it?

Ids, times, the numbers of jobs and the names that a run makes up are replaced; lists whose order depends on the
server's hash seed are sorted; texts for people are left out.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

_FOR_PEOPLE = {"tooltip", "description", "output_tooltips", "search_aliases", "price_badge"}
_TIMES = {"timestamp", "create_time", "execution_start_time", "execution_end_time", "modified", "created", "t"}
_NUMBERS = {"number", "priority"}
_UNORDERED = {"errors", "dependent_outputs", "executed", "current_outputs", "cycle_nodes", "nodes"}

_TEMP_NAME = re.compile(r"_temp_[a-z]{5}_\d{5}_")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_PATH = re.compile(r"(?<=: )(/|[A-Za-z]:\\)[^\n]*")


@dataclass
class Aliases:
    """What one run called things, and what the facts call them.

    :ivar words: the ids and names of this run, by what was said.
    :ivar fresh: the numbers that were drawn so that no cached result is met.
    :ivar first_number: of the first job that was taken on; the others count from it.
    """

    words: dict[str, str] = field(default_factory=dict)
    fresh: set[int] = field(default_factory=set)
    first_number: int | None = None

    def name(self, kind: str, said: str) -> None:
        """Give an id the next name of its kind, ``<job 1>``, unless it has one."""
        if said not in self.words:
            count = sum(alias.startswith(f"<{kind} ") for alias in self.words.values())
            self.words[said] = f"<{kind} {count + 1}>"

    def is_job(self, said: object) -> bool:
        """Whether it is the id of a job that this run submitted."""
        return isinstance(said, str) and self.words.get(said, "").startswith("<job ")


def normalise(value: Any, aliases: Aliases) -> Any:
    """The value with aliases in place of what only this run said."""
    known = {**aliases.words, **{str(number): "<fresh>" for number in aliases.fresh}}
    longest_first = sorted((word for word in known if word), key=len, reverse=True)
    pattern = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
    return _Normaliser(aliases, known, pattern).any(value)


@dataclass(frozen=True)
class _Normaliser:
    aliases: Aliases
    known: dict[str, str]
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
        value = self.pattern.sub(lambda found: self.known[found[0]], value)
        value = _TEMP_NAME.sub("_temp_<letters>_<k>_", value)
        return "<tensor>" if value.startswith("tensor(") else _UUID.sub("<uuid>", value)

    def table(self, value: dict[str, Any]) -> dict[str, Any]:
        table = {self.text(key): self.entry(key, item) for key, item in value.items() if key not in _FOR_PEOPLE}
        if value.get("type") == "prompt_outputs_failed_validation" and isinstance(table.get("details"), str):
            table["details"] = "\n".join(sorted(table["details"].split("\n")))
        return table

    def entry(self, key: str, value: Any) -> Any:
        """A value for which its key has a rule."""
        if key in _TIMES and isinstance(value, int | float):
            return f"<{type(value).__name__}>"
        if key in _NUMBERS:
            return self.number(value)
        if key == "traceback" and isinstance(value, list):
            return ["<traceback>"] if value else []
        if key == "exception_message" and isinstance(value, str):
            return _PATH.sub("<path>", self.text(value))
        told = self.any(value)
        return sorted(told, key=_order) if key in _UNORDERED and isinstance(told, list) else told

    def number(self, value: Any) -> Any:
        """A job's place in the queue, counted from the first job's; one that a client gave is kept."""
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
        told = sorted(self.any(outputs), key=_order)
        return [self.number(number), *map(self.any, middle), told, *map(self.any, value[5:])]


def _order(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
