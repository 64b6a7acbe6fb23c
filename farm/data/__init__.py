"""What ships with the package: the recorded node types, the model folders and the default input picture."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

from farm.sim.recorded import Folders, Recorded

__all__ = ["DEFAULT_PICTURE", "default_picture", "recorded", "server_facts"]

DEFAULT_PICTURE = "kernie_512x768.jpg"


@cache
def recorded() -> Recorded:
    """What a ComfyUI server without custom nodes declares; read once, never changed."""
    here = files(__name__)
    return Recorded(
        object_info=json.loads(here.joinpath("object_info.json").read_bytes()),
        folders=msgspec.json.decode(here.joinpath("folders.json").read_bytes(), type=Folders),
    )


@cache
def server_facts() -> dict[str, Any]:
    """What a real server says of itself: ``system_stats`` and ``extensions``."""
    facts: dict[str, Any] = json.loads(files(__name__).joinpath("server.json").read_bytes())
    return facts


def default_picture() -> bytes:
    """The picture that every instance has unless its configuration names another."""
    return files(__name__).joinpath(DEFAULT_PICTURE).read_bytes()
