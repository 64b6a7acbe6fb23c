"""Decode tables of a TOML file into typed values; an error says in one line where it is."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from comfyfarm.sim.catalogue.models import Model
from comfyfarm.sim.distributions import Distribution
from comfyfarm.units import Duration, Size

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)

_PARSED = (Duration, Model, Size, Distribution)     # types that have a notation of their own
_MOST = (1 << 63) - 1       # the greatest number that TOML, the log and most readers of JSON have
_STEP = re.compile(r"\.(?P<key>\w+)|\[(?P<index>\d+)\]|(?P<any>\[\.\.\.\])")


class ConfigError(Exception):
    """The configuration does not describe a farm; the message says where and why, in one line."""


def decode(raw: object, kind: type[T], where: str = "") -> T:
    """Decode a table, or one value.

    :param where: its place, for the error; empty for the top.
    :raises ConfigError: such as ``instance[0].port: expected int, got str``.
    """
    try:
        return msgspec.convert(raw, kind, dec_hook=_parse)
    except msgspec.ValidationError as error:
        raise ConfigError(_located(str(error), where, raw, kind).removeprefix(".").removeprefix(": ")) from error


def decode_alone(raw: object, kind: type[S]) -> S:
    """Decode a table that has no place in a file, such as a body of the control API.

    :raises ConfigError: its message begins with the first key that is wrong.
    """
    try:
        if isinstance(raw, dict):
            check_keys(raw, kind.__struct_fields__, "")
        return decode(raw, kind, "")
    except ConfigError as error:
        raise ConfigError(str(error).lstrip(".: ")) from error.__cause__


def check_numbers(raw: object) -> None:
    """Check that no whole number is too large for the log and the answers, whatever is between it and the top.

    :raises ConfigError: naming the first one.
    """
    left: list[tuple[str, object]] = [("", raw)]
    while left:
        place, value = left.pop()
        if isinstance(value, int) and abs(value) > _MOST:
            raise ConfigError(f"{place}: expected a number of at most {_MOST}, got a greater one".lstrip(".: "))
        if isinstance(value, Mapping):
            left += [(f"{place}.{key}", item) for key, item in value.items()]
        elif isinstance(value, list | tuple):
            left += [(f"{place}[{index}]", item) for index, item in enumerate(value)]


def decode_text(text: str, kind: Any) -> Any:
    """Decode one value of a query or a command line.

    :raises ConfigError: such as ``expected int, got str``.
    """
    try:
        value = msgspec.convert(text, kind, strict=False, dec_hook=_parse)
    except msgspec.ValidationError as error:
        what = str(error).replace("`", "").replace(" | null", "")
        raise ConfigError(f"{what[0].lower()}{what[1:]}") from error
    check_numbers(value)
    return value


def read_table(raw: object, where: str) -> dict[str, Any]:
    """Return a copy of a table.

    :raises ConfigError: if it is something else.
    """
    if not isinstance(raw, Mapping):
        raise ConfigError(f"{where}: expected a table, got {type(raw).__name__}".removeprefix(": "))
    return dict(raw)


def read_tables(raw: object, where: str, name: str = "") -> Sequence[Any]:
    """Return a list of tables, which are not checked yet.

    :param name: of the tables in the file, if that is not their place.
    :raises ConfigError: if it is not a list.
    """
    if not isinstance(raw, list | tuple):
        raise ConfigError(f"{where}: expected [[{name or where}]] tables")
    return raw


def check_keys(table: Mapping[str, Any], known: Collection[str], where: str) -> None:
    """Check that a table has no unknown key.

    :raises ConfigError: naming the first unknown key and the known ones.
    """
    for key in table:
        if key not in known:
            there_are = f"(there are: {', '.join(known) or 'none'})"
            raise ConfigError(f"{where}.{key}: unknown key {there_are}{did_you_mean(key, known)}")


def did_you_mean(word: object, known: Collection[str]) -> str:
    """Return a question that names the known word that is most like another; empty if none is like it."""
    similar = get_close_matches(str(word), known, n=1)
    return f"; did you mean {similar[0]!r}?" if similar else ""


def _parse(kind: type[Any], value: object) -> Any:
    if kind in _PARSED:
        return kind.parse(value)
    raise NotImplementedError(kind)


def _located(text: str, where: str, raw: object, kind: object) -> str:
    """Msgspec's "Expected `int`, got `str` - at `$.port`" -> "instance[0].port: expected int, got str"."""
    what, _, path = text.partition(" - at `$")
    what = what.replace("`", "").replace(" | null", "")     # TOML has no null
    keys, hint = _follow(path.removesuffix("`"), raw, kind)
    place = where + keys
    unknown = re.fullmatch(r"Object contains unknown field (.*)", what)
    if unknown:
        fields = [name for option in _options(hint) for name in getattr(option, "__struct_fields__", ())]
        return f"{place}.{unknown[1]}: unknown key{did_you_mean(unknown[1].strip(chr(39)), fields)}"
    missing = re.fullmatch(r"Object missing required field (.*)", what)
    if missing:
        words = ", ".join(_allowed_words(_field_type(hint, missing[1])))
        return f"{place}.{missing[1]}: is missing" + (f" (expected one of {words})" if words else "")
    named = re.match(r"([\w.\[\]-]+): ", what)      # an error of a Struct's __post_init__ begins with the field
    if named:
        return f"{place}.{named[1]}: {what[named.end() :]}"
    if what.startswith("Invalid enum value"):
        allowed, got = list(_allowed_words(hint)), what.split()[-1]
        suggestion = did_you_mean(got.strip("'"), [word.strip("'") for word in allowed])
        what = f"expected one of {', '.join(allowed)}, got {got}{suggestion}"
    what = what.replace("object", "a table").replace("array", "a list").replace(" | ", " or ")
    return f"{place}: {what[0].lower()}{what[1:]}"


