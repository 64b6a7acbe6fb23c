"""``config.toml`` as frozen values: what a farm is, before it is alive."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_type_hints

import msgspec

from farm.sim.settings import Settings
from farm.sim.spans import Span
from farm.sim.units import Size

__all__ = ["ConfigError", "FarmConfig", "FarmSettings", "InstanceConfig", "Overrides", "load", "read"]

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)
Table = dict[str, Any]

_NAME = re.compile(r"[A-Za-z0-9._-]+")
_FIRST_PORT = 8188
_NOT_IN_A_PROFILE = ("name", "port", "count", "profile")


class ConfigError(Exception):
    """The configuration does not describe a farm; the message says where and why, in one line."""


class FarmSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[farm]``.

    :ivar host: where every port is bound; anything but loopback is a deliberate choice.
    :ivar control_port: of the control server; 0 for any free port.
    :ivar seed: decides every draw; ``None``: one is drawn, and told in the log.
    :ivar speed: how many simulated seconds pass in a real one.
    :ivar data_dir: where each instance's folders live; ``None``: a fresh temporary folder.
    :ivar log: a file that takes every event as a line of JSON; ``None`` for none.
    """

    host: str = "127.0.0.1"
    control_port: int = 8180
    seed: int | None = None
    speed: float = 1.0
    data_dir: str | None = None
    log: str | None = None


