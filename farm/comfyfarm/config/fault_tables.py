"""Read faults from tables of a configuration or bodies of the control API."""

from collections.abc import Mapping
from typing import Any

from comfyfarm.config.decoding import ConfigError, check_keys, decode, did_you_mean, read_table
from comfyfarm.faults.effects import EFFECTS, Effect
from comfyfarm.faults.fault import Fault, Rule
from comfyfarm.faults.phases import At


def read_fault(raw: object, where: str = "") -> Fault:
    """Read a fault: the keys of a :class:`~comfyfarm.faults.fault.Rule`, ``do``, and the keys of that effect.

    :param where: the place of the table, for the error; empty if it stands alone.
    :raises ConfigError: such as ``fault[0].at.phase: expected one of ..., got 'lunch'``.
    """
    try:
        return _read(read_table(raw, where), where)
    except ConfigError as error:
        raise ConfigError(str(error).lstrip(".: ")) from error.__cause__


def _read(table: dict[str, Any], where: str) -> Fault:
    kind = _effect_type(table.pop("do", None), where)
    rule_keys = Rule.__struct_fields__
    check_keys(table, (*rule_keys, "do", *kind.__struct_fields__), where)
    if "at" in table:
        table["at"] = _read_at(table["at"], f"{where}.at")
    rule = decode({key: value for key, value in table.items() if key in rule_keys}, Rule, where)
    effect = decode({key: value for key, value in table.items() if key not in rule_keys}, kind, where)
    try:
        return Fault(rule, effect)
    except ValueError as error:
        raise ConfigError(f"{where}.{error}") from error


def _effect_type(do: object, where: str) -> type[Effect]:
    known = ", ".join(sorted(EFFECTS))
    if do is None:
        raise ConfigError(f"{where}.do: is missing (expected one of {known})")
    if not isinstance(do, str) or do not in EFFECTS:
        raise ConfigError(f"{where}.do: expected one of {known}, got {do!r}{did_you_mean(do, sorted(EFFECTS))}")
    return EFFECTS[do]


def _read_at(raw: object, where: str) -> dict[str, Any]:
    if isinstance(raw, str):
        return {"phase": raw}
    if not isinstance(raw, Mapping):
        raise ConfigError(f"{where}: expected a phase, or a table with one, got {type(raw).__name__}")
    check_keys(raw, At.__struct_fields__, where)
    return dict(raw)
