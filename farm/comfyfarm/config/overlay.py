"""Add a seed, faults and scenarios to a configuration for a test, without changing the configuration itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tomllib import TOMLDecodeError
from typing import Any

import msgspec

from comfyfarm.config import FarmConfig, check_faults, load, read
from comfyfarm.config.decoding import ConfigError, read_table, read_tables
from comfyfarm.config.fault_tables import read_fault
from comfyfarm.config.scenarios import UnknownIncident, find_incident
from comfyfarm.config.sources import ConfigSource, is_path, tables_of

Table = Mapping[str, Any]


@dataclass(frozen=True)
class Overlay:
    """A seed, faults and scenarios for a configuration.

    :ivar seed: replaces the configuration's own; ``None``: does not.
    :ivar faults: ``[[fault]]`` tables, added after the configuration's own.
    :ivar scenarios: ``[[scenario]]`` tables, added after the configuration's own.
    """

    seed: int | None = None
    faults: Sequence[Table] = ()
    scenarios: Sequence[Table] = ()

    def over(self, config: ConfigSource | FarmConfig) -> ConfigSource | FarmConfig:
        """Return a configuration with all this in it; a path becomes the tables of its file.

        :raises ConfigError: if it cannot be read, or this cannot be added to it.
        """
        if self.seed is None and not self.faults and not self.scenarios:
            return config
        if isinstance(config, FarmConfig):
            return self._over_values(config)
        tables = _tables(config)
        if self.seed is not None:
            tables["farm"] = {**read_table(tables.get("farm", {}), "farm"), "seed": self.seed}
        for key, more in (("fault", self.faults), ("scenario", self.scenarios)):
            if more:
                tables[key] = [*read_tables(tables.get(key, []), key), *map(dict, more)]
        return tables

    def _over_values(self, config: FarmConfig) -> FarmConfig:
        if self.scenarios:      # their settings are merged into tables, and here the tables are decoded already
            raise ConfigError("scenario: cannot be laid over a FarmConfig; write a dictionary or TOML text")
        faults = tuple(read_fault(table, f"faults[{index}]") for index, table in enumerate(self.faults))
        farm = config.farm if self.seed is None else msgspec.structs.replace(config.farm, seed=self.seed)
        whole = msgspec.structs.replace(config, farm=farm, fault=(*config.fault, *faults))
        check_faults(whole)
        return whole

    def check(self, config: ConfigSource | FarmConfig) -> None:
        """Check that a configuration with all this in it describes a farm.

        :raises ConfigError: if it does not.
        """
        whole = self.over(config)
        if isinstance(whole, FarmConfig):
            return
        if is_path(whole):
            load(Path(whole))
        else:
            read(_tables(whole), Path())


def named(faults: Sequence[Table]) -> tuple[Table, ...]:
    """Return the faults, each with an id, such as ``test-crash-3`` for the third.

    A fault draws from a random stream of its id, so it draws the same numbers if another one is left out.
    """
    ids = (f"test-{fault.get('do')}-{index}" for index, fault in enumerate(faults, 1))
    return tuple({"id": fault_id, **fault} for fault_id, fault in zip(ids, faults, strict=True))


def check_tables(faults: Sequence[object], where: str) -> None:
    """Check that tables are faults; whether their instances exist is checked together with a farm.

    :raises ConfigError: if one is no fault.
    """
    for index, fault in enumerate(faults):
        read_fault(fault, f"{where}[{index}]")


def check_scenarios(scenarios: Sequence[Table]) -> None:
    """Check that the incidents that scenarios use exist.

    :raises ConfigError: if one does not.
    """
    for scenario in scenarios:
        if "use" in scenario:
            try:
                find_incident(scenario["use"])
            except UnknownIncident as error:
                raise ConfigError(f"scenario: {error}") from error


def _tables(config: ConfigSource) -> dict[str, Any]:
    try:
        return tables_of(config)
    except OSError as error:
        raise ConfigError(f"{error.filename}: {error.strerror}") from error
    except (TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{config}: {error}" if is_path(config) else str(error)) from error
