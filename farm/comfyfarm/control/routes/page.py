"""Routes for the page at ``/``: what can be armed, scenarios, pictures, and the test of what was done by hand."""

import inspect
import re
from collections.abc import Generator, Iterable
from functools import cache
from typing import Any, get_args

import msgspec

from comfyfarm.analysis.trials import UnknownTrial
from comfyfarm.config.decoding import ConfigError
from comfyfarm.config.repetition import OF_HANDS, repetition
from comfyfarm.config.scenarios import incidents
from comfyfarm.config.scenarios.tables import read_scenarios
from comfyfarm.config.schema import custom_schema
from comfyfarm.control.routes.instances import backend_of
from comfyfarm.control.routing import ApiError, Raw, route
from comfyfarm.control.schema import endpoints
from comfyfarm.control.schema.endpoints import TEXT
from comfyfarm.control.schema.page import (
    EffectList,
    EffectState,
    FieldState,
    PictureQuery,
    ScenarioStarted,
    ScenarioState,
    TestQuery,
)
from comfyfarm.events import Event, FaultArmed
from comfyfarm.faults.effects import EFFECTS
from comfyfarm.faults.fault import Rule
from comfyfarm.faults.phases import At, Phase, filter_keys
from comfyfarm.server.farm import Farm
from comfyfarm.server.time.turns import in_turns

_HOLD = "hold"
_EVENTS_IN_A_TURN = 2500
_WRITTEN_APART = ("on", "at", "id", "cites")       # keys of a rule that a form asks for in another way, or not at all
_IVAR = re.compile(r":ivar (\w+): (.*?)(?=\s*:ivar|\s*\Z)", re.DOTALL)


@route(endpoints.LIST_EFFECTS)
def get_effects(_farm: Farm) -> EffectList:
    """Return all effects, their keys, and the ready-made scenarios."""
    return _effects()


@cache
def _effects() -> EffectList:
    effects = [
        EffectState(name=name, phases=kind.phases, says=_summary(kind), fields=_fields(kind))
        for name, kind in sorted(EFFECTS.items())
        if name != _HOLD
    ]
    common = [field for field in _fields(Rule) if field.name not in _WRITTEN_APART]
    conditions = {field.name: field for field in _fields(At)}
    filters = {phase: tuple(conditions[key] for key in filter_keys(phase)) for phase in get_args(Phase)}
    scenarios = [ScenarioState(name=one.id, title=one.name, says=one.what) for one in incidents().values()]
    return EffectList(
        effects=tuple(effects),
        common=tuple(common),
        filters=filters,
        gate_phases=EFFECTS[_HOLD].phases,
        scenarios=tuple(scenarios),
    )


def _summary(kind: type[Any]) -> str:
    return (inspect.getdoc(kind) or "").partition("\n\n")[0].replace("``", "").replace("\n", " ")


def _fields(kind: type[msgspec.Struct]) -> tuple[FieldState, ...]:
    meanings = {name: " ".join(text.split()) for name, text in _IVAR.findall(inspect.getdoc(kind) or "")}
    return tuple(_field(field, meanings) for field in msgspec.structs.fields(kind))


def _field(field: msgspec.structs.FieldInfo, meanings: dict[str, str]) -> FieldState:
    schema = msgspec.json.schema(field.type, schema_hook=custom_schema)
    options = [option for option in schema.get("anyOf", [schema]) if option.get("type") != "null"]
    choices = options[0].get("enum", ()) if len(options) == 1 else ()
    return FieldState(
        name=field.encode_name,
        type=options[0].get("type", "string") if len(options) == 1 else "",
        example=str(next(iter(options[0].get("examples", ())), "")),
        choices=("true",) if options[0].get("type") == "boolean" else tuple(map(str, choices)),
        is_required=field.required,
        says=meanings.get(field.name, "").replace("``", ""),
    )


@route(endpoints.START_SCENARIO)
def post_scenario(farm: Farm, body: Any) -> ScenarioStarted:
    """Start a scenario now; it is written as a ``[[scenario]]`` of a configuration, such as ``{"use": "F08"}``.

    Settings that instances must have from their start are changed first, as far as they may change while they run.
    """
    try:
        ids = [armed.fault.id for armed in farm.registry.armed.values()]
        (scenario,) = read_scenarios([body], list(farm.backends), ids)
        farm.scenario_runner.start(scenario.later(farm.time.now_ms()) if scenario.begins == "start" else scenario)
    except ConfigError as error:
        raise ApiError(422, str(error).removeprefix("scenario[0]").lstrip(".: ")) from error
    return ScenarioStarted(name=scenario.name, on=scenario.on, steps=len(scenario.steps))


@route(endpoints.GET_PICTURE)
def get_picture(farm: Farm, name: str, query: PictureQuery) -> Raw:
    """Return a file of an instance, without a request to the instance: the verdict knows nothing of it."""
    disk = backend_of(farm, name).disk
    folder = {"output": disk.output_dir, "temp": disk.temp_dir, "input": disk.input_dir}[query.folder].resolve()
    path = (folder / query.subfolder / query.name).resolve()
    if not path.is_relative_to(folder) or not path.is_file():
        raise ApiError(404, f"{name} has no file {query.subfolder}/{query.name}".replace(" /", " "))
    return Raw(path.read_bytes(), _MEDIA_TYPES.get(path.suffix.lower(), "application/octet-stream"))


_MEDIA_TYPES = {".png": "image/png", ".webp": "image/webp", ".jpg": "image/jpeg", ".gif": "image/gif"}


@route(endpoints.GET_TEST)
async def get_test(farm: Farm, query: TestQuery) -> Raw:
    """Return the test, or the configuration, that repeats what was done to the farm in a trial.

    It has the faults that were armed and what was done to instances by hand: from the start if it was before the first
    job of the trial, else at the same time after it.
    """
    try:
        journal = farm.analysis.journal(query.trial)
    except UnknownTrial as error:
        raise ApiError(404, str(error)) from error
    events = await in_turns(farm.reactor, _of_hands(journal))
    own = {event.id for event in events if isinstance(event, FaultArmed)}
    armed = [
        fault.fault.as_written()
        for fault in farm.registry.armed.values()
        if fault.state == "armed" and not fault.is_private and fault.fault.id not in own
    ]
    configs = [backend.config for backend in farm.backends.values()]
    speed = None if farm.clock_control.is_virtual else farm.time.speed
    done = repetition(farm.config.farm, configs, events, armed, speed)
    return Raw((done.as_test() if query.format == "pytest" else done.as_toml()).encode(), TEXT)


def _of_hands(journal: Iterable[Event]) -> Generator[None, None, list[Event]]:
    found: list[Event] = []
    for number, event in enumerate(journal, 1):
        if isinstance(event, OF_HANDS):
            found.append(event)
        if not number % _EVENTS_IN_A_TURN:
            yield
    return found
