"""Changes of an instance's configuration while it runs.

The fields that may change are marked with :data:`~comfyfarm.sim.settings.LIVE`.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec

from comfyfarm.config import ConfigError, InstanceConfig
from comfyfarm.config.decoding import decode_alone
from comfyfarm.sim.distributions import Distribution
from comfyfarm.sim.settings import LIVE
from comfyfarm.units import Duration


@cache
def live_keys() -> tuple[str, ...]:
    """Return the keys that may change while an instance runs, in the order of their declaration."""
    hints = get_type_hints(InstanceConfig, include_extras=True)
    return tuple(key for key in InstanceConfig.__struct_fields__ if _is_live(hints[key]))


@cache
def live_type() -> type[msgspec.Struct]:
    """Return a type whose schema describes a change."""
    doc = "The settings that may change while an instance runs, written as in its configuration."
    return _partial("InstanceChange", doc, InstanceConfig, live_keys())


def _partial(name: str, doc: str, kind: type[msgspec.Struct], keys: Iterable[str]) -> type[msgspec.Struct]:
    """Return a type with some fields of another, each of which may be missing."""
    hints = get_type_hints(kind, include_extras=True)
    fields: list[tuple[str, Any, Any]] = []
    for key in keys:
        hint = hints[key]
        if _is_live(hint):
            hint = hint.__origin__
        if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
            hint = _partial(f"{hint.__name__}Change", hint.__doc__ or "", hint, hint.__struct_fields__)
        fields.append((key, hint | msgspec.UnsetType, msgspec.UNSET))
    return msgspec.defstruct(name, fields, namespace={"__doc__": doc}, kw_only=True)


def _is_live(hint: Any) -> bool:
    return get_origin(hint) is Annotated and LIVE in get_args(hint)


def changed(config: InstanceConfig, change: object) -> InstanceConfig:
    """Return a configuration with a change in it; tables are merged key by key, lists are replaced.

    :param change: some keys of an ``[[instance]]``, as JSON or TOML is parsed.
    :raises ConfigError: if a key may not change or a value is wrong; the message begins with the first such key.
    """
    for key in change if isinstance(change, Mapping) else ():
        if key not in live_keys():
            what = "cannot change while it runs" if key in config.__struct_fields__ else "unknown key"
            raise ConfigError(f"{key}: {what} (what may: {', '.join(live_keys())})")
    _check_keys(config, change, "")
    new = decode_alone(change, InstanceConfig)
    assert isinstance(change, Mapping), "nothing else can be decoded"
    try:
        merged: InstanceConfig = _merged(config, new, change)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return merged


def _check_keys(old: object, change: object, where: str) -> None:
    """Refuse the first unknown key of a table or of a table in it, and list the known ones."""
    if not (isinstance(old, msgspec.Struct) and isinstance(change, Mapping)):
        return
    for key, value in change.items():
        if key not in old.__struct_fields__:
            raise ConfigError(f"{where}{key}: unknown key (there are: {', '.join(old.__struct_fields__)})")
        _check_keys(getattr(old, key), value, f"{where}{key}.")


def _merged(old: Any, new: Any, change: Any) -> Any:
    """Return the old value with those parts of the new one that the change names."""
    if isinstance(old, msgspec.Struct) and isinstance(change, Mapping):
        parts = {key: _merged(getattr(old, key), getattr(new, key), change[key]) for key in change}
        return msgspec.structs.replace(old, **parts)
    if isinstance(old, dict) and isinstance(new, dict):
        return old | new
    return new


def as_written(value: Any) -> Any:
    """Return a value of a configuration as it is written there, in types that JSON has."""
    if isinstance(value, msgspec.Struct):
        return {key: as_written(getattr(value, key)) for key in value.__struct_fields__}
    if isinstance(value, dict):
        return {key: as_written(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_written(item) for item in value]
    if isinstance(value, Distribution):
        return _distribution_as_written(value)
    if value is None or type(value) in (bool, int, float, str):
        return value
    return str(value)


def differing(value: msgspec.Struct, default: msgspec.Struct) -> dict[str, Any]:
    """Return those settings that differ from the defaults, as they are written in a configuration."""
    table: dict[str, Any] = {}
    for key in value.__struct_fields__:
        own, usual = getattr(value, key), getattr(default, key)
        if own != usual:
            is_nested = isinstance(own, msgspec.Struct) and type(own) is type(usual)
            table[key] = differing(own, usual) if is_nested else as_written(own)
    return table


def _distribution_as_written(distribution: Distribution) -> Any:
    first, second = str(Duration(distribution.first)), str(Duration(distribution.second))
    if distribution.kind == "uniform":
        return {"uniform": [first, second]}
    if distribution.kind == "normal":
        return {"normal": first, "sd": second}
    return first if distribution.kind == "fixed" else {"lognormal": first, "sigma": distribution.second}