def _allowed_words(hint: Any) -> Iterator[str]:
    """Yield the words of the ``Literal`` types in a type."""
    for option in (hint, *get_args(hint)):
        yield from (repr(word) for word in get_args(option) if isinstance(word, str))


def _follow(path: str, raw: Any, kind: Any) -> tuple[str, Any]:
    """Return the keys of msgspec's path, with the names that it writes as ``[...]``, and the type at its end."""
    keys = ""
    for step in _STEP.finditer(path):
        if step["key"] is not None:
            keys, raw, kind = f"{keys}.{step['key']}", _item(raw, step["key"]), _field_type(kind, step["key"])
        elif step["index"] is not None:
            keys, raw, kind = f"{keys}[{step['index']}]", _item(raw, int(step["index"])), _item_type(kind, tuple)
        else:
            kind = _item_type(kind, dict)
            key = _first_wrong_key(raw, kind)
            keys, raw = f"{keys}.{key}", _item(raw, key)
    return keys, kind


def _item(raw: Any, key: Any) -> Any:
    try:
        return raw[key]
    except (KeyError, IndexError, TypeError):
        return None


def _first_wrong_key(raw: Any, kind: Any) -> str:
    for key, value in raw.items() if isinstance(raw, dict) else ():
        try:
            msgspec.convert(value, kind, dec_hook=_parse)
        except msgspec.ValidationError:
            return str(key)
    return "..."


def _options(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def _field_type(kind: Any, key: str) -> Any:
    for option in _options(kind):
        if isinstance(option, type) and issubclass(option, msgspec.Struct):
            return get_type_hints(option).get(key, Any)
    return Any


def _item_type(kind: Any, container: type[Any]) -> Any:
    for option in _options(kind):
        if get_origin(option) is container:
            arguments = get_args(option)
            return arguments[1] if container is dict else arguments[0]
    return Any
