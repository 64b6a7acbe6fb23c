"""What does each instance of a farm have: node types, models, and what it says of its machine?"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from comfyfarm.config import ConfigError, FarmConfig, InstanceConfig
from comfyfarm.config.captured import CapturedServer, NotCaptured
from comfyfarm.config.recorded import recorded, server_facts
from comfyfarm.sim.catalogue.catalogue import Catalogue
from comfyfarm.sim.catalogue.models import sizes_of
from comfyfarm.sim.catalogue.recorded import RecordedServer
from comfyfarm.sim.files import Files, MemoryFiles

_NEAR = 0.88    # how much alike two names are, from 0 to 1, when one of them is taken for a slip of the pen


@dataclass(frozen=True, eq=False)
class Equipment:
    """What one instance has.

    :ivar models: by folder, the exact files; ``sizes`` by folder and name, where they were said.
    :ivar system_stats: as captured, else as recorded.
    :ivar features: as captured; ``None`` for those of its version.
    """

    recorded: RecordedServer
    models: Mapping[str, Sequence[str]]
    sizes: Mapping[tuple[str, str], int]
    system_stats: Mapping[str, Any]
    features: Mapping[str, Any] | None

    def catalogue(self, config: InstanceConfig, files: Files, brought: Iterable[str] = ()) -> Catalogue:
        """What ``/object_info`` shows and validation uses.

        :param brought: the pictures that the farm itself puts into ``input``.
        """
        return Catalogue(
            self.recorded,
            files,
            self.models,
            config.open_models,
            config.validation,
            self.sizes,
            frozenset(brought),
        )


@dataclass(eq=False)
class EquipmentCache:
    """Equips instances; each file is read once, and instances that are alike share what was read."""

    _captured: dict[tuple[str | None, str | None], tuple[CapturedServer, RecordedServer]] = field(default_factory=dict)
    _changed: dict[tuple[Any, ...], RecordedServer] = field(default_factory=dict)

    def equip(self, config: InstanceConfig) -> Equipment:
        """What an instance has.

        :raises ConfigError: where a file is not what it should be; begins with the key.
        """
        captured, base = self._read(config)
        models = {} if captured is None else captured.model_names(recorded())
        own = {folder: tuple(dict.fromkeys(model.name for model in listed)) for folder, listed in config.models.items()}
        sizes = {} if captured is None else captured.sizes()
        stats = captured.system_stats if captured is not None else None
        return Equipment(
            recorded=self._change(base, config),
            models={**models, **own},
            sizes={**sizes, **sizes_of(config.models)},
            system_stats=_with_version(stats or server_facts()["system_stats"], config.comfyui_version),
            features=None if captured is None else captured.features,
        )

    def _read(self, config: InstanceConfig) -> tuple[CapturedServer | None, RecordedServer]:
        key = config.captured, config.object_info
        if key == (None, None):
            return None, recorded()
        if key not in self._captured:
            captured = _read_captured(*key)
            self._captured[key] = captured, captured.recorded(recorded())
        return self._captured[key]

    def _change(self, base: RecordedServer, config: InstanceConfig) -> RecordedServer:
        declared, missing = config.node_types, tuple(sorted(set(config.missing_nodes)))
        if not declared and not missing:
            return base
        entries = {name: each.entry(name) for name, each in declared.items()}
        choices = tuple(choice for name, each in declared.items() for choice in each.model_choices(name))
        key = config.captured, config.object_info, missing, json.dumps(entries), choices
        if key not in self._changed:
            self._changed[key] = base.changed(without=missing, entries=entries, model_choices=choices)
        return self._changed[key]


def check_equipment(farm: FarmConfig, equipment_cache: EquipmentCache) -> None:
    """Look whether every instance can be equipped, and whether names mean something.

    :raises ConfigError: such as ``instance[0].missing_nodes[0]: there is no node type 'KSamplr' ...``.
    """
    equipped = []
    for index, config in enumerate(farm.instance):
        where = f"{farm.place(index)}."
        try:
            equipped.append((config, equipment_cache.equip(config), where))
        except ConfigError as why:
            raise ConfigError(f"{where}{why}") from why
    known = _known(each for _, each, _ in equipped)
    for config, equipment, where in equipped:
        _check_missing(config, known, where)
        _check_warm(config, equipment, where)


def check_change(config: InstanceConfig, instances: Iterable[InstanceConfig], equipment_cache: EquipmentCache) -> None:
    """The same for what becomes of one instance while the farm runs; the others are as they are.

    :raises ConfigError: begins with the key.
    """
    _check_missing(config, _known(equipment_cache.equip(each) for each in instances), "")


def _known(equipments: Iterable[Equipment]) -> set[str]:
    return set(recorded().object_info).union(*(each.recorded.object_info for each in equipments))


def _check_missing(config: InstanceConfig, known: Collection[str], where: str) -> None:
    """A name that no catalogue of the farm knows may well be a custom node; but not if it looks like a slip."""
    by_lower_case = {name.lower(): name for name in known}
    for index, name in enumerate(config.missing_nodes):
        if name in known:
            continue
        near = get_close_matches(name.lower(), by_lower_case, cutoff=_NEAR)
        if near:
            meant = " or ".join(repr(by_lower_case[each]) for each in near)
            raise ConfigError(
                f"{where}missing_nodes[{index}]: there is no node type {name!r}; is {meant} meant? "
                f"(if not, declare {name!r} in the node_types of an instance that has it)"
            )


def _check_warm(config: InstanceConfig, equipment: Equipment, where: str) -> None:
    """A model that is in memory from the start is one of the instance's, and fits.

    While checkpoints are open to any name, one that nobody listed is taken for a checkpoint.
    """
    catalogue = equipment.catalogue(config, MemoryFiles())
    is_open = config.open_models and "checkpoints" not in catalogue.models
    for index, name in enumerate(config.warm):
        folders = catalogue.folders_of(name)
        if not folders and not is_open:
            raise ConfigError(f"{where}warm[{index}]: there is no model {name!r}; name it in models.FOLDER")
        size_bytes = max(catalogue.size_bytes(folder, name) for folder in folders or ["checkpoints"])
        if config.vram is not None and size_bytes > config.vram:
            sizes = " and ".join(f"{each / 1024**3:.4g}GB" for each in (size_bytes, config.vram))
            raise ConfigError(f"{where}warm[{index}]: {name!r} does not fit into vram (they are {sizes})")


def _read_captured(directory: str | None, object_info: str | None) -> CapturedServer:
    """A captured directory, or a file, or the one with the other's node types."""
    key = "captured"
    try:
        found = None if directory is None else CapturedServer.read(Path(directory))
        if object_info is None:
            assert found is not None, "one of them is given"
            return found
        key = "object_info"
        node_types = CapturedServer.read_object_info(Path(object_info))
    except NotCaptured as why:
        raise ConfigError(f"{key}: {why}") from why
    if found is None:
        return CapturedServer(node_types)
    return CapturedServer(node_types, found.models, found.system_stats, found.features)


def _with_version(stats: Mapping[str, Any], version: str) -> Mapping[str, Any]:
    """Where the server says its version at all, it says the configured one."""
    system = stats["system"]
    return {**stats, "system": {**system, "comfyui_version": version}} if "comfyui_version" in system else stats
