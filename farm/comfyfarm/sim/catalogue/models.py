"""Model files as a configuration names them, and how big a file is when nobody says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import median_low

from comfyfarm.sim.catalogue.recorded import ModelFolder
from comfyfarm.units import Size

_UNKNOWN = Size(1024**3)    # of a file in a folder of which we know no file


class Model:
    """A model file; written ``"sdxl.safetensors:6.9GB"``, or without its size.

    :ivar size_bytes: ``None`` where the configuration leaves it open.
    """

    # No dataclass: msgspec would read that as a table by itself, and not ask for parse().
    __slots__ = ("name", "size_bytes")

    def __init__(self, name: str, size_bytes: Size | None = None) -> None:
        """Be one; nothing changes it."""
        self.name = name
        self.size_bytes = size_bytes

    def __eq__(self, other: object) -> bool:
        """Models are values."""
        return isinstance(other, Model) and (self.name, self.size_bytes) == (other.name, other.size_bytes)

    def __hash__(self) -> int:
        """Models are values."""
        return hash((self.name, self.size_bytes))

    @classmethod
    def parse(cls, written: object) -> Model:
        """Read a model's name and size.

        :raises ValueError: where it is no string, has no name, or a size that is none.
        """
        if not isinstance(written, str) or not written.strip():
            raise ValueError(f'expected a file name such as "sdxl.safetensors:6.9GB", got {written!r}')
        name, colon, size = written.rpartition(":")
        if not colon:
            return cls(written)
        if not name:
            raise ValueError(f"expected a file name before the size, got {written!r}")
        return cls(name, Size.parse(size))

    def __str__(self) -> str:
        """As it is written in a configuration."""
        return self.name if self.size_bytes is None else f"{self.name}:{self.size_bytes}"


def check_sizes(models: Mapping[str, Iterable[Model]]) -> None:
    """Refuse a file with two sizes.

    :raises ValueError: naming folder, file, both sizes and both places.
    """
    for folder, listed in models.items():
        known: dict[str, tuple[int, Size]] = {}
        for index, model in enumerate(listed):
            if model.size_bytes is None:
                continue
            before, size = known.setdefault(model.name, (index, model.size_bytes))
            if size != model.size_bytes:
                raise ValueError(
                    f"models.{folder}[{index}]: {model.name!r} has {_in_gb(model.size_bytes)} here "
                    f"and {_in_gb(size)} at models.{folder}[{before}]"
                )


def _in_gb(size: Size) -> str:
    return f"{size / 1024**3:.4g}GB"


def sizes_of(models: Mapping[str, Iterable[Model]]) -> dict[tuple[str, str], int]:
    """By folder and name, the sizes that a configuration says."""
    listed = ((folder, model) for folder, folder_models in models.items() for model in folder_models)
    return {(folder, model.name): int(model.size_bytes) for folder, model in listed if model.size_bytes is not None}


def customary_size(folders: Mapping[str, ModelFolder], folder: str, name: str) -> int:
    """How big a file of this name customarily is, there or in another folder; else what is usual in the folder.

    That is the (lower) median of the files we know of it; a gigabyte where we know none.
    """
    here = folders[folder].files if folder in folders else {}
    found = here.get(name) or next((each.files[name] for each in folders.values() if name in each.files), None)
    if found is not None:
        return int(Size.parse(found))
    return int(median_low(Size.parse(size) for size in here.values()) if here else _UNKNOWN)
