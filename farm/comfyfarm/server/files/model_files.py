"""The paths and sizes of an instance's model files; the files do not exist, because a mock needs their names only."""

from pathlib import Path
from typing import Any

from comfyfarm.sim.catalogue.catalogue import Catalogue

# ComfyUI searches these folders under two names, because many installations still have the older one.
_DIRECTORIES = {
    "text_encoders": ("text_encoders", "clip"),
    "diffusion_models": ("unet", "diffusion_models"),
    "controlnet": ("controlnet", "t2i_adapter"),
}
_NO_MODELS = ("configs", "custom_nodes")
_SUFFIXES = [".bin", ".ckpt", ".pkl", ".pt", ".pt2", ".pth", ".safetensors", ".sft"]


def model_paths(catalogue: Catalogue, input_dir: Path) -> dict[str, list[str]]:
    """Return the directories of each kind of model, in ComfyUI's order."""
    return {name: [str(path) for path in _directories(name, input_dir.parent)] for name in catalogue.folder_names()}


def _directories(name: str, base_dir: Path) -> list[Path]:
    if name == "custom_nodes":
        return [base_dir / name]
    return [base_dir / "models" / directory for directory in _DIRECTORIES.get(name, (name,))]


def page_folders(catalogue: Catalogue, input_dir: Path, *, suffixes: bool) -> list[dict[str, Any]]:
    """Return the folders that the page's model library shows.

    :param suffixes: whether each has the suffixes of its files, too.
    """
    paths = model_paths(catalogue, input_dir)
    shown = [{"name": name, "folders": folders} for name, folders in paths.items() if name not in _NO_MODELS]
    return [{**folder, "extensions": _SUFFIXES} for folder in shown] if suffixes else shown


def model_list(catalogue: Catalogue, folder: str, unix_s: float) -> list[dict[str, Any]] | None:
    """Return the models of a folder with their sizes and dates; ``None`` if the page shows no such folder.

    :param unix_s: the date of all of them, as Unix time in seconds.
    """
    names = None if folder in _NO_MODELS else catalogue.model_names(folder)
    if names is None:
        return None
    times = {"modified": unix_s, "created": unix_s}
    return [{"name": name, "pathIndex": 0, **times, "size": catalogue.size_bytes(folder, name)} for name in names]
