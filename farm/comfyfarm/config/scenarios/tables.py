"""Read scenarios from the ``[[scenario]]`` tables of a configuration."""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Annotated, Any, TypeAlias

import msgspec

from comfyfarm.config.decoding import ConfigError, check_keys, decode, read_table, read_tables
from comfyfarm.config.fault_tables import read_fault
from comfyfarm.config.scenarios import Incident, UnknownIncident, find_incident
from comfyfarm.config.scenarios.scenario import (
    INSTANCE_ACTIONS,
    Action,
    ActionStep,
    ArmStep,
    Begin,
    ChangeStep,
    HealStep,
    LoadStep,
    Scenario,
    Speed,
    SpeedStep,
    Step,
)
from comfyfarm.faults.fault import Fault
from comfyfarm.units import Duration

_INCIDENT_KEYS = ("use", "on", "after", "begins")
_OWN_KEYS = ("name", "on", "after", "begins", "settings", "fault", "step")
INSTANCE_ONLY_KEYS = ("name", "port", "count", "profile")
_ACTIONS = ("load", "fault", *INSTANCE_ACTIONS, "change", "speed", "heal")

Globs: TypeAlias = str | tuple[str, ...]


class _Head(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of a table that say which scenario, where and when."""

    use: str | None = None
    name: Annotated[str, msgspec.Meta(min_length=1)] = "scenario"
    on: Globs | None = None
    after: Duration = Duration(0)
    begins: Begin = "start"


class _Body(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of a table that say what happens, not decoded."""

    settings: dict[str, Any] = {}
    fault: tuple[Any, ...] = ()
    step: tuple[Any, ...] = ()


@dataclass(eq=False)
class _FaultIds:
    """The ids of a farm's faults; new ones are ``F08``, ``F08-2`` and so on.

    :ivar taken: all ids so far.
    """

    taken: set[str]
    _last_numbers: Counter[str] = field(default_factory=Counter)

    def new(self, name: str) -> str:
        """Return a free id and take it."""
        while True:
            self._last_numbers[name] += 1
            number = self._last_numbers[name]
            fault_id = name if number == 1 else f"{name}-{number}"
            if fault_id not in self.taken:
                self.taken.add(fault_id)
                return fault_id

    def take(self, fault_id: str, where: str) -> None:
        """Take an id of the configuration.

        :raises ConfigError: if it is taken.
        """
        if fault_id in self.taken:
            raise ConfigError(f"{where}.id: {fault_id!r} is there already")
        self.taken.add(fault_id)


def read_scenarios(raw: object, names: Sequence[str], ids: Collection[str] = ()) -> tuple[Scenario, ...]:
    """Read the ``[[scenario]]`` tables.

    :param names: of all instances, in the order of the farm.
    :param ids: of other faults, which are taken.
    :raises ConfigError: such as ``scenario[0].step[1].load.jobs: expected int, got str``.
    """
    fault_ids = _FaultIds(set(ids))
    tables = enumerate(read_tables(raw, "scenario"))
    return tuple(_read(table, f"scenario[{index}]", names, fault_ids) for index, table in tables)


def _read(raw: object, where: str, names: Sequence[str], ids: _FaultIds) -> Scenario:
    table = read_table(raw, where)
    check_keys(table, _INCIDENT_KEYS if "use" in table else _OWN_KEYS, where)
    head = decode({key: table[key] for key in table if key in _Head.__struct_fields__}, _Head, where)
    incident = _incident(head.use, where)
    if incident is None and "name" not in table:
        raise ConfigError(f'{where}: expected use = "F08" or a name')
    name = head.name if incident is None else incident.id
    on = _instances(head.on, incident, names, f"{where}.on")
    body = _body(table if incident is None else msgspec.structs.asdict(incident), where)
    cites = () if incident is None else incident.sources
    is_everywhere = head.on is None and len(on) == len(names)
    reader = _StepReader(name, where, on, is_everywhere, int(head.after), cites, ids)
    steps = tuple(sorted(reader.steps(body), key=lambda step: step.at_ms))
    if head.after and not steps:
        raise ConfigError(f"{where}.after: nothing in {name!r} happens at a time; settings hold from the start")
    for key in body.settings:       # the values are decoded when they are merged into the instances
        if key in INSTANCE_ONLY_KEYS:
            raise ConfigError(f"{where}.settings.{key}: cannot be set by a scenario")
    return Scenario(name, on, body.settings, steps, head.begins)


def _incident(use: str | None, where: str) -> Incident | None:
    try:
        return None if use is None else find_incident(use)
    except UnknownIncident as error:
        raise ConfigError(f"{where}.use: {error}") from error


def _instances(on: Globs | None, incident: Incident | None, names: Sequence[str], where: str) -> tuple[str, ...]:
    if on is not None:
        return _matching(on, names, where)
    return tuple(names[:1] if incident is not None and incident.befalls == "one" else names)


def _body(table: Mapping[str, Any], where: str) -> _Body:
    for key in ("fault", "step"):
        read_tables(table.get(key, []), f"{where}.{key}", f"scenario.{key}")
    return decode({key: table[key] for key in _Body.__struct_fields__ if key in table}, _Body, where)


@dataclass(eq=False)
class _StepReader:
    """Reads the steps of one scenario.

    :ivar on: the instances of the scenario.
    :ivar is_everywhere: it is on all instances without naming them.
    :ivar after_ms: added to all its times.
    :ivar cites: of its faults that have none.
    """

    name: str
    where: str
    on: tuple[str, ...]
    is_everywhere: bool
    after_ms: int
    cites: tuple[str, ...]
    ids: _FaultIds

    def steps(self, body: _Body) -> Iterator[Step]:
        """Yield all steps; faults that are armed at the beginning come first."""
        for index, table in enumerate(body.fault):
            place = f"{self.where}.fault[{index}]"
            yield Step(self.after_ms, ArmStep(self._fault(table, place)), place)
        for index, table in enumerate(body.step):
            place = f"{self.where}.step[{index}]"
            yield self._step(read_table(table, place), place)

    def _step(self, table: Mapping[str, Any], place: str) -> Step:
        """Read a step: ``at``, and exactly one action."""
        check_keys(table, ("at", *_ACTIONS), place)
        keys = [key for key in table if key != "at"]
        if len(keys) != 1:
            got = " and ".join(keys) or "none"
            raise ConfigError(f"{place}: expected exactly one of {', '.join(_ACTIONS)}; got {got}")
        if "at" not in table:
            raise ConfigError(f'{place}.at: expected when it happens, such as "2s"')
        at_ms = int(decode(table["at"], Duration, f"{place}.at"))
        return Step(self.after_ms + at_ms, self._action(keys[0], table[keys[0]], f"{place}.{keys[0]}"), place)

    def _action(self, key: str, value: object, where: str) -> Action:
        match key:
            case "load":
                return self._load(read_table(value, where), where)
            case "fault":
                return ArmStep(self._fault(value, where))
            case "change":
                return self._change(read_table(value, where), where)
            case "speed":
                return SpeedStep(decode(value, Speed, where))
            case "heal":
                if value is not True:
                    raise ConfigError(f"{where}: expected true, got {value!r}")
                return HealStep()
            case _:
                action = next(action for action in INSTANCE_ACTIONS if action == key)
                return ActionStep(action, self._read_on(value, where))

    def _load(self, table: Mapping[str, Any], where: str) -> LoadStep:
        check_keys(table, LoadStep.__struct_fields__, where)
        if "jobs" not in table:
            raise ConfigError(f"{where}.jobs: expected how many jobs each instance is given")
        on = self._read_on(table.get("on", "*"), f"{where}.on")
        return decode({**table, "on": on}, LoadStep, where)

    def _change(self, settings: dict[str, Any], where: str) -> ChangeStep:
        on = self._read_on(settings.pop("on", "*"), f"{where}.on")
        if not settings:
            raise ConfigError(f"{where}: expected at least one setting")
        return ChangeStep(on, settings)

    def _read_on(self, value: object, where: str) -> tuple[str, ...]:
        globs: Globs = decode(value, Globs, where)     # type: ignore[arg-type]  # a union is no type to mypy
        return _matching(globs, self.on, where)

    def _fault(self, table: object, place: str) -> Fault:
        """Read a fault, and give it the scenario's instances, times, sources and an id."""
        fault = read_fault(table, place)
        rule = fault.rule
        if rule.id is not None:
            self.ids.take(rule.id, place)
        return Fault(
            msgspec.structs.replace(
                rule,
                on=self._globs(rule.on, f"{place}.on"),
                id=rule.id or self.ids.new(_as_id(self.name)),
                after=self._later(rule.after),
                until=self._later(rule.until),
                cites=rule.cites or self.cites,
            ),
            fault.effect,
        )

    def _globs(self, on: Globs | None, where: str) -> Globs | None:
        """Return the globs as written if the scenario is on all instances, else the names that they match."""
        names = _matching("*" if on is None else on, self.on, where)
        return on if self.is_everywhere else names

    def _later(self, time: Duration | None) -> Duration | None:
        return None if time is None else Duration(time + self.after_ms)


def _matching(globs: Globs, names: Sequence[str], where: str) -> tuple[str, ...]:
    """Return the instances that the globs match, in the order of the farm.

    :raises ConfigError: if there is none.
    """
    patterns = (globs,) if isinstance(globs, str) else globs
    found = tuple(name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns))
    if not found:
        raise ConfigError(f"{where}: {globs!r} matches no instance (there are: {', '.join(names)})")
    return found


def _as_id(name: str) -> str:
    """Return a name with the characters of an id, which is part of a path of the control API."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-") or "scenario"
