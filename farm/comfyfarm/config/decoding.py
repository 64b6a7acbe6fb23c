"""Tables of a TOML file become typed values; an error says in one line where it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from comfyfarm.sim.catalogue.models import Model
from comfyfarm.sim.distributions import Distribution
from comfyfarm.units import Duration, Size

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)

_WRITTEN = (Duration, Model, Size, Distribution)     # what people write as a text of its own kind
_STEP = re.compile(r"\.(?P<key>\w+)|\[(?P<index>\d+)\]|(?P<any>\[\.\.\.\])")


class ConfigError(Exception):
    """The configuration does not describe a farm; the message says where and why, in one line."""


def decode(raw: object, kind: type[T], where: str = "") -> T:
    """Make a typed value of a table.

    :param where: the table's own place, for the error; empty for the top.
    :raises ConfigError: such as ``instance[0].port: expected int, got str``.
    """
    try:
        return msgspec.convert(raw, kind, dec_hook=_read)
    except msgspec.ValidationError as why:
        raise ConfigError(_place(str(why), where, raw, kind).removeprefix(".").removeprefix(": ")) from why


def decode_alone(raw: object, kind: type[S]) -> S:
    """Read one table that stands alone, such as a body of the control API.

    :raises ConfigError: its message begins with the first key that is wrong.
    """
    known = kind.__struct_fields__
    for key in raw if isinstance(raw, dict) else ():
        if key not in known:
            raise ConfigError(f"{key}: unknown key (there are: {', '.join(known) or 'none'})")
    try:
        return decode(raw, kind, "")
    except ConfigError as why:
        raise ConfigError(str(why).lstrip(".: ")) from why.__cause__


def decode_text(text: str, kind: Any) -> Any:
    """Read one value that stands in a query or on a command line.

    :raises ConfigError: such as ``expected int, got str``.
    """
    try:
        return msgspec.convert(text, kind, strict=False, dec_hook=_read)
    except msgspec.ValidationError as why:
        what = str(why).replace("`", "").replace(" | null", "")
        raise ConfigError(f"{what[0].lower()}{what[1:]}") from why


def _read(kind: type[Any], value: object) -> Any:
    if kind in _WRITTEN:
        return kind.parse(value)
    raise NotImplementedError(kind)


def _place(text: str, where: str, raw: object, kind: object) -> str:
    """Msgspec's "Expected `int`, got `str` - at `$.port`" -> "instance[0].port: expected int, got str"."""
    what, _, path = text.partition(" - at `$")
    what = what.replace("`", "").replace(" | null", "")     # TOML has no word for it
    keys, hint = _follow(path.removesuffix("`"), raw, kind)
    place = where + keys
    unknown = re.fullmatch(r"Object contains unknown field (.*)", what)
    if unknown:
        return f"{place}.{unknown[1]}: unknown key"
    missing = re.fullmatch(r"Object missing required field (.*)", what)
    if missing:
        words = ", ".join(_words(_field(hint, missing[1])))
        return f"{place}.{missing[1]}: is missing" + (f" (expected one of {words})" if words else "")
    own = re.match(r"([\w.\[\]-]+): ", what)     # a Struct's own check names its field
    if own:
        return f"{place}.{own[1]}: {what[own.end() :]}"
    if what.startswith("Invalid enum value"):
        what = f"expected one of {', '.join(_words(hint))}, got {what.split()[-1]}"
    what = what.replace("object", "a table").replace("array", "a list").replace(" | ", " or ")
    return f"{place}: {what[0].lower()}{what[1:]}"


def _words(hint: Any) -> Iterator[str]:
    """The words that a key takes."""
    for each in (hint, *get_args(hint)):
        yield from (repr(word) for word in get_args(each) if isinstance(word, str))


def _follow(path: str, raw: Any, kind: Any) -> tuple[str, Any]:
    """Where msgspec's path leads: the keys that it writes as ``[...]`` named, and the type that is wanted there."""
    keys = ""
    for step in _STEP.finditer(path):
        if step["key"] is not None:
            keys, raw, kind = f"{keys}.{step['key']}", _item(raw, step["key"]), _field(kind, step["key"])
        elif step["index"] is not None:
            keys, raw, kind = f"{keys}[{step['index']}]", _item(raw, int(step["index"])), _items_type(kind, tuple)
        else:
            kind = _items_type(kind, dict)
            key = _culprit(raw, kind)
            keys, raw = f"{keys}.{key}", _item(raw, key)
    return keys, kind


def _item(raw: Any, key: Any) -> Any:
    try:
        return raw[key]
    except (KeyError, IndexError, TypeError):
        return None


def _culprit(raw: Any, kind: Any) -> str:
    """The first key of a table whose value is not of this type."""
    for key, value in raw.items() if isinstance(raw, dict) else ():
        try:
            msgspec.convert(value, kind, dec_hook=_read)
        except msgspec.ValidationError:
            return str(key)
    return "..."


def _options(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def _field(kind: Any, key: str) -> Any:
    """The type of a Struct's field."""
    for each in _options(kind):
        if isinstance(each, type) and issubclass(each, msgspec.Struct):
            return get_type_hints(each).get(key, Any)
    return Any


def _items_type(kind: Any, container: type[Any]) -> Any:
    """The type of what a list or table holds."""
    for each in _options(kind):
        if get_origin(each) is container:
            arguments = get_args(each)
            return arguments[1] if container is dict else arguments[0]
    return Any
