"""What ships with the package: the recorded node types, the model folders and the default input picture."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

from comfyfarm.sim.catalogue.recorded import Folders, RecordedServer

__all__ = ["DEFAULT_PICTURE", "default_picture", "recorded", "server_facts"]

DEFAULT_PICTURE = "kernie_512x768.jpg"      # our own drawing


@cache
def recorded() -> RecordedServer:
    """What a ComfyUI server without custom nodes declares; read once, never changed."""
    here = files(__name__)
    entries = json.loads(here.joinpath("object_info.json").read_bytes())
    return RecordedServer(
        object_info={name: _complete(entry) for name, entry in entries.items()},
        folders=msgspec.json.decode(here.joinpath("folders.json").read_bytes(), type=Folders),
    )


def _complete(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry with the keys that hold texts for people, which were not recorded, left empty."""
    filled = dict(entry) | {"description": "", "search_aliases": []}
    if "api_node" in entry:     # a node of ComfyUI's newer kind
        filled |= {"output_tooltips": [None] * len(entry["output"]), "price_badge": None}
    return filled


@cache
def server_facts() -> dict[str, Any]:
    """What a real server says of itself: ``system_stats`` and ``extensions``."""
    facts: dict[str, Any] = json.loads(files(__name__).joinpath("server.json").read_bytes())
    return facts


def default_picture() -> bytes:
    """The picture that every instance has unless its configuration names another."""
    return files(__name__).joinpath(DEFAULT_PICTURE).read_bytes()
