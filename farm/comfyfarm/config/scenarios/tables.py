"""The ``[[scenario]]`` tables of a configuration become scenarios."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec

from comfyfarm.config.decoding import ConfigError, decode
from comfyfarm.config.fault_tables import read_fault
from comfyfarm.config.scenarios import Incident, UnknownIncident, find_incident
from comfyfarm.config.scenarios.scenario import ArmStep, Scenario, Step
from comfyfarm.config.scenarios.steps import chosen, read_step
from comfyfarm.faults.fault import Fault
from comfyfarm.units import Duration

_USED = ("use", "on", "after")
_OWN = ("name", "on", "after", "settings", "fault", "step")
_NO_SETTINGS = ("name", "port", "count", "profile")


class _Head(msgspec.Struct, frozen=True, kw_only=True):
    """What a table says beside what happens."""

    use: str | None = None
    name: Annotated[str, msgspec.Meta(min_length=1)] = "scenario"
    on: str | tuple[str, ...] | None = None
    after: Duration = Duration(0)


class _Body(msgspec.Struct, frozen=True, kw_only=True):
    """What happens, still as tables."""

    settings: dict[str, Any] = {}
    fault: tuple[Any, ...] = ()
    step: tuple[Any, ...] = ()


def read_scenarios(raw: object, names: Sequence[str], ids: Collection[str] = ()) -> tuple[Scenario, ...]:
    """Make scenarios of what a configuration says.

    :param names: of all instances, in the order of the farm.
    :param ids: the names of faults that are taken.
    :raises ConfigError: such as ``scenario[0].step[1].load.jobs: expected int, got str``.
    """
    if not isinstance(raw, list):
        raise ConfigError("scenario: expected [[scenario]] tables")
    naming = _Ids(set(ids))
    return tuple(_read(table, f"scenario[{index}]", names, naming) for index, table in enumerate(raw))


def _read(table: object, where: str, names: Sequence[str], ids: _Ids) -> Scenario:
    if not isinstance(table, Mapping):
        raise ConfigError(f"{where}: expected a table, got {type(table).__name__}")
    _check_keys(table, _USED if "use" in table else _OWN, where)
    head = decode({key: table[key] for key in table if key in _Head.__struct_fields__}, _Head, where)
    incident = _incident(head.use, where)
    if incident is None and "name" not in table:
        raise ConfigError(f'{where}: expected use = "F08" or a name')
    name = head.name if incident is None else incident.id
    on = _instances(head.on, incident, names, f"{where}.on")
    body = _body(table if incident is None else msgspec.structs.asdict(incident), where)
    cites = () if incident is None else incident.sources
    reading = _Reading(name, where, names, on, int(head.after), cites, ids)
    steps = tuple(sorted(reading.steps(body), key=lambda step: step.at_ms))
    if head.after and not steps:
        raise ConfigError(f"{where}.after: nothing in {name!r} happens at a time; settings hold from the start")
    return Scenario(name, on, _settings(body.settings, where), steps)


def _check_keys(table: Mapping[str, Any], known: Collection[str], where: str) -> None:
    for key in table:
        if key not in known:
            raise ConfigError(f"{where}.{key}: unknown key (there are: {', '.join(known)})")


def _incident(use: str | None, where: str) -> Incident | None:
    try:
        return None if use is None else find_incident(use)
    except UnknownIncident as why:
        raise ConfigError(f"{where}.use: {why}") from why


def _instances(
    on: str | tuple[str, ...] | None, incident: Incident | None, names: Sequence[str], where: str
) -> tuple[str, ...]:
    if on is not None:
        return chosen(on, names, where)
    return tuple(names[:1] if incident is not None and incident.befalls == "one" else names)


def _body(table: Mapping[str, Any], where: str) -> _Body:
    for key in ("fault", "step"):
        if not isinstance(table.get(key, []), list | tuple):
            raise ConfigError(f"{where}.{key}: expected [[scenario.{key}]] tables")
    return decode({key: table[key] for key in _Body.__struct_fields__ if key in table}, _Body, where)


def _settings(given: dict[str, Any], where: str) -> dict[str, Any]:
    """The keys that instances of one scenario can share; their values are read where they are merged."""
    for key in given:
        if key in _NO_SETTINGS:
            raise ConfigError(f"{where}.settings.{key}: cannot be set by a scenario")
    return given


@dataclass(eq=False)
class _Ids:
    """Names for faults: ``F08``, ``F08-2`` and so on; each only once in a farm."""

    taken: set[str]
    _given: Counter[str] = field(default_factory=Counter)

    def new(self, name: str) -> str:
        """The next one of a scenario."""
        while True:
            self._given[name] += 1
            count = self._given[name]
            if (given := name if count == 1 else f"{name}-{count}") not in self.taken:
                self.taken.add(given)
                return given

    def take(self, given: str, where: str) -> None:
        """One that somebody chose.

        :raises ConfigError: where it is taken.
        """
        if given in self.taken:
            raise ConfigError(f"{where}.id: {given!r} is there already")
        self.taken.add(given)


@dataclass(eq=False)
class _Reading:
    """One scenario, while it is read.

    :ivar names: of all instances; ``on`` those that it is on.
    :ivar after_ms: how much later than it says everything happens.
    """

    name: str
    where: str
    names: Sequence[str]
    on: tuple[str, ...]
    after_ms: int
    cites: tuple[str, ...]
    ids: _Ids

    def steps(self, body: _Body) -> Iterator[Step]:
        """All that happens: first what is armed from the beginning."""
        for index, table in enumerate(body.fault):
            place = f"{self.where}.fault[{index}]"
            yield Step(self.after_ms, ArmStep(self._fault(table, place)), place)
        for index, table in enumerate(body.step):
            place = f"{self.where}.step[{index}]"
            at_ms, action = read_step(table, place, self.on, self._fault)
            yield Step(self.after_ms + at_ms, action, place)

    def _fault(self, table: object, place: str) -> Fault:
        """A fault whose moments are counted from the scenario's beginning, with a name and its sources."""
        fault = read_fault(table, place)
        rule = fault.rule
        if rule.id is not None:
            self.ids.take(rule.id, place)
        return Fault(
            msgspec.structs.replace(
                rule,
                on=self._globs(rule.on, f"{place}.on"),
                id=rule.id or self.ids.new(_short(self.name)),
                after=self._later(rule.after),
                until=self._later(rule.until),
                cites=rule.cites or self.cites,
            ),
            fault.effect,
        )

    def _globs(self, on: str | tuple[str, ...], where: str) -> str | tuple[str, ...]:
        """As they were written, where the scenario is on all instances; else the names that are meant."""
        meant = chosen(on, self.on, where)
        return on if len(self.on) == len(self.names) else meant

    def _later(self, moment: Duration | None) -> Duration | None:
        return None if moment is None else Duration(moment + self.after_ms)


def _short(name: str) -> str:
    """A name as it can stand in an id, and so in a path of the control API."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-") or "scenario"