class InstanceConfig(Settings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[[instance]]``: one ComfyUI.

    :ivar port: 0 for any free port.
    :ivar input: the input picture; ``None``: the one that ships with the package.
    :ivar output_dir: where dynamic files go; ``None``: a folder of its own under ``data_dir``.
    :ivar keep_outputs: whether the files stay when the farm stops.
    :ivar models: the exact model files by folder; a folder that is not named is open.
    :ivar open_models: whether the folders that ``models`` does not name take any file name; else they are empty.
    :ivar comfyui_version: which ComfyUI it is; what it can do follows the nearest version we know.
    :ivar enable_cors: the origin that web pages may come from, ``True`` for any; ``False``: only its own.
    :ivar max_upload_size: of any body.
    :ivar multi_user: whether it keeps settings and files by user.
    """

    name: str = "comfyui"
    port: int = _FIRST_PORT
    input: str | None = None
    output_dir: str | None = None
    keep_outputs: bool = False
    models: dict[str, tuple[str, ...]] = {}  # noqa: RUF012 (msgspec copies an empty default)
    open_models: bool = True
    comfyui_version: str = "0.25.0"
    enable_cors: bool | str = False
    max_upload_size: Size = Size(100 * 1024 * 1024)
    multi_user: bool = False


class FarmConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole farm.

    :ivar instance: in the order of the file; ``count`` and ``profile`` are resolved.
    """

    farm: FarmSettings = FarmSettings()
    instance: tuple[InstanceConfig, ...] = (InstanceConfig(),)


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


def load(path: Path, overrides: Overrides = Overrides()) -> FarmConfig:  # noqa: B008 (frozen)
    """Read a farm's description.

    :raises ConfigError: where it cannot be read, or says what no farm has.
    """
    try:
        raw = msgspec.toml.decode(path.read_bytes())
    except OSError as why:
        raise ConfigError(f"{path}: {why.strerror}") from why
    except (msgspec.DecodeError, UnicodeDecodeError) as why:
        raise ConfigError(f"{path}: {why}") from why
    try:
        return read(raw, path.parent, overrides)
    except ConfigError as why:
        raise ConfigError(f"{path}: {why}") from why.__cause__


def read(raw: Table, folder: Path, overrides: Overrides = Overrides()) -> FarmConfig:  # noqa: B008 (frozen)
    """Make a farm's description of the tables of a TOML file.

    :param folder: what relative paths are relative to.
    :raises ConfigError: without the file's name.
    """
    for key in raw:
        if key not in ("farm", "profile", "instance"):
            raise ConfigError(f"{key}: unknown key")
    profiles = _table(raw.get("profile", {}), "profile")
    for name, profile in profiles.items():
        _check_profile(name, profile)
    instances = [each for index, table in _tables(raw) for each in _expand(index, table, profiles)]
    config = FarmConfig(
        farm=_resolve_paths(_decode(raw.get("farm", {}), FarmSettings, "farm"), folder),
        instance=tuple(_resolve_paths(each, folder) for each in instances),
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
    _decode(profile, InstanceConfig, where)


def _expand(index: int, table: Table, profiles: Table) -> Iterator[InstanceConfig]:
    """The instances that one table stands for: ``count`` of them, their ports counting up."""
    where = f"instance[{index}]"
    own = dict(table)
    count = _decode(own.pop("count", 1), int, f"{where}.count")
    wanted = own.pop("profile", None)
    if wanted is not None and wanted not in profiles:
        known = ", ".join(sorted(profiles)) or "none"
        raise ConfigError(f"{where}.profile: unknown profile {wanted!r} (there are: {known})")
    if count < 1:
        raise ConfigError(f"{where}.count: expected at least 1, got {count}")
    config = _decode(_merge(profiles.get(wanted, {}), own), InstanceConfig, where)
    for n in range(1, count + 1):
        port = config.port + n - 1 if config.port else 0
        yield msgspec.structs.replace(config, name=config.name.replace("{n}", str(n)), port=port)


def _merge(base: Table, over: Table) -> Table:
    """Tables key by key, everything else replaced."""
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _resolve_paths(config: S, folder: Path) -> S:
    given = {key: getattr(config, key, None) for key in ("input", "output_dir", "data_dir", "log")}
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
    return FarmConfig(farm=farm, instance=tuple(instances))


def _check(config: FarmConfig) -> None:
    """Hold the parts against each other."""
    if not config.farm.speed > 0:
        raise ConfigError(f"farm.speed: expected more than 0, got {config.farm.speed}")
    ports = {config.farm.control_port: "farm.control_port"} if config.farm.control_port else {}
    names: set[str] = set()
    _check_port(config.farm.control_port, "farm.control_port")
    for index, each in enumerate(config.instance):
        where = f"instance[{index}]"
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


def _check_port(port: int, where: str) -> None:
    if not 0 <= port <= 65535:
        raise ConfigError(f"{where}: expected a port from 0 to 65535, got {port}")


# Decoding, with errors that say where.


def _decode(raw: object, kind: type[T], where: str) -> T:
    try:
        return msgspec.convert(raw, kind, dec_hook=_read_unit)
    except msgspec.ValidationError as why:
        raise ConfigError(_place(str(why), where, raw, kind)) from why


def _read_unit(kind: type[Any], value: object) -> Any:
    if kind in (Size, Span):
        return kind.parse(value)
    raise NotImplementedError(kind)


def _place(text: str, where: str, raw: object, kind: object) -> str:
    """Msgspec's "Expected `int`, got `str` - at `$.port`" -> "instance[0].port: expected int, got str"."""
    what, _, path = text.partition(" - at `$")
    what = what.replace("`", "")
    place = where + _name_keys(path.removesuffix("`"), raw)
    unknown = re.fullmatch(r"Object contains unknown field (.*)", what)
    if unknown:
        return f"{place}.{unknown[1]}: unknown key"
    if not path and (own := re.match(r"(\w+): ", what)):     # a Struct's own check names its field
        return f"{place}.{own[1]}: {what[own.end() :]}"
    if what.startswith("Invalid enum value"):
        what = f"expected one of {', '.join(_allowed(kind, path.strip('.`')))}, got {what.split()[-1]}"
    what = what.replace("object", "a table").replace("array", "a list")
    return f"{place}: {what[0].lower()}{what[1:]}"


def _allowed(kind: Any, key: str) -> Iterator[str]:
    """The words that a key takes."""
    for hint in (get_type_hints(kind)[key], *get_args(get_type_hints(kind)[key])):
        yield from (repr(word) for word in get_args(hint) if isinstance(word, str))


def _name_keys(path: str, raw: object) -> str:
    """Msgspec writes ``[...]`` for a dictionary's key: find the one whose value is at fault."""
    head, found, rest = path.partition("[...]")
    if not found:
        return path
    table: Any = raw
    for key in filter(None, head.split(".")):
        table = table.get(key, {})
    suspects: Mapping[str, object] = table if isinstance(table, dict) else {}
    checks: dict[str, type[Any]] = {".models": tuple[str, ...], ".timing.nodes": Span}
    for key, value in suspects.items():
        try:
            msgspec.convert(value, checks.get(head, Literal[()]), dec_hook=_read_unit)
        except msgspec.ValidationError:
            return f"{head}.{key}{rest}"
    return path
