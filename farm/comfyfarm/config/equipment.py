"""The equipment of instances: node types, models and system facts; and the checks that depend on it."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec

from comfyfarm.config import ConfigError, FarmConfig, InstanceConfig
from comfyfarm.config.captured import CapturedServer, NotCaptured
from comfyfarm.config.live_changes import changed
from comfyfarm.config.recorded import recorded, system_stats
from comfyfarm.config.recorded.api_nodes import api_nodes
from comfyfarm.config.scenarios.scenario import ChangeStep
from comfyfarm.sim.catalogue.catalogue import Catalogue
from comfyfarm.sim.catalogue.models import sizes_of
from comfyfarm.sim.catalogue.recorded import RecordedServer
from comfyfarm.sim.files import Files, MemoryFiles
from comfyfarm.versions import behaviour_of

_MOST_UNKNOWN = 25          # new names in one change: to look for similar ones takes 1 ms for each
_TYPO_SIMILARITY = 0.88     # from 0 to 1; an unknown node type this similar to a known one is taken for a typing error


@dataclass(frozen=True, eq=False)
class Equipment:
    """The node types, models and facts of one instance.

    :ivar models: the exact files, by folder.
    :ivar sizes: the known sizes in bytes, by folder and file name.
    :ivar system_stats: as captured, else as recorded.
    :ivar features: as captured; ``None``: those of the instance's version.
    """

    recorded: RecordedServer
    models: Mapping[str, Sequence[str]]
    sizes: Mapping[tuple[str, str], int]
    system_stats: Mapping[str, Any]
    features: Mapping[str, Any] | None

    def catalogue(
        self,
        config: InstanceConfig,
        files: Files,
        brought: Iterable[str] = (),
        *,
        result_name: str | None = None,
    ) -> Catalogue:
        """Return the catalogue for ``/object_info`` and validation.

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
            result_name,
            behaviour_of(config.comfyui_version),
        )


@dataclass(eq=False)
class EquipmentCache:
    """Reads each captured file once; instances with the same node types share one recorded server."""

    _captured: dict[tuple[str | None, ...], tuple[CapturedServer, RecordedServer]] = field(default_factory=dict)
    _changed: dict[tuple[Any, ...], RecordedServer] = field(default_factory=dict)

    def equip(self, config: InstanceConfig) -> Equipment:
        """Return what an instance has.

        :raises ConfigError: if a file cannot be read or has the wrong content; the message begins with the key.
        """
        captured, base = self._read(config)
        models = {} if captured is None else captured.model_names(recorded(config.comfyui_version))
        own = {folder: tuple(dict.fromkeys(model.name for model in listed)) for folder, listed in config.models.items()}
        sizes = {} if captured is None else captured.sizes()
        stats = captured.system_stats if captured is not None else None
        return Equipment(
            recorded=self._change(base, config),
            models={**models, **own},
            sizes={**sizes, **sizes_of(config.models)},
            system_stats=_with_version(stats or own_stats(config.comfyui_version), config.comfyui_version),
            features=None if captured is None else captured.features,
        )

    def _read(self, config: InstanceConfig) -> tuple[CapturedServer | None, RecordedServer]:
        shipped = recorded(config.comfyui_version)
        if config.captured is None and config.object_info is None:
            return None, _with_api_nodes(config.comfyui_version) if config.api_nodes else shipped
        key = config.captured, config.object_info, config.comfyui_version
        if key not in self._captured:
            captured = _read_captured(config.captured, config.object_info)
            self._captured[key] = captured, captured.recorded(shipped)
        return self._captured[key]

    def _change(self, base: RecordedServer, config: InstanceConfig) -> RecordedServer:
        declared, missing = config.node_types, tuple(sorted(set(config.missing_nodes)))
        if not declared and not missing:
            return base
        entries = {name: node_type.entry(name) for name, node_type in declared.items()}
        choices = tuple(choice for name, node_type in declared.items() for choice in node_type.model_choices(name))
        staged = {name: node_type.staging for name, node_type in declared.items()}
        texts = json.dumps(entries), msgspec.json.encode(staged)
        key = config.captured, config.object_info, config.api_nodes, config.comfyui_version, missing, texts, choices
        if key not in self._changed:
            self._changed[key] = base.changed(
                without=missing, entries=entries, model_choices=choices, staged=staged
            )
        return self._changed[key]


@cache
def _with_api_nodes(version: str) -> RecordedServer:
    base = recorded(version)
    keys = {key for entry in base.object_info.values() for key in entry}      # older versions have fewer
    entries = {
        name: {key: value for key, value in entry.items() if key in keys} for name, entry in api_nodes(version).items()
    }
    return base.changed(entries=entries)


def check_equipment(farm: FarmConfig, equipment_cache: EquipmentCache) -> None:
    """Check that every instance can be equipped, and the names in ``missing_nodes`` and ``warm``.

    :raises ConfigError: such as ``instance[0].missing_nodes[0]: there is no node type 'KSamplr' ...``.
    """
    equipped: list[tuple[InstanceConfig, Equipment, str]] = []
    for index, config in enumerate(farm.instance):
        where = f"{farm.place(index)}."
        try:
            equipped.append((config, equipment_cache.equip(config), where))
        except ConfigError as error:
            raise ConfigError(f"{where}{error}") from error
    known = _known_node_types(equipped)
    for config, equipment, where in equipped:
        _check_missing_nodes(config, known, where)
        _check_warm(config, equipment, where)


