"""The TOML file, read: profiles merged, counts resolved, scenarios laid over, every error with its place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from comfyfarm.config.captured import CapturedServer, NotCaptured
from comfyfarm.config.checks import check
from comfyfarm.config.decoding import ConfigError, decode
from comfyfarm.config.fault_tables import read_fault
from comfyfarm.config.scenarios.scenario import Scenario
from comfyfarm.config.scenarios.tables import read_scenarios
from comfyfarm.config.values import FarmConfig, FarmSettings, InstanceConfig, Overrides
from comfyfarm.faults.fault import Fault

S = TypeVar("S", bound=msgspec.Struct)
Table = dict[str, Any]

_PATHS = ("input", "output_dir", "object_info", "captured", "data_dir", "log")
_MOST_INSTANCES = 65535
_NOT_IN_A_PROFILE = ("name", "port", "count", "profile")


def load(path: Path, overrides: Overrides = Overrides()) -> FarmConfig:
    """Read a farm's description.

    :raises ConfigError: where it cannot be read, or says what no farm has.
    """
    try:
        raw = msgspec.toml.decode(path.read_bytes())
    except OSError as why:
        raise ConfigError(f"{path}: {why.strerror}") from why
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as why:
        raise ConfigError(f"{path}: {why}") from why
    try:
        return read(raw, path.parent, overrides)
    except ConfigError as why:
        raise ConfigError(f"{path}: {why}") from why.__cause__


def read(raw: Table, folder: Path, overrides: Overrides = Overrides()) -> FarmConfig:
    """Make a farm's description of the tables of a TOML file.

    :param folder: what relative paths are relative to.
    :raises ConfigError: without the file's name.
    """
    for key in raw:
        if key not in ("farm", "profile", "instance", "fault", "scenario"):
            raise ConfigError(f"{key}: unknown key")
    profiles = _table(raw.get("profile", {}), "profile")
    for name, profile in profiles.items():
        _check_profile(name, profile)
    instances = [each for index, table in _tables(raw) for each in _expand(index, table, profiles, folder)]
    faults = tuple(_read_faults(raw))
    scenarios = _read_scenarios(raw, instances, faults)
    config = FarmConfig(
        farm=_resolve_paths(decode(raw.get("farm", {}), FarmSettings, "farm"), folder),
        instance=tuple(_resolve_paths(_staged(each, scenarios, folder), folder) for each in instances),
        fault=faults,
        scenario=scenarios,
        tables=tuple(each.index for each in instances),
    )
    config = _override(config, overrides)
    check(config)
    return config


def _tables(raw: Table) -> Iterator[tuple[int, Table]]:
    tables = raw.get("instance", [{}])
    if not isinstance(tables, list):
        raise ConfigError("instance: expected [[instance]] tables")
    if not tables:
        raise ConfigError("instance: a farm needs at least one [[instance]]")
    for index, table in enumerate(tables):
        yield index, _table(table, f"instance[{index}]")


def _read_faults(raw: Table) -> Iterator[Fault]:
    tables = raw.get("fault", [])
    if not isinstance(tables, list):
        raise ConfigError("fault: expected [[fault]] tables")
    for index, table in enumerate(tables):
        yield read_fault(table, f"fault[{index}]")


def _read_scenarios(raw: Table, instances: Sequence[_Instance], faults: Iterable[Fault]) -> tuple[Scenario, ...]:
    names = [each.config.name for each in instances]
    scenarios = read_scenarios(raw.get("scenario", []), names, [each.rule.id for each in faults if each.rule.id])
    for index, scenario in enumerate(scenarios):    # alone, so that errors bear its name
        decode(scenario.settings, InstanceConfig, f"scenario[{index}].settings")
    return scenarios


def _staged(each: _Instance, scenarios: Iterable[Scenario], folder: Path) -> InstanceConfig:
    """An instance with the settings of the scenarios that are on it, the later ones over the earlier."""
    table, name = each.table, each.config.name
    for scenario in scenarios:
        if name in scenario.on:
            table = _merge(table, scenario.settings)
    if table is each.table:
        return each.config
    config = _decode_instance(table, folder, f"instance[{each.index}]")
    return msgspec.structs.replace(config, name=name, port=each.config.port)


def _table(value: object, where: str) -> Table:
    if not isinstance(value, dict):
        raise ConfigError(f"{where}: expected a table, got {type(value).__name__}")
    return value


def _check_profile(name: str, profile: object) -> None:
    """Decode a profile alone, so that its errors bear its name."""
    where = f"profile.{name}"
    for key in _table(profile, where):
        if key in _NOT_IN_A_PROFILE:
            raise ConfigError(f"{where}.{key}: unknown key")
    decode(profile, InstanceConfig, where)


@dataclass(frozen=True)
class _Instance:
    """An instance, and what it was made of.

    :ivar table: its own keys and its profile's.
    :ivar index: of the ``[[instance]]`` that it comes from.
    """

    config: InstanceConfig
    table: Table
    index: int


def _expand(index: int, table: Table, profiles: Table, folder: Path) -> Iterator[_Instance]:
    """The instances that one table stands for: ``count`` of them, their ports counting up."""
    where = f"instance[{index}]"
    own = dict(table)
    count = decode(own.pop("count", 1), int, f"{where}.count")
    wanted = own.pop("profile", None)
    if wanted is not None and wanted not in list(profiles):
        known = ", ".join(sorted(profiles)) or "none"
        raise ConfigError(f"{where}.profile: unknown profile {wanted!r} (there are: {known})")
    if not 1 <= count <= _MOST_INSTANCES:
        raise ConfigError(f"{where}.count: expected 1 to {_MOST_INSTANCES}, got {count}")
    own = _merge(profiles.get(wanted, {}), own)
    config = _decode_instance(own, folder, where)
    for n in range(1, count + 1):
        port = config.port + n - 1 if config.port else 0
        name = config.name.replace("{n}", str(n))
        yield _Instance(msgspec.structs.replace(config, name=name, port=port), own, index)


def _decode_instance(own: Table, folder: Path, where: str) -> InstanceConfig:
    return decode(_captured_defaults(own, folder, where) | own, InstanceConfig, where)


def _merge(base: Table, over: Table) -> Table:
    """Tables key by key, everything else replaced."""
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _captured_defaults(own: Table, folder: Path, where: str) -> Table:
    """What a captured server says of itself, where the file says nothing."""
    if not isinstance(own.get("captured"), str):
        return {}
    try:
        return CapturedServer.read(folder / own["captured"]).defaults()
    except NotCaptured as why:
        raise ConfigError(f"{where}.captured: {why}") from why


def _resolve_paths(config: S, folder: Path) -> S:
    given = {key: getattr(config, key, None) for key in _PATHS}
    found = {key: str(folder / path) for key, path in given.items() if path is not None}
    return msgspec.structs.replace(config, **found)


def _override(config: FarmConfig, overrides: Overrides) -> FarmConfig:
    said = {key: getattr(overrides, key) for key in ("control_port", "seed", "speed", "data_dir")}
    farm = msgspec.structs.replace(config.farm, **{key: value for key, value in said.items() if value is not None})
    instances = list(config.instance)
    if overrides.disable_static_return:
        instances = [msgspec.structs.replace(each, mode="dynamic") for each in instances]
    if overrides.port is not None:
        step = 1 if overrides.port else 0
        instances = [
            msgspec.structs.replace(each, port=overrides.port + step * n) for n, each in enumerate(instances)
        ]
    return msgspec.structs.replace(config, farm=farm, instance=tuple(instances))
