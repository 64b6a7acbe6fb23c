"""The bytes of output files.  This module: those that are no pictures, such as sounds, videos, latents and meshes.

Such a file holds the least that a reader needs to open it, and its stamp, so that no two files of a farm are equal.
The formats here are those that ComfyUI's own nodes save, but for some packed splats; a file of any other format
(``.wav``, ``.spz``, ...) holds its stamp as text.
"""

from collections.abc import Callable, Mapping

from comfyfarm.server.media import audio, exr, misc, video
from comfyfarm.server.media.metadata import STAMP_KEYWORD, utf8
from comfyfarm.sim.files import FileContent

__all__ = ["STAMP_KEYWORD", "SUFFIXES", "encode"]

_ENCODERS: Mapping[str, Callable[[FileContent], bytes]] = {
    ".exr": exr.exr,
    ".flac": audio.flac,
    ".glb": misc.glb,
    ".gltf": misc.gltf,
    ".latent": misc.latent,
    ".mp3": audio.mp3,
    ".mp4": video.mp4,
    ".obj": misc.obj,
    ".opus": audio.opus,
    ".ply": misc.ply,
    ".stl": misc.stl,
    ".svg": misc.svg,
    ".webm": video.webm,
}

SUFFIXES = frozenset(_ENCODERS)
"""The supported formats, in lower case."""


def encode(suffix: str, content: FileContent) -> bytes:
    """Return the bytes of a new file; for plain text and unknown formats they are its stamp.

    :param suffix: of its name, in lower case and with its dot.
    """
    encoder = _ENCODERS.get(suffix)
    return encoder(content) if encoder else utf8(content.stamp)
