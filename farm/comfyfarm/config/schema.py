"""The JSON schema of a configuration file, made from the types that it is decoded into."""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, reduce
from inspect import cleandoc
from operator import or_
from typing import Any, Literal, get_type_hints

import msgspec

from comfyfarm.config.scenarios import incidents
from comfyfarm.config.scenarios.scenario import INSTANCE_ACTIONS, Begin, LoadStep, Speed
from comfyfarm.config.scenarios.tables import INSTANCE_ONLY_KEYS, Globs
from comfyfarm.config.values import FarmSettings, InstanceConfig
from comfyfarm.faults.effects import EFFECTS
from comfyfarm.faults.fault import Effect, Rule
from comfyfarm.faults.phases import At, Phase
from comfyfarm.sim.catalogue.models import Model
from comfyfarm.sim.distributions import Distribution
from comfyfarm.units import Duration, Size

_TEXT = {"type": "string"}
_CUSTOM_TYPES: dict[type[Any], dict[str, Any]] = {
    Duration: _TEXT | {"examples": ["45ms", "1.5s", "2min", "1h"]},
    Model: _TEXT | {"examples": ["sdxl.safetensors:6.9GB"]},
    Size: _TEXT | {"examples": ["512MB", "6.9GB"]},
    Distribution: {"examples": ["45ms", {"normal": "45ms", "sd": "5ms"}]},
}
_FIELD_TEXT = re.compile(r":ivar (\w+): (.*?)(?=\n:|\Z)", re.DOTALL)


def custom_schema(kind: type[Any]) -> dict[str, Any]:
    """Return the schema of a type with a notation of its own: a ``schema_hook`` of msgspec."""
    if kind in _CUSTOM_TYPES:
        return _CUSTOM_TYPES[kind]
    raise NotImplementedError(kind)


def file_schema() -> dict[str, Any]:
    """Return the JSON schema of a whole file."""
    schema: dict[str, Any] = msgspec.json.schema(_file_type(), schema_hook=custom_schema)
    for component in schema["$defs"].values():
        _describe_fields(component)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "A farm of comfyfarm", **schema}


def _describe_fields(component: dict[str, Any]) -> None:
    """Move the texts of fields from the description of a table to the fields."""
    text = cleandoc(component.get("description", ""))
    component["description"] = text.partition("\n\n:")[0]
    for name, about in _FIELD_TEXT.findall(text):
        if name in component.get("properties", {}):
            component["properties"][name] = {"description": " ".join(about.split()), **component["properties"][name]}


def _file_type() -> Any:
    profile = _table("Profile", InstanceConfig, "The settings that several instances share.", INSTANCE_ONLY_KEYS)
    own: Mapping[str, Any] = {"count": int, "profile": str}
    instance = _table("Instance", InstanceConfig, "One ComfyUI, or with count several.", more=own)
    fault = reduce(or_, [_fault(do, effect) for do, effect in EFFECTS.items()])
    scenario = _scenario(fault, profile)
    keys = {"farm": FarmSettings, "profile": dict[str, profile], "instance": list[instance]}    # type: ignore[valid-type]
    return _struct("Farm", "A farm of mock ComfyUI servers.", keys | {"fault": list[fault], "scenario": list[scenario]})    # type: ignore[valid-type]


def _fault(do: str, effect: type[Effect]) -> Any:
    """Return the table of a fault with one effect."""
    rule = {**get_type_hints(Rule, include_extras=True), "at": At | Phase}
    keys = {key: rule[key] for key in Rule.__struct_fields__} | _hints(effect)
    about = cleandoc(effect.__doc__ or do).partition("\n\n:")[0]
    doc = "\n".join([f"{about}\n", *_field_texts(effect), *_field_texts(Rule)])
    return _struct(f"Fault_{do}", doc, keys, required={"at"}, do=do)


def _scenario(fault: Any, settings: Any) -> Any:
    load = _table("Load", LoadStep, "Jobs.", more={"on": Globs})
    actions: dict[str, Any] = {str(action): Globs for action in INSTANCE_ACTIONS}
    jobs = {"at": Duration, "load": load, "fault": fault}
    kinds = {**jobs, **actions, "change": dict[str, Any], "speed": Speed, "heal": Literal[True]}
    step = _struct("Step", "One action of a scenario, at a time.", kinds, required={"at"})
    heads = {"use": Literal[tuple(incidents())], "name": str, "on": Globs, "after": Duration, "begins": Begin}
    more = {**heads, "settings": settings, "fault": list[fault], "step": list[step]}   # type: ignore[valid-type]
    return _struct("Scenario", "An incident (use), or a scenario of your own (name).", more)


def _hints(kind: type[msgspec.Struct]) -> dict[str, Any]:
    hints = get_type_hints(kind, include_extras=True)
    return {key: hints[key] for key in kind.__struct_fields__}


def _table(
    name: str,
    kind: type[msgspec.Struct],
    about: str,
    without: Iterable[str] = (),
    more: Mapping[str, Any] = {},
) -> Any:
    """Return the type of a table with the fields of a type, all of them optional."""
    keys = {key: _nested(hint) for key, hint in _hints(kind).items() if key not in without}
    return _struct(name, "\n".join([f"{about}\n", *_field_texts(kind)]), {**keys, **more})


def _field_texts(kind: type[msgspec.Struct]) -> Iterator[str]:
    """Yield the lines about the fields of a type, as they stand in its docstring and those of its bases."""
    for base in kind.__mro__:
        if issubclass(base, msgspec.Struct) and base is not msgspec.Struct:
            yield from (field[0] for field in _FIELD_TEXT.finditer(cleandoc(base.__doc__ or "")))


@cache      # a schema has one type of a name
def _nested(hint: Any) -> Any:
    """Return the type of a table in a table; any other type as it is."""
    kind = getattr(hint, "__origin__", hint)
    is_table = isinstance(kind, type) and issubclass(kind, msgspec.Struct)
    return _table(kind.__name__, kind, (kind.__doc__ or "").partition("\n\n")[0]) if is_table else hint


def _struct(
    name: str, doc: str, keys: Mapping[str, Any], required: Iterable[str] = (), do: str | None = None
) -> Any:
    """Return a type whose optional fields have no default, so that the schema tells none.

    :param do: the effect that tells the tables of faults apart; ``None`` for other tables.
    """
    fields: list[Any] = [
        (key, hint) if key in required else (key, hint | msgspec.UnsetType, msgspec.UNSET) for key, hint in keys.items()
    ]
    tags: dict[str, Any] = {} if do is None else {"tag_field": "do", "tag": do}
    return msgspec.defstruct(
        name, fields, namespace={"__doc__": doc}, kw_only=True, forbid_unknown_fields=True, **tags
    )
