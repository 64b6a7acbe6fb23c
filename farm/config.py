"""``config.toml`` as frozen values: what a farm is, before it is alive."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from farm.captured import Captured, NotCaptured
from farm.decoding import ConfigError, decode
from farm.fault_tables import read_fault
from farm.scenarios.scenario import Scenario
from farm.scenarios.tables import read_scenarios
from farm.sim.declared import DeclaredType
from farm.sim.faults.board import Board, UnknownFault
from farm.sim.faults.fault import Fault
from farm.sim.models import Model, check_sizes
from farm.sim.seeds import Seeds
from farm.sim.settings import LIVE, Settings
from farm.sim.units import Size

__all__ = ["ConfigError", "FarmConfig", "FarmSettings", "InstanceConfig", "Overrides", "check_faults", "load", "read"]

S = TypeVar("S", bound=msgspec.Struct)
Table = dict[str, Any]

_NAME = re.compile(r"[A-Za-z0-9._-]+")
_FIRST_PORT = 8188
_PATHS = ("input", "output_dir", "object_info", "captured", "data_dir", "log")
_MOST_PORTS = 65535
_NOT_IN_A_PROFILE = ("name", "port", "count", "profile")


class FarmSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[farm]``.

    :ivar host: where every port is bound; anything but loopback is a deliberate choice.
    :ivar control_port: of the control server; 0 for any free port.
    :ivar seed: decides every draw; ``None``: one is drawn, and told in the log.
    :ivar clock: ``real``: time passes by itself; ``virtual``: it stands until it is moved.
    :ivar speed: how many simulated seconds pass in a real one.
    :ivar data_dir: where each instance's folders live; ``None``: a fresh temporary folder.
    :ivar log: a file that takes every event as a line of JSON; ``None`` for none.
    :ivar fault_headers: whether a client may bring a fault for its one request, in ``X-Comfyfarm-Fault``.
    """

    host: str = "127.0.0.1"
    control_port: int = 8180
    seed: int | None = None
    clock: Literal["real", "virtual"] = "real"
    speed: float = 1.0
    data_dir: str | None = None
    log: str | None = None
    fault_headers: bool = False


