"""Which bytes does a file have that is no picture: a sound, a film, a latent, a body?

Nobody knows what it would hold, so it holds as little as its format allows, and what a reader needs to open it.  Each
tells where it comes from where its format has a place for that, so that no two files of a farm are alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from farm.sim.files import Written

from . import bodies, films, plain, sounds, splats
from .labels import STAMP_KEYWORD

__all__ = ["STAMP_KEYWORD", "SUFFIXES", "content"]

_KINDS: Mapping[str, Callable[[Written], bytes]] = {
    ".exr": plain.exr,
    ".flac": sounds.flac,
    ".glb": bodies.glb,
    ".gltf": bodies.gltf,
    ".ksplat": splats.ksplat,
    ".latent": plain.latent,
    ".mp3": sounds.mp3,
    ".mp4": films.mp4,
    ".obj": bodies.obj,
    ".opus": sounds.opus,
    ".ply": splats.ply,
    ".splat": splats.splat,
    ".spz": splats.spz,
    ".stl": bodies.stl,
    ".svg": plain.svg,
    ".wav": sounds.wav,
    ".webm": films.webm,
}

SUFFIXES = frozenset(_KINDS)
"""The formats known here, in lower case."""


def content(suffix: str, written: Written) -> bytes:
    """The bytes of a new file; of a kind that is not known here (or of plain text), the stamp alone.

    :param suffix: of its name, in lower case and with its dot.
    """
    return _KINDS.get(suffix, plain.txt)(written)
