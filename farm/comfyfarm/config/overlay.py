"""What a test lays over a configuration: a seed, faults, scenarios; the configuration itself stays as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tomllib import TOMLDecodeError
from typing import Any

import msgspec

from comfyfarm.config import FarmConfig, check_faults, load, read
from comfyfarm.config.decoding import ConfigError
from comfyfarm.config.fault_tables import read_fault
from comfyfarm.config.scenarios import UnknownIncident, find_incident
from comfyfarm.config.sources import ConfigSource, is_path, tables_of

Table = Mapping[str, Any]


@dataclass(frozen=True)
class Overlay:
    """What is laid over.

    :ivar seed: instead of the configuration's own; ``None``: none.
    :ivar faults: behind the configuration's own, as ``[[fault]]`` tables.
    :ivar scenarios: behind the configuration's own, as ``[[scenario]]`` tables.
    """

    seed: int | None = None
    faults: Sequence[Table] = ()
    scenarios: Sequence[Table] = ()

    def over(self, config: ConfigSource | FarmConfig) -> ConfigSource | FarmConfig:
        """A configuration with all this in it; a path becomes the tables of its file.

        :raises ConfigError: where it cannot be read, or is no place for this.
        """
        if self.seed is None and not self.faults and not self.scenarios:
            return config
        if isinstance(config, FarmConfig):
            return self._over_values(config)
        tables = _tables(config)
        if self.seed is not None:
            tables["farm"] = {**_table(tables.get("farm", {}), "farm"), "seed": self.seed}
        for key, more in (("fault", self.faults), ("scenario", self.scenarios)):
            if more:
                tables[key] = [*_list(tables.get(key, []), key), *(dict(each) for each in more)]
        return tables

    def _over_values(self, config: FarmConfig) -> FarmConfig:
        """A seed and faults are values of their own; a scenario's settings belong to tables that are read already."""
        if self.scenarios:
            raise ConfigError("scenario: cannot be laid over a FarmConfig; write a dictionary or TOML text")
        faults = tuple(read_fault(each, f"faults[{index}]") for index, each in enumerate(self.faults))
        farm = config.farm if self.seed is None else msgspec.structs.replace(config.farm, seed=self.seed)
        whole = msgspec.structs.replace(config, farm=farm, fault=(*config.fault, *faults))
        check_faults(whole)
        return whole

    def check(self, config: ConfigSource | FarmConfig) -> None:
        """Look whether a configuration with all this in it describes a farm.

        :raises ConfigError: where it does not.
        """
        whole = self.over(config)
        if isinstance(whole, FarmConfig):
            return
        if is_path(whole):
            load(Path(whole))
        else:
            read(_tables(whole), Path())


def named(faults: Sequence[Table]) -> tuple[Table, ...]:
    """Faults with an id each (``test-crash-3``: the third), so that none draws otherwise where another is left out."""
    ids = (f"test-{each.get('do')}-{index}" for index, each in enumerate(faults, 1))
    return tuple({"id": given, **each} for given, each in zip(ids, faults, strict=True))


def check_tables(faults: Sequence[object], where: str) -> None:
    """Look whether these are faults at all; whether there are such instances shows where they are laid over a farm.

    :raises ConfigError: where one is none.
    """
    for index, each in enumerate(faults):
        read_fault(each, f"{where}[{index}]")


def check_scenarios(scenarios: Sequence[Table]) -> None:
    """Look whether those that name an incident name one that there is.

    :raises ConfigError: where there is none.
    """
    for each in scenarios:
        if "use" in each:
            try:
                find_incident(each["use"])
            except UnknownIncident as why:
                raise ConfigError(f"scenario: {why}") from why


def _tables(config: ConfigSource) -> dict[str, Any]:
    try:
        return tables_of(config)
    except OSError as why:
        raise ConfigError(f"{why.filename}: {why.strerror}") from why
    except (TOMLDecodeError, UnicodeDecodeError) as why:
        raise ConfigError(f"{config}: {why}" if is_path(config) else str(why)) from why


def _table(value: object, key: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{key}: expected a table, got {type(value).__name__}")
    return value


def _list(value: object, key: str) -> Sequence[Any]:
    if not isinstance(value, list | tuple):
        raise ConfigError(f"{key}: expected [[{key}]] tables")
    return value
