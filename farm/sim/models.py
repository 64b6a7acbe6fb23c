"""Model files as a configuration names them, and how big a file is when nobody says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median_low

from .recorded import ModelFolder
from .units import Size

__all__ = ["Model", "check_sizes", "customary_size", "sizes_of"]

_UNKNOWN = Size(1024**3)    # of a file in a folder of which we know no file


@dataclass(frozen=True)
class Model:
    """A model file; written ``"sdxl.safetensors:6.9GB"``, or without its size.

    :ivar size_bytes: ``None`` where the configuration leaves it open.
    """

    name: str
    size_bytes: Size | None = None

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
            raise ValueError(f'expected a file name before the size, got {written!r}')
        return cls(name, Size.parse(size))

    def __str__(self) -> str:
        """As it is written in a configuration."""
        return self.name if self.size_bytes is None else f"{self.name}:{self.size_bytes}"


def check_sizes(models: Mapping[str, Iterable[Model]]) -> None:
    """Refuse a file with two sizes.

    :raises ValueError: naming folder, file and both sizes.
    """
    known: dict[tuple[str, str], Size] = {}
    for folder, listed in models.items():
        for index, model in enumerate(listed):
            if model.size_bytes is None:
                continue
            size = known.setdefault((folder, model.name), model.size_bytes)
            if size != model.size_bytes:
                where, sizes = f"models.{folder}[{index}]", f"{size} and {model.size_bytes}"
                raise ValueError(f"{where}: {model.name!r} is listed with two sizes, {sizes}")


def sizes_of(models: Mapping[str, Iterable[Model]]) -> dict[tuple[str, str], int]:
    """By folder and name, the sizes that a configuration says."""
    listed = ((folder, model) for folder, folder_models in models.items() for model in folder_models)
    return {(folder, model.name): model.size_bytes for folder, model in listed if model.size_bytes is not None}


def customary_size(folders: Mapping[str, ModelFolder], folder: str, name: str) -> int:
    """How big a file of this name customarily is, there or in another folder; else what is usual in the folder.

    That is the (lower) median of the files we know of it; a gigabyte where we know none.
    """
    here = folders[folder].files if folder in folders else {}
    found = here.get(name) or next((each.files[name] for each in folders.values() if name in each.files), None)
    if found is not None:
        return int(Size.parse(found))
    return median_low(Size.parse(size) for size in here.values()) if here else int(_UNKNOWN)
