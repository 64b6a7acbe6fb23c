"""Where would an instance's model files be, and how big?

None of them exists: a mock needs their names only.  Whoever looks at a path of these finds nothing there.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from comfyfarm.sim.catalogue.catalogue import Catalogue

# Folders that ComfyUI reads under two names, the older of which many people still have.
_DIRECTORIES = {
    "text_encoders": ("text_encoders", "clip"),
    "diffusion_models": ("unet", "diffusion_models"),
    "controlnet": ("controlnet", "t2i_adapter"),
}
_NO_MODELS = ("configs", "custom_nodes")


def models_home(input_dir: Path) -> Path:
    """The directory that would hold the models, beside the one for input pictures."""
    return input_dir.parent / "models"


def model_paths(catalogue: Catalogue, home: Path) -> dict[str, list[str]]:
    """The directories of each kind of model, in ComfyUI's order."""
    return {name: [str(path) for path in _directories(name, home)] for name in catalogue.folder_names()}


def _directories(name: str, home: Path) -> Iterator[Path]:
    if name == "custom_nodes":
        yield home.parent / name
        return
    yield from (home / directory for directory in _DIRECTORIES.get(name, (name,)))


def page_folders(catalogue: Catalogue, home: Path) -> list[dict[str, Any]]:
    """The folders that the page's model library shows."""
    paths = model_paths(catalogue, home)
    return [{"name": name, "folders": found} for name, found in paths.items() if name not in _NO_MODELS]


def model_list(catalogue: Catalogue, folder: str, unix_s: float) -> list[dict[str, Any]] | None:
    """The models of a folder with what a disk would say of them, or ``None`` where the page shows no such folder.

    :param unix_s: since when they are there.
    """
    names = None if folder in _NO_MODELS else catalogue.model_names(folder)
    if names is None:
        return None
    times = {"modified": unix_s, "created": unix_s}
    return [{"name": name, "pathIndex": 0, **times, "size": catalogue.size_bytes(folder, name)} for name in names]
