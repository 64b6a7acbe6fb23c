"""Checks of scenarios against the farm that they are for."""

from __future__ import annotations

from comfyfarm.config import ConfigError, FarmConfig
from comfyfarm.config.equipment import EquipmentCache, check_change
from comfyfarm.config.live_changes import changed
from comfyfarm.config.scenarios.scenario import ChangeStep


def check_scenarios(farm: FarmConfig, equipment_cache: EquipmentCache) -> None:
    """Look whether every change that a scenario makes can be made.

    :raises ConfigError: such as ``scenario[0].step[1].change.port: cannot change while it runs ...``.
    """
    for scenario in farm.scenario:
        for step in scenario.steps:
            if isinstance(step.action, ChangeStep):
                _check_change(step.action, step.place, farm, equipment_cache)


def _check_change(change: ChangeStep, place: str, farm: FarmConfig, equipment_cache: EquipmentCache) -> None:
    for config in farm.instance:
        if config.name in change.on:
            try:
                check_change(changed(config, change.settings), farm.instance, equipment_cache)
            except ConfigError as why:
                raise ConfigError(f"{place}.change.{why}") from why
