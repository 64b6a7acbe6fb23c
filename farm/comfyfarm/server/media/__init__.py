"""The bytes of files that are no pictures: sounds, films, latents, meshes.

A file holds as little as its format allows, what a reader needs to open it, and its stamp, so that no two files of a
farm are alike.  Here are the formats that workflows usually save; a file of any other (``.wav``, ``.exr``, ``.ply``,
...) holds its stamp as text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from comfyfarm.server.media import audio as sounds
from comfyfarm.server.media import misc as plain
from comfyfarm.server.media import video as films
from comfyfarm.server.media.metadata import STAMP_KEYWORD, utf8
from comfyfarm.sim.files import FileContent

__all__ = ["STAMP_KEYWORD", "SUFFIXES", "content"]

_KINDS: Mapping[str, Callable[[FileContent], bytes]] = {
    ".flac": sounds.flac,
    ".glb": plain.glb,
    ".latent": plain.latent,
    ".mp3": sounds.mp3,
    ".mp4": films.mp4,
    ".opus": sounds.opus,
    ".svg": plain.svg,
    ".webm": films.webm,
}

SUFFIXES = frozenset(_KINDS)
"""The formats known here, in lower case."""


def content(suffix: str, written: FileContent) -> bytes:
    """The bytes of a new file; of an unknown format or of plain text, the stamp alone.

    :param suffix: of its name, in lower case and with its dot.
    """
    make = _KINDS.get(suffix)
    return make(written) if make else utf8(written.stamp)
