"""Read the TOML file: merge profiles, expand counts, apply the settings of scenarios; every error names its place."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from comfyfarm.config.captured import CapturedServer, NotCaptured
from comfyfarm.config.decoding import ConfigError, check_numbers, decode, did_you_mean, read_table, read_tables
from comfyfarm.config.fault_tables import read_fault
from comfyfarm.config.scenarios.scenario import Scenario
from comfyfarm.config.scenarios.tables import INSTANCE_ONLY_KEYS, read_scenarios
from comfyfarm.config.values import FarmConfig, FarmSettings, InstanceConfig, Overrides
from comfyfarm.faults.fault import Fault
from comfyfarm.faults.registry import FaultRegistry, UnknownFault
from comfyfarm.seeds import Seeds

S = TypeVar("S", bound=msgspec.Struct)
Table = dict[str, Any]

TABLES = ("farm", "profile", "instance", "fault", "scenario")
_PATHS = ("input", "output_dir", "object_info", "captured", "data_dir", "log")
_MAX_INSTANCES = _MAX_PORT = 65535
_NAME = re.compile(r"[A-Za-z0-9._-]+")


@dataclass(frozen=True)
class _Instance:
    """An instance, and the table that describes it.

    :ivar table: its own keys and those of its profile.
    :ivar index: of its ``[[instance]]``.
    :ivar profile: the name of its profile; empty for none.
    """

    config: InstanceConfig
    table: Table
    index: int
    profile: str


def load(path: Path, overrides: Overrides = Overrides()) -> FarmConfig:
    """Read a configuration file.

    :raises ConfigError: if it cannot be read or does not describe a farm.
    """
    try:
        raw = msgspec.toml.decode(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: {error}") from error
    try:
        return read(raw, path.parent, overrides)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error.__cause__


def read(raw: Table, folder: Path, overrides: Overrides = Overrides()) -> FarmConfig:
    """Read the tables of a configuration.

    :param folder: the folder that relative paths are relative to.
    :raises ConfigError: without the name of a file.
    """
    for key in raw:
        if key not in TABLES:
            raise ConfigError(f"{key}: unknown key{did_you_mean(key, TABLES)}")
    check_numbers(raw)
    profiles = read_table(raw.get("profile", {}), "profile")
    for name, profile in profiles.items():
        _check_profile(name, profile)
    instances = list(_read_instances(raw.get("instance", [{}]), profiles, folder))
    faults = tuple(
        read_fault(table, f"fault[{index}]") for index, table in enumerate(read_tables(raw.get("fault", []), "fault"))
    )
    scenarios = _read_scenarios(raw, instances, faults)
    config = FarmConfig(
        farm=_resolve_paths(decode(raw.get("farm", {}), FarmSettings, "farm"), folder),
        instance=tuple(
            _resolve_paths(_with_scenarios(instance, scenarios, folder), folder) for instance in instances
        ),
        fault=faults,
        scenario=scenarios,
        tables=tuple(instance.index for instance in instances),
        profiles=tuple(instance.profile for instance in instances),
    )
    config = _override(config, overrides)
    _check(config)
    return config


def _read_scenarios(raw: Table, instances: Sequence[_Instance], faults: Iterable[Fault]) -> tuple[Scenario, ...]:
    names = [instance.config.name for instance in instances]
    scenarios = read_scenarios(raw.get("scenario", []), names, [fault.id for fault in faults if fault.id])
    for index, scenario in enumerate(scenarios):    # decoded alone, so that errors name the scenario
        decode(scenario.settings, InstanceConfig, f"scenario[{index}].settings")
    return scenarios


def _with_scenarios(instance: _Instance, scenarios: Iterable[Scenario], folder: Path) -> InstanceConfig:
    """Return an instance's configuration with the settings of its scenarios; the last scenario wins."""
    table, name = instance.table, instance.config.name
    for scenario in scenarios:
        if name in scenario.on:
            table = _merge(table, scenario.settings)
    if table is instance.table:
        return instance.config
    config = _decode_instance(table, folder, f"instance[{instance.index}]")
    return msgspec.structs.replace(config, name=name, port=instance.config.port)


def _check_profile(name: str, profile: object) -> None:
    """Decode a profile alone, so that errors name it."""
    where = f"profile.{name}"
    for key in read_table(profile, where):
        if key in INSTANCE_ONLY_KEYS:
            raise ConfigError(f"{where}.{key}: unknown key")
    decode(profile, InstanceConfig, where)


def _read_instances(raw: object, profiles: Table, folder: Path) -> Iterator[_Instance]:
    tables = read_tables(raw, "instance")
    if not tables:
        raise ConfigError("instance: a farm needs at least one [[instance]]")
    for index, table in enumerate(tables):
        yield from _expand(index, read_table(table, f"instance[{index}]"), profiles, folder)


