"""Read the steps of scenarios: ``at``, and exactly one action."""

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import TypeAlias

from comfyfarm.config.decoding import ConfigError, check_keys, decode, read_table
from comfyfarm.config.scenarios.scenario import (
    INSTANCE_ACTIONS,
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

_ACTIONS = ("load", "fault", *INSTANCE_ACTIONS, "change", "heal")
_INSTANCE_ACTIONS: dict[str, InstanceAction] = {action: action for action in INSTANCE_ACTIONS}

Globs: TypeAlias = str | tuple[str, ...]
ReadFault: TypeAlias = Callable[[object, str], Fault]
"""Reads a fault from a table; takes the table and its place."""


def read_step(raw: object, where: str, names: Sequence[str], read_fault: ReadFault) -> tuple[int, Action]:
    """Read a step, and return its time in milliseconds and its action.

    :param names: of the instances of the scenario.
    :raises ConfigError: such as ``scenario[0].step[1]: expected one of load, ...``.
    """
    table = read_table(raw, where)
    check_keys(table, ("at", *_ACTIONS), where)
    keys = [key for key in table if key != "at"]
    if len(keys) != 1:
        got = " and ".join(keys) or "none"
        raise ConfigError(f"{where}: expected exactly one of {', '.join(_ACTIONS)}; got {got}")
    if "at" not in table:
        raise ConfigError(f'{where}.at: expected when it happens, such as "2s"')
    at_ms = int(decode(table["at"], Duration, f"{where}.at"))
    return at_ms, _read_action(keys[0], table[keys[0]], f"{where}.{keys[0]}", names, read_fault)


def _read_action(key: str, value: object, where: str, names: Sequence[str], read_fault: ReadFault) -> Action:
    match key:
        case "load":
            return _read_load(value, where, names)
        case "fault":
            return ArmStep(read_fault(value, where))
        case "change":
            return _read_change(value, where, names)
        case "heal":
            if value is not True:
                raise ConfigError(f"{where}: expected true, got {value!r}")
            return HealStep()
        case _:
            return ActionStep(_INSTANCE_ACTIONS[key], _read_on(value, where, names))


def _read_load(raw: object, where: str, names: Sequence[str]) -> LoadStep:
    table = read_table(raw, where)
    check_keys(table, LoadStep.__struct_fields__, where)
    if "jobs" not in table:
        raise ConfigError(f"{where}.jobs: expected how many jobs each instance is given")
    on = _read_on(table.get("on", "*"), f"{where}.on", names)
    return decode({**table, "on": on}, LoadStep, where)


def _read_change(raw: object, where: str, names: Sequence[str]) -> ChangeStep:
    settings = read_table(raw, where)
    on = _read_on(settings.pop("on", "*"), f"{where}.on", names)
    if not settings:
        raise ConfigError(f"{where}: expected at least one setting")
    return ChangeStep(on, settings)


def _read_on(value: object, where: str, names: Sequence[str]) -> tuple[str, ...]:
    globs: Globs = decode(value, Globs, where)     # type: ignore[arg-type]  # a union is no type to mypy
    return matching(globs, names, where)


def matching(globs: Globs, names: Sequence[str], where: str) -> tuple[str, ...]:
    """Return the instances that the globs match, in the order of the farm.

    :raises ConfigError: if there is none.
    """
    patterns = (globs,) if isinstance(globs, str) else globs
    found = tuple(name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns))
    if not found:
        raise ConfigError(f"{where}: {globs!r} matches no instance (there are: {', '.join(names)})")
    return found