class InstanceConfig(Settings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[[instance]]``: one ComfyUI.

    :ivar port: 0 for any free port.
    :ivar input: the input picture; ``None``: the one that ships with the package.
    :ivar output_dir: where dynamic files go; ``None``: a folder of its own under ``data_dir``.
    :ivar keep_outputs: whether the files stay when the farm stops.
    :ivar models: the exact model files by folder, each with its size or without; a folder that is not named is open.
    :ivar open_models: whether the folders that ``models`` does not name take any file name; else they are empty.
    :ivar missing_nodes: node types that it does not have, although its catalogue does.
    :ivar node_types: those that it has beside its catalogue, or instead.
    :ivar object_info: a real server's ``/object_info`` in a file, instead of the catalogue that ships with us.
    :ivar captured: a directory that ``comfyfarm capture`` wrote: a real server's node types, models and facts.
    :ivar comfyui_version: which ComfyUI it is; what it can do follows the nearest version we know.
    :ivar enable_cors: the origin that web pages may come from, ``True`` for any; ``False``: only its own.
    :ivar max_upload_size: of any body.
    :ivar multi_user: whether it keeps settings and files by user.
    """

    name: str = "comfyui"
    port: int = _FIRST_PORT
    input: str | None = None
    output_dir: str | None = None
    keep_outputs: Annotated[bool, LIVE] = False
    models: Annotated[dict[str, tuple[Model, ...]], LIVE] = {}  # noqa: RUF012 (msgspec copies an empty default)
    open_models: Annotated[bool, LIVE] = True
    missing_nodes: Annotated[tuple[str, ...], LIVE] = ()
    node_types: dict[str, DeclaredType] = {}  # noqa: RUF012
    object_info: str | None = None
    captured: str | None = None
    comfyui_version: str = "0.25.0"
    enable_cors: bool | str = False
    max_upload_size: Size = Size(100 * 1024 * 1024)
    multi_user: bool = False

    def __post_init__(self) -> None:
        """Refuse what contradicts itself, and let declared node types take the time that they say.

        :raises ValueError: naming the key.
        """
        super().__post_init__()
        check_sizes(self.models)
        for index, name in enumerate(self.missing_nodes):
            if name in self.node_types:
                raise ValueError(f"missing_nodes[{index}]: {name!r} is declared in node_types")
        said = {name: each.duration for name, each in self.node_types.items() if each.duration is not None}
        timing = msgspec.structs.replace(self.timing, nodes={**said, **self.timing.nodes})
        msgspec.structs.force_setattr(self, "timing", timing)


class FarmConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole farm.

    :ivar instance: in the order of the file; ``count`` and ``profile`` are resolved.
    :ivar fault: what goes wrong on purpose, armed from the start.
    :ivar scenario: what happens on purpose, each thing at its moment; its settings are in ``instance`` already.
    :ivar tables: by instance, which ``[[instance]]`` of the file it comes from; empty where there was no file.
    """

    farm: FarmSettings = FarmSettings()
    instance: tuple[InstanceConfig, ...] = (InstanceConfig(),)
    fault: tuple[Fault, ...] = ()
    scenario: tuple[Scenario, ...] = ()
    tables: tuple[int, ...] = ()

    def place(self, index: int) -> str:
        """Where the file describes an instance, for what is said about it."""
        return f"instance[{self.tables[index] if self.tables else index}]"


class Overrides(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says over the file; ``None`` where it says nothing.

    :ivar port: of the first instance; the others count up. 0 gives each any free port.
    :ivar disable_static_return: every instance becomes dynamic.
    """

    port: int | None = None
    control_port: int | None = None
    seed: int | None = None
    speed: float | None = None
    data_dir: str | None = None
    disable_static_return: bool = False


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
    _check(config)
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
    if not 1 <= count <= _MOST_PORTS:
        raise ConfigError(f"{where}.count: expected 1 to {_MOST_PORTS}, got {count}")
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
        return Captured.read(folder / own["captured"]).defaults()
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


def _check(config: FarmConfig) -> None:
    """Hold the parts against each other."""
    if not 0 < config.farm.speed < inf:
        raise ConfigError(f"farm.speed: expected a number above 0, got {config.farm.speed}")
    if config.farm.clock == "virtual" and config.farm.speed != 1:
        raise ConfigError("farm.speed: a virtual clock has none; it stands until it is moved")
    ports = {config.farm.control_port: "farm.control_port"} if config.farm.control_port else {}
    names: set[str] = set()
    _check_port(config.farm.control_port, "farm.control_port")
    for index, each in enumerate(config.instance):
        where = config.place(index)
        if not _NAME.fullmatch(each.name) or each.name in (".", ".."):
            raise ConfigError(f"{where}.name: expected letters, digits and ._- only, got {each.name!r}")
        if each.name in names:
            raise ConfigError(f"{where}.name: {each.name!r} is there already (with count, put {{n}} into the name)")
        _check_port(each.port, f"{where}.port")
        if each.port in ports:
            raise ConfigError(f"{where}.port: {each.port} is taken by {ports[each.port]}")
        names.add(each.name)
        if each.port:
            ports[each.port] = f"{where} ({each.name})"
    check_faults(config)


def check_faults(config: FarmConfig) -> None:
    """Arm them for a try.

    :raises ConfigError: where one means no instance, or its id is taken.
    """
    board = Board(tuple(each.name for each in config.instance), Seeds(0), lambda _: None)
    for index, fault in enumerate(config.fault):
        try:
            board.arm(fault, 0)
        except UnknownFault as why:
            raise ConfigError(f"fault[{index}].{why}") from why


def _check_port(port: int, where: str) -> None:
    if not 0 <= port <= _MOST_PORTS:
        raise ConfigError(f"{where}: expected a port from 0 to {_MOST_PORTS}, got {port}")