def _expand(index: int, own: Table, profiles: Table, folder: Path) -> Iterator[_Instance]:
    """Yield the instances of one table: ``count`` of them, with consecutive ports."""
    where = f"instance[{index}]"
    count = decode(own.pop("count", 1), int, f"{where}.count")
    profile = own.pop("profile", None)
    if profile is not None and profile not in list(profiles):
        known = ", ".join(sorted(profiles)) or "none"
        meant = did_you_mean(profile, sorted(profiles))
        raise ConfigError(f"{where}.profile: unknown profile {profile!r} (there are: {known}){meant}")
    if not 1 <= count <= _MAX_INSTANCES:
        raise ConfigError(f"{where}.count: expected 1 to {_MAX_INSTANCES}, got {count}")
    own = _merge(profiles.get(profile, {}), own)
    config = _decode_instance(own, folder, where)
    for n in range(1, count + 1):
        port = config.port + n - 1 if config.port else 0
        name = config.name.replace("{n}", str(n))
        yield _Instance(msgspec.structs.replace(config, name=name, port=port), own, index, profile or "")


def _decode_instance(own: Table, folder: Path, where: str) -> InstanceConfig:
    return decode(_captured_defaults(own, folder, where) | own, InstanceConfig, where)


def _merge(base: Table, over: Table) -> Table:
    """Merge tables key by key; anything else is replaced."""
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _captured_defaults(own: Table, folder: Path, where: str) -> Table:
    if not isinstance(own.get("captured"), str):
        return {}
    try:
        return CapturedServer.read(folder / own["captured"]).defaults()
    except NotCaptured as error:
        raise ConfigError(f"{where}.captured: {error}") from error


def _resolve_paths(config: S, folder: Path) -> S:
    paths = {key: getattr(config, key, None) for key in _PATHS}
    resolved = {key: str(folder / path) for key, path in paths.items() if path is not None}
    return msgspec.structs.replace(config, **resolved)


def _override(config: FarmConfig, overrides: Overrides) -> FarmConfig:
    options = {key: getattr(overrides, key) for key in overrides.__struct_fields__ if hasattr(config.farm, key)}
    try:
        farm = msgspec.structs.replace(
            config.farm, **{key: value for key, value in options.items() if value is not None}
        )
    except ValueError as error:
        raise ConfigError(f"farm.{error}") from error
    instances = list(config.instance)
    if overrides.disable_static_return:
        instances = [msgspec.structs.replace(instance, mode="dynamic") for instance in instances]
    if overrides.port is not None:
        step = 1 if overrides.port else 0
        instances = [
            msgspec.structs.replace(instance, port=overrides.port + step * n) for n, instance in enumerate(instances)
        ]
    return msgspec.structs.replace(config, farm=farm, instance=tuple(instances))


def _check(config: FarmConfig) -> None:
    """Check clock, ports, names and faults."""
    if not 0 < config.farm.speed < inf:
        raise ConfigError(f"farm.speed: expected a number above 0, got {config.farm.speed}")
    if config.farm.clock == "virtual" and config.farm.speed != 1:
        raise ConfigError("farm.speed: a virtual clock has none; it stands until it is moved")
    ports = {config.farm.control_port: "farm.control_port"} if config.farm.control_port else {}
    names: set[str] = set()
    _check_port(config.farm.control_port, "farm.control_port")
    for index, instance in enumerate(config.instance):
        where = config.place(index)
        if not _NAME.fullmatch(instance.name) or instance.name in (".", ".."):
            raise ConfigError(f"{where}.name: expected letters, digits and ._- only, got {instance.name!r}")
        if instance.name in names:
            raise ConfigError(f"{where}.name: {instance.name!r} is there already (with count, put {{n}} into the name)")
        _check_port(instance.port, f"{where}.port")
        if instance.port in ports:
            raise ConfigError(f"{where}.port: {instance.port} is taken by {ports[instance.port]}")
        names.add(instance.name)
        if instance.port:
            ports[instance.port] = f"{where} ({instance.name})"
    check_faults(config)


def check_faults(config: FarmConfig) -> None:
    """Check that all faults can be armed together.

    :raises ConfigError: if a glob matches no instance or an id is taken.
    """
    registry = FaultRegistry(tuple(instance.name for instance in config.instance), Seeds(0), lambda _: None)
    for index, fault in enumerate(config.fault):
        try:
            registry.arm(fault, 0)
        except UnknownFault as error:
            raise ConfigError(f"fault[{index}].{error}") from error


def _check_port(port: int, where: str) -> None:
    if not 0 <= port <= _MAX_PORT:
        raise ConfigError(f"{where}: expected a port from 0 to {_MAX_PORT}, got {port}")
