"""Could an instance have run a job: what it has, what it lacks, and what the job needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from comfyfarm.events import Work
from comfyfarm.sim.catalogue.models import Model
from comfyfarm.units import Size

File = tuple[str, str]


@dataclass(frozen=True)
class JobNeeds:
    """What a logical job cannot do without.

    :ivar models: by folder and name.
    :ivar largest_bytes: of those models: what must fit into memory at the least.
    :ivar nodes: the types of those that ran.
    """

    models: frozenset[File]
    largest_bytes: int
    nodes: frozenset[str]


def need_of(works: Iterable[Work]) -> JobNeeds | None:
    """What these runs of one logical job needed together; ``None`` where it never ran, so that nobody knows."""
    models: dict[File, int] = {}
    nodes: set[str] = set()
    has_run = False
    for work in works:
        has_run = True
        models.update({(folder, name): size_bytes for folder, name, size_bytes in work.models})
        nodes.update(work.nodes)
    return JobNeeds(frozenset(models), max(models.values(), default=0), frozenset(nodes)) if has_run else None


@dataclass(frozen=True, eq=False)
class InstanceEquipment:
    """What the settings of one instance say that it has.

    :ivar is_strict: it refuses what it has not; another lets names pass.
    :ivar models: the exact files, by folder; one that is not named here takes any name, if ``open_models``.
    :ivar missing_nodes: that it does not have.
    :ivar own_nodes: declared for it, beside those that every instance has.
    :ivar vram_bytes: how much the models in use may take; ``None``: more than anybody needs.
    """

    is_strict: bool
    open_models: bool
    models: Mapping[str, frozenset[str]]
    missing_nodes: frozenset[str]
    own_nodes: frozenset[str]
    vram_bytes: int | None

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> InstanceEquipment:
        """Read an instance's settings as the log has them; what cannot be read is as if it were not there."""
        models = _mapping(settings.get("models"))
        return cls(
            is_strict=settings.get("validation", "strict") == "strict",
            open_models=settings.get("open_models", True) is not False,
            models={folder: frozenset(_model_names(listed)) for folder, listed in models.items()},
            missing_nodes=frozenset(_texts(settings.get("missing_nodes"))),
            own_nodes=frozenset(_mapping(settings.get("node_types"))),
            vram_bytes=_size_bytes(settings.get("vram")),
        )

    def has(self, need: JobNeeds, declared: frozenset[str]) -> bool:
        """Whether such a job can run here.

        :param declared: the node types that are declared for any instance: one without its own declaration lacks them.
        """
        if not self.holds(need):
            return False
        if not self.is_strict:
            return True
        lacking = self.missing_nodes | (declared - self.own_nodes)
        return not (lacking & need.nodes) and all(self._has_file(folder, name) for folder, name in need.models)

    def holds(self, need: JobNeeds) -> bool:
        """Whether each of the models fits into the memory."""
        return self.vram_bytes is None or need.largest_bytes <= self.vram_bytes

    def _has_file(self, folder: str, name: str) -> bool:
        return name in self.models[folder] if folder in self.models else self.open_models


def _mapping(written: object) -> Mapping[str, Any]:
    return written if isinstance(written, dict) else {}


def _texts(written: object) -> list[str]:
    return [each for each in written if isinstance(each, str)] if isinstance(written, list | tuple) else []


def _model_names(listed: object) -> Iterable[str]:
    for written in _texts(listed):
        try:
            yield Model.parse(written).name
        except ValueError:
            continue


def _size_bytes(written: object) -> int | None:
    try:
        return None if written is None else int(Size.parse(written))
    except ValueError:
        return None
