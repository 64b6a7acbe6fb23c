"""One step of a scenario, read from its table: ``at``, and exactly one thing that happens then."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, TypeAlias

from comfyfarm.config.decoding import ConfigError, decode
from comfyfarm.config.scenarios.scenario import (
    DEEDS,
    Action,
    ActionStep,
    ArmStep,
    ChangeStep,
    HealStep,
    InstanceAction,
    LoadStep,
)
from comfyfarm.faults.fault import Fault
from comfyfarm.units import Duration

ACTIONS = ("load", "fault", *DEEDS, "change", "heal")
"""The keys that can stand beside ``at``."""
_DEEDS: dict[str, InstanceAction] = {deed: deed for deed in DEEDS}

Globs: TypeAlias = str | tuple[str, ...]
ReadFault: TypeAlias = Callable[[object, str], Fault]
"""Makes a fault of a table; takes its place, too."""


def read_step(raw: object, where: str, names: Sequence[str], read_fault: ReadFault) -> tuple[int, Action]:
    """Make of a table when something happens, in milliseconds, and what.

    :param names: of the instances that it can be about.
    :raises ConfigError: such as ``scenario[0].step[1]: expected one of load, ...``.
    """
    table = _table(raw, where)
    for key in table:
        if key != "at" and key not in ACTIONS:
            raise ConfigError(f"{where}.{key}: unknown key (there are: at, {', '.join(ACTIONS)})")
    given = [key for key in table if key != "at"]
    if len(given) != 1:
        got = " and ".join(given) or "none"
        raise ConfigError(f"{where}: expected exactly one of {', '.join(ACTIONS)}; got {got}")
    if "at" not in table:
        raise ConfigError(f'{where}.at: expected when it happens, such as "2s"')
    at_ms = int(decode(table["at"], Duration, f"{where}.at"))
    return at_ms, _read_action(given[0], table[given[0]], f"{where}.{given[0]}", names, read_fault)


def _read_action(key: str, value: object, where: str, names: Sequence[str], read_fault: ReadFault) -> Action:
    match key:
        case "load":
            return _load(value, where, names)
        case "fault":
            return ArmStep(read_fault(value, where))
        case "change":
            return _change(value, where, names)
        case "heal":
            if value is not True:
                raise ConfigError(f"{where}: expected true, got {value!r}")
            return HealStep()
        case _:
            return ActionStep(_DEEDS[key], _read_on(value, where, names))


def _load(raw: object, where: str, names: Sequence[str]) -> LoadStep:
    table = _table(raw, where)
    for key in table:
        if key not in LoadStep.__struct_fields__:
            raise ConfigError(f"{where}.{key}: unknown key (there are: {', '.join(LoadStep.__struct_fields__)})")
    if "jobs" not in table:
        raise ConfigError(f"{where}.jobs: expected how many jobs each instance is given")
    on = _read_on(table.get("on", "*"), f"{where}.on", names)
    return decode({**table, "on": on}, LoadStep, where)


def _change(raw: object, where: str, names: Sequence[str]) -> ChangeStep:
    settings = _table(raw, where)
    on = _read_on(settings.pop("on", "*"), f"{where}.on", names)
    if not settings:
        raise ConfigError(f"{where}: expected at least one setting")
    return ChangeStep(on, settings)


def _read_on(value: object, where: str, names: Sequence[str]) -> tuple[str, ...]:
    globs: Globs = decode(value, Globs, where)     # type: ignore[arg-type]  # a union is no type to mypy
    return chosen(globs, names, where)


def chosen(globs: Globs, names: Sequence[str], where: str) -> tuple[str, ...]:
    """The instances that are meant, in the order of the farm.

    :raises ConfigError: where there is none.
    """
    wanted = (globs,) if isinstance(globs, str) else globs
    found = tuple(name for name in names if any(fnmatchcase(name, each) for each in wanted))
    if not found:
        raise ConfigError(f"{where}: {globs!r} matches no instance (there are: {', '.join(names)})")
    return found


def _table(raw: object, where: str) -> dict[str, Any]:
    if not isinstance(raw, Mapping):
        raise ConfigError(f"{where}: expected a table, got {type(raw).__name__}")
    return dict(raw)
