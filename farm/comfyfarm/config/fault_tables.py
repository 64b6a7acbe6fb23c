"""A table of a configuration, or a body of the control API, becomes a fault."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from comfyfarm.config.decoding import ConfigError, decode
from comfyfarm.faults.effects import EFFECTS, Effect
from comfyfarm.faults.fault import Fault, Rule
from comfyfarm.faults.phases import At


def read_fault(raw: object, where: str = "") -> Fault:
    """Make a fault of a table: the keys of a :class:`~comfyfarm.faults.fault.Rule`, ``do``, and what that takes.

    :param where: the table's own place, for the error; empty where it stands alone.
    :raises ConfigError: such as ``fault[0].at.phase: expected one of ..., got 'lunch'``.
    """
    if not isinstance(raw, Mapping):
        raise ConfigError(f"{where}: expected a table, got {type(raw).__name__}".removeprefix(": "))
    try:
        return _read(dict(raw), where)
    except ConfigError as why:
        raise ConfigError(str(why).lstrip(".: ")) from why.__cause__


def _read(raw: dict[str, Any], where: str) -> Fault:
    kind = _kind(raw.pop("do", None), where)
    rule_keys = Rule.__struct_fields__
    _check_keys(raw, (*rule_keys, "do", *kind.__struct_fields__), where)
    if "at" in raw:
        raw["at"] = _at(raw["at"], f"{where}.at")
    rule = decode({key: value for key, value in raw.items() if key in rule_keys}, Rule, where)
    effect = decode({key: value for key, value in raw.items() if key not in rule_keys}, kind, where)
    try:
        return Fault(rule, effect)
    except ValueError as why:
        raise ConfigError(f"{where}.{why}") from why


def _kind(do: object, where: str) -> type[Effect]:
    known = ", ".join(sorted(EFFECTS))
    if do is None:
        raise ConfigError(f"{where}.do: is missing (expected one of {known})")
    if not isinstance(do, str) or do not in EFFECTS:
        raise ConfigError(f"{where}.do: expected one of {known}, got {do!r}")
    return EFFECTS[do]


def _at(raw: object, where: str) -> dict[str, Any]:
    """The table of a moment; a phase alone is one, too."""
    if isinstance(raw, str):
        return {"phase": raw}
    if not isinstance(raw, Mapping):
        raise ConfigError(f"{where}: expected a phase, or a table with one, got {type(raw).__name__}")
    _check_keys(raw, At.__struct_fields__, where)
    return dict(raw)


def _check_keys(raw: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in raw:
        if key not in known:
            raise ConfigError(f"{where}.{key}: unknown key (there are: {', '.join(known)})")