def check_change(config: InstanceConfig, instances: Iterable[InstanceConfig], equipment_cache: EquipmentCache) -> None:
    """Check the changed configuration of one instance.

    :param instances: all instances of the farm.
    :raises ConfigError: its message begins with the key.
    """
    known = _known_node_types([(instance, equipment_cache.equip(instance), "") for instance in instances])
    known.update(*(instance.missing_nodes for instance in instances if instance.name == config.name))
    _check_missing_nodes(config, known, "", _MOST_UNKNOWN)


def check_scenario_changes(farm: FarmConfig, equipment_cache: EquipmentCache) -> None:
    """Check that every change in a scenario can be made.

    :raises ConfigError: such as ``scenario[0].step[1].change.port: cannot change while it runs ...``.
    """
    for step in (step for scenario in farm.scenario for step in scenario.steps):
        change = step.action
        if isinstance(change, ChangeStep):
            for config in (config for config in farm.instance if config.name in change.on):
                try:
                    check_change(changed(config, change.settings), farm.instance, equipment_cache)
                except ConfigError as error:
                    raise ConfigError(f"{step.place}.change.{error}") from error


def _known_node_types(equipped: Collection[tuple[InstanceConfig, Equipment, str]]) -> set[str]:
    """Return the node types of the instances, and those that their versions have without ``missing_nodes``."""
    versions = {config.comfyui_version for config, _, _ in equipped}
    own = {id(equipment): equipment.recorded.object_info for _, equipment, _ in equipped}.values()
    shipped = ((*recorded(version).object_info, *api_nodes(version)) for version in versions)
    return set[str]().union(*own, *shipped)


def _check_missing_nodes(
    config: InstanceConfig, known: Collection[str], where: str, most_unknown: int | None = None
) -> None:
    # An unknown name may be a custom node that no instance has, so only a likely typing error is refused.
    unknown = [(index, name) for index, name in enumerate(config.missing_nodes) if name not in known]
    if most_unknown is not None and len(unknown) > most_unknown:
        what = f"{len(unknown)}, the first of them {unknown[0][1]!r}"
        raise ConfigError(f"missing_nodes: expected at most {most_unknown} names of no node type at a time, got {what}")
    by_lower_case = {name.lower(): name for name in known} if unknown else {}
    for index, name in unknown:
        similar = get_close_matches(name.lower(), by_lower_case, cutoff=_TYPO_SIMILARITY)
        if similar:
            meant = " or ".join(repr(by_lower_case[lower]) for lower in similar)
            raise ConfigError(
                f"{where}missing_nodes[{index}]: there is no node type {name!r}; is {meant} meant? "
                f"(if not, declare {name!r} in the node_types of an instance that has it)"
            )


def _check_warm(config: InstanceConfig, equipment: Equipment, where: str) -> None:
    """Check that each model of ``warm`` exists and fits into ``vram``.

    If the checkpoints are open to any name, an unknown model is taken for a checkpoint.
    """
    catalogue = equipment.catalogue(config, MemoryFiles())
    is_open = config.open_models and "checkpoints" not in catalogue.models
    for index, name in enumerate(config.warm):
        folders = catalogue.folders_of(name)
        if not folders and not is_open:
            raise ConfigError(f"{where}warm[{index}]: there is no model {name!r}; name it in models.FOLDER")
        size_bytes = max(catalogue.size_bytes(folder, name) for folder in folders or ["checkpoints"])
        if config.vram is not None and size_bytes > config.vram:
            sizes = " and ".join(f"{size / 1024**3:.4g}GB" for size in (size_bytes, config.vram))
            raise ConfigError(f"{where}warm[{index}]: {name!r} does not fit into vram (they are {sizes})")


def _read_captured(directory: str | None, object_info: str | None) -> CapturedServer:
    """Read a captured directory, or an ``/object_info`` file, or the directory with the node types of the file."""
    key = "captured"
    try:
        found = None if directory is None else CapturedServer.read(Path(directory))
        if object_info is None:
            assert found is not None, "one of the two is set"
            return found
        key = "object_info"
        node_types = CapturedServer.read_object_info(Path(object_info))
    except NotCaptured as error:
        raise ConfigError(f"{key}: {error}") from error
    return CapturedServer(node_types) if found is None else replace(found, object_info=node_types)


@cache
def own_stats(version: str) -> Mapping[str, Any]:
    """Return the recorded ``system_stats`` with the versions of the packages that are installed here and served."""
    stats = system_stats(version)
    system = dict(stats["system"])
    if "installed_templates_version" in system:
        installed = _installed_version("comfyui-workflow-templates")
        system["installed_templates_version"] = installed or system["installed_templates_version"]
    if "comfy_package_versions" in system:
        system["comfy_package_versions"] = [
            {**package, "installed": _installed_version(package["name"]) or package["installed"]}
            for package in system["comfy_package_versions"]
        ]
    return {**stats, "system": system}


def _installed_version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _with_version(stats: Mapping[str, Any], version: str) -> Mapping[str, Any]:
    """Replace the version in ``system_stats``, if there is one."""
    system = stats["system"]
    return {**stats, "system": {**system, "comfyui_version": version}} if "comfyui_version" in system else stats
