"""Faults that are drawn: any effect, at any phase where it can happen, with any of the keys that it takes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from msgspec import inspect

from comfyfarm.config.decoding import ConfigError
from comfyfarm.config.fault_tables import read_fault
from comfyfarm.faults.effects import EFFECTS
from comfyfarm.faults.fault import Rule
from comfyfarm.faults.phases import filter_keys
from comfyfarm.units import Duration, Size

__all__ = ["PAIRS", "Table", "as_toml", "bare_fault", "drawn_faults"]

Table = dict[str, Any]

PAIRS = [(do, phase) for do in sorted(EFFECTS) for phase in EFFECTS[do].phases]
"""Every effect at every phase where it can happen."""

_GIVEN = 0.4        # how often a key is there that need not be
_TRIES = 200
_RULE = ("times", "skip", "every", "chance", "after", "until", "ttl", "stagger", "sticky", "cites")
_ON: tuple[str | list[str], ...] = ("*", "gpu-1", "gpu-[2-9]", ["gpu-2", "gpu-1"])
_DURATIONS = ("0ms", "70ms", "1.5s", "8s", "1h")
_SIZES = ("0B", "1B", "300B", "2KB", "6GB")
_TEXTS = ("", "x", "../up", "zwölf Ölfässer", "a\r\nb", "prompt_id", "node")
_COUNTS = (0, 1, 2, 3)
_SHARES = (-2.5, 0.0, 0.1, 0.5, 0.9, 1.0, 3.0)
_NUMBERS = (-3, 0, 1, 204, 404, 503, 1000, 1001, 3000)
_NARROWED: Mapping[str, tuple[Any, ...]] = {
    "route": ("*", "/prompt", "/history*", "/view", "/ws", "/queue"),
    "method": ("*", "GET", "post"),
    "job": (1, 2, "*", "nobody's"),
    "node": ("*", "3", "9"),
    "node_type": ("*", "KSampler", "SaveImage"),
    "model": ("*", "*.safetensors", "flux*"),
    "step": (1, 2),
    "type": ("*", "status", "execut*", "progress*", "binary-*"),
    "client": ("*", "me", "you"),
    "size": ("0B", "100B", "1GB"),
    "file": ("*", "ComfyUI_*", "mine.png"),
}


def drawn_faults(number: int) -> list[Table]:
    """The fault set of this number: one that fires for sure, where its phase comes at all, and up to four others.

    Number by number, the first is another effect; each time round, at another of its phases.
    """
    chance = Random(number)
    round_, index = divmod(number, len(EFFECTS))
    do = sorted(EFFECTS)[index]
    phase = EFFECTS[do].phases[round_ % len(EFFECTS[do].phases)]
    first = _drawn(do, {"at": phase} | ({} if phase == "process" else {"times": 3}), chance)
    return [first, *(_drawn_whole(chance) for _ in range(chance.randint(0, 4)))]


def bare_fault(do: str, phase: str) -> Table:
    """An effect at a phase, with no more keys than it needs; which values they have is nobody's concern."""
    return _drawn(do, {"at": phase}, Random(0), given=0)


def _drawn_whole(chance: Random) -> Table:
    do, phase = chance.choice(PAIRS)
    keys = [key for key in filter_keys(phase) if chance.random() < _GIVEN / 2]
    at = {"phase": phase, **{key: chance.choice(_NARROWED[key]) for key in keys}}
    fields = [each for each in _fields(Rule) if each.name in _RULE]
    return _drawn(do, {"on": chance.choice(_ON), "at": at}, chance, fields)


def _drawn(
    do: str, known: Table, chance: Random, more: Sequence[inspect.Field] = (), *, given: float = _GIVEN
) -> Table:
    """A fault that is none (two keys that exclude each other, ``until`` before ``after``) is drawn anew."""
    for _ in range(_TRIES):
        fields = [*_fields(EFFECTS[do]), *(() if _is_for_process(known) else more)]
        drawn = {each.name: _value(each.type, chance) for each in fields if each.required or chance.random() < given}
        try:
            read_fault(table := {"do": do, **known, **drawn})
        except ConfigError:
            given = given or _GIVEN     # one that needs either of two keys
        else:
            return table
    raise AssertionError(f"no {do} at {known} in {_TRIES} draws")


def _is_for_process(known: Table) -> bool:
    """Most keys of a rule have no meaning there."""
    return known["at"] in ("process", {"phase": "process"})


def _fields(kind: type) -> Sequence[inspect.Field]:
    described = inspect.type_info(kind)
    assert isinstance(described, inspect.StructType)
    return described.fields


def _value(kind: inspect.Type, chance: Random) -> Any:
    """Anything that a key of this type takes; a wrong one may come, too, where that hangs on more than the type."""
    match kind:
        case inspect.UnionType(types=types):
            return _value(chance.choice([each for each in types if not isinstance(each, inspect.NoneType)]), chance)
        case inspect.VarTupleType(item_type=item):
            return [_value(item, chance) for _ in range(chance.randint(0, 3))]
        case inspect.StructType(fields=fields):
            return {each.name: _value(each.type, chance) for each in fields if chance.random() < _GIVEN}
        case inspect.DictType(value_type=value):
            return {text or "X-It": _value(value, chance) for text in chance.sample(_TEXTS, chance.randint(0, 2))}
        case _:
            return chance.choice(_values(kind))


def _values(kind: inspect.Type) -> Sequence[Any]:
    """What a key takes that holds one thing."""
    match kind:
        case inspect.CustomType(cls=cls):
            return {Duration: _DURATIONS, Size: _SIZES}[cls]
        case inspect.LiteralType(values=values):
            return values
        case inspect.StrType(max_length=length):
            return [text[:length] for text in _TEXTS]
        case inspect.BoolType():
            return (True, False)
        case inspect.IntType(ge=least):
            return [each for each in (_COUNTS if least in (0, 1) else _NUMBERS) if _is_within(each, kind)]
        case inspect.FloatType():
            return [each for each in _SHARES if _is_within(each, kind)]
        case inspect.AnyType():
            return (*_TEXTS, *_NUMBERS)
    raise AssertionError(f"nobody has said how to draw {kind}")


def _is_within(number: float, kind: inspect.IntType | inspect.FloatType) -> bool:
    return (
        (kind.ge is None or number >= kind.ge)
        and (kind.le is None or number <= kind.le)
        and (kind.lt is None or number < kind.lt)
    )


def as_toml(faults: Sequence[Table]) -> str:
    """Faults as they stand in a configuration."""
    return "\n".join(f"[[fault]]\n{_lines(fault)}" for fault in faults)


def _lines(fault: Table) -> str:
    return "".join(f"{key} = {_toml(value)}\n" for key, value in fault.items())


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_toml(key)} = {_toml(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False)
