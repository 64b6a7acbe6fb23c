"""The needs of a job, the equipment of an instance by its settings, and the check that it can run the job."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from comfyfarm.analysis.placement.costs import Costs, Moves, table_of
from comfyfarm.events import Work
from comfyfarm.sim.catalogue.models import Model
from comfyfarm.units import Size


@dataclass(frozen=True)
class JobNeeds:
    """The needs of a logical job.

    :ivar models: by folder and name.
    :ivar largest_bytes: the size of the largest of those models, the least memory that the job needs.
    :ivar nodes: node types.
    """

    models: frozenset[tuple[str, str]]
    largest_bytes: int
    nodes: frozenset[str]


def needs_of(works: Iterable[Work]) -> JobNeeds:
    """Return what these runs of one logical job needed together."""
    models: dict[tuple[str, str], int] = {}
    nodes: set[str] = set()
    for work in works:
        models.update({(folder, name): size_bytes for folder, name, size_bytes in work.models})
        nodes.update(work.nodes)
    return JobNeeds(frozenset(models), max(models.values(), default=0), frozenset(nodes))


@dataclass(frozen=True, eq=False)
class InstanceEquipment:
    """The nodes, models, memory and speed of one instance by its settings.

    :ivar is_strict: prompts that need something else are refused; otherwise any names pass.
    :ivar models: the exact files, by folder; a folder that is not in here takes any name if ``open_models``.
    :ivar own_nodes: the node types that are declared for this instance, in addition to the built-in ones.
    :ivar vram_bytes: the memory for models; ``None`` if unlimited.
    """

    is_strict: bool
    open_models: bool
    models: Mapping[str, frozenset[str]]
    missing_nodes: frozenset[str]
    own_nodes: frozenset[str]
    vram_bytes: int | None
    costs: Costs

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Self:
        """Read an instance's settings as the log has them; unreadable values count as absent."""
        return cls(
            is_strict=settings.get("validation", "strict") == "strict",
            open_models=settings.get("open_models", True) is not False,
            models={
                folder: frozenset(_model_names(files)) for folder, files in table_of(settings.get("models")).items()
            },
            missing_nodes=frozenset(_texts(settings.get("missing_nodes"))),
            own_nodes=frozenset(table_of(settings.get("node_types"))),
            vram_bytes=_size_bytes(settings.get("vram")),
            costs=Costs.of(settings),
        )

    def has(self, needs: JobNeeds, declared: frozenset[str]) -> bool:
        """Return whether the instance can run a job with these needs.

        :param declared: the node types that any instance declares; an instance lacks those that only others declare.
        """
        if not self.holds(needs):
            return False
        if not self.is_strict:
            return True
        lacking = self.missing_nodes | (declared - self.own_nodes)
        return not (lacking & needs.nodes) and all(self._has_file(folder, name) for folder, name in needs.models)

    def service_ms(self, work: Work, loaded: Collection[tuple[str, str]]) -> int:
        """Return how long it runs this job, if no other waits.

        :param loaded: the models that are in memory; the others have to be loaded, of which nothing is unloaded.
        """
        loads_bytes = tuple(size_bytes for folder, name, size_bytes in work.models if (folder, name) not in loaded)
        return self.costs.service_ms(work, Moves(loads_bytes))

    def holds(self, needs: JobNeeds) -> bool:
        """Return whether each of the models alone fits into the memory."""
        return self.vram_bytes is None or needs.largest_bytes <= self.vram_bytes

    def _has_file(self, folder: str, name: str) -> bool:
        return name in self.models[folder] if folder in self.models else self.open_models


def _texts(value: object) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list | tuple) else []


def _model_names(files: object) -> Iterable[str]:
    for text in _texts(files):
        try:
            yield Model.parse(text).name
        except ValueError:
            continue


def _size_bytes(value: object) -> int | None:
    try:
        return None if value is None else int(Size.parse(value))
    except ValueError:
        return None
