"""Model files as a configuration names them, and the sizes of those it names without one."""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from statistics import median_low
from typing import Self

from comfyfarm.sim.catalogue.recorded import ModelFolder
from comfyfarm.units import Size

MODEL_SUFFIXES = (".safetensors", ".ckpt", ".pt", ".pt2", ".pth", ".bin", ".pkl", ".sft", ".gguf", ".onnx")
_LIKE_A_SIZE = re.compile(r"\s*\d[\d.,]*\s*([kKmMgGtT][iI]?[bB]?|B)\s*")
_UNKNOWN = Size(1024**3)    # for a folder without any known file
_recorded_size = lru_cache(Size.parse)      # each job asks for those of its models


class Model:
    """A model file; written ``"sdxl.safetensors:6.9GB"``, or without its size.

    A name may hold a colon: ``"qwen2.5:7b"``, ``"qwen2.5:7b:4.7GB"``.

    :ivar size_bytes: ``None`` if the configuration does not give it.
    """

    # No dataclass: msgspec would decode that as a table by itself, without parse().
    def __init__(self, name: str, size_bytes: Size | None = None) -> None:
        self.name = name
        self.size_bytes = size_bytes

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Model) and (self.name, self.size_bytes) == (other.name, other.size_bytes)

    def __hash__(self) -> int:
        return hash((self.name, self.size_bytes))

    @classmethod
    def parse(cls, text: object) -> Self:
        """Parse a model's name and size.

        :raises ValueError: if it is no string, has no name, or an invalid size.
        """
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f'expected a file name such as "sdxl.safetensors:6.9GB", got {text!r}')
        name, colon, size = text.rpartition(":")
        if not colon or not (name.lower().endswith(MODEL_SUFFIXES) or _LIKE_A_SIZE.fullmatch(size)):
            return cls(text)
        if not name:
            raise ValueError(f"expected a file name before the size, got {text!r}")
        return cls(name, Size.parse(size))

    def __str__(self) -> str:
        return self.name if self.size_bytes is None else f"{self.name}:{self.size_bytes}"


def check_sizes(models: Mapping[str, Iterable[Model]]) -> None:
    """Check that no file has two sizes.

    :raises ValueError: with folder, file, both sizes and both places.
    """
    for folder, listed in models.items():
        sizes: dict[str, tuple[int, Size]] = {}
        for index, model in enumerate(listed):
            if model.size_bytes is None:
                continue
            before, size = sizes.setdefault(model.name, (index, model.size_bytes))
            if size != model.size_bytes:
                raise ValueError(
                    f"models.{folder}[{index}]: {model.name!r} has {_in_gb(model.size_bytes)} here "
                    f"and {_in_gb(size)} at models.{folder}[{before}]"
                )


def _in_gb(size: Size) -> str:
    return f"{size / 1024**3:.4g}GB"


def sizes_of(models: Mapping[str, Iterable[Model]]) -> dict[tuple[str, str], int]:
    """Return the sizes that a configuration gives, by folder and name."""
    listed = ((folder, model) for folder, folder_models in models.items() for model in folder_models)
    return {(folder, model.name): int(model.size_bytes) for folder, model in listed if model.size_bytes is not None}


def customary_size(folders: Mapping[str, ModelFolder], folder: str, name: str) -> int:
    """Return the recorded size of a file of this name, in this folder or another.

    For an unknown name it is the lower median of the known files in the folder; one gigabyte if there is none.
    """
    here = folders[folder].files if folder in folders else {}
    found = here.get(name) or next((other.files[name] for other in folders.values() if name in other.files), None)
    if found is not None:
        return int(_recorded_size(found))
    return int(median_low(_recorded_size(size) for size in here.values()) if here else _UNKNOWN)
