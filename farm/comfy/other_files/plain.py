"""How are the bytes of a latent, a drawing, a picture of real light and a text put together?"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from xml.sax.saxutils import escape

from farm.sim.files import Written
from farm.sim.values import Picture

from .labels import STAMP_KEYWORD, labels, utf8

__all__ = ["exr", "latent", "svg", "txt"]

_LATENT_BYTES = 16
_EXR_KEYS = ("prompt", "workflow", STAMP_KEYWORD)       # others might be names that OpenEXR gives a meaning
_EXR_HALF, _EXR_GREY = 1, 0x3800


def txt(written: Written) -> bytes:
    """The stamp, and nothing else."""
    return utf8(written.stamp)


def latent(written: Written) -> bytes:
    """A safetensors file as ``SaveLatent`` writes it: one small tensor, and an empty one that tells the version."""
    empty = {"dtype": "F32", "shape": [0], "data_offsets": [_LATENT_BYTES, _LATENT_BYTES]}
    head = {
        "__metadata__": labels(written),
        "latent_tensor": {"dtype": "F32", "shape": [1, 4, 1, 1], "data_offsets": [0, _LATENT_BYTES]},
        "latent_format_version_0": empty,
    }
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + bytes(_LATENT_BYTES)


def svg(written: Written) -> bytes:
    """A grey square, and the texts as its metadata."""
    texts = json.dumps(labels(written))
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64" viewBox="0 0 64 64">\n'
        f"<metadata>{escape(texts)}</metadata>\n"
        '<rect width="64" height="64" fill="#808080"/>\n'
        "</svg>\n"
    ).encode()


def exr(written: Written) -> bytes:
    """OpenEXR: a grey picture of the size asked for, of which only the pixel at the upper left is kept.

    The format allows that: what is shown (``displayWindow``) may be larger than what there is (``dataWindow``).
    """
    head = b"".join((b"\x76\x2f\x31\x01", struct.pack("<I", 2), *_exr_attributes(written), b"\0"))
    line = struct.pack("<ii3H", 0, 6, _EXR_GREY, _EXR_GREY, _EXR_GREY)
    return head + struct.pack("<Q", len(head) + 8) + line


def _exr_attributes(written: Written) -> Iterator[bytes]:
    yield _exr_attribute("channels", "chlist", b"".join(map(_exr_channel, "BGR")) + b"\0")
    yield _exr_attribute("compression", "compression", b"\0")
    yield _exr_attribute("dataWindow", "box2i", bytes(16))
    yield _exr_attribute("displayWindow", "box2i", _exr_window(written.picture))
    yield _exr_attribute("lineOrder", "lineOrder", b"\0")
    yield _exr_attribute("pixelAspectRatio", "float", struct.pack("<f", 1))
    yield _exr_attribute("screenWindowCenter", "v2f", bytes(8))
    yield _exr_attribute("screenWindowWidth", "float", struct.pack("<f", 1))
    texts = labels(written)
    yield from (_exr_attribute(key, "string", utf8(texts[key])) for key in _EXR_KEYS if key in texts)


def _exr_window(picture: Picture) -> bytes:
    return struct.pack("<4i", 0, 0, picture.width - 1, picture.height - 1)


def _exr_channel(name: str) -> bytes:
    return name.encode() + b"\0" + struct.pack("<IB3xII", _EXR_HALF, 0, 1, 1)


def _exr_attribute(name: str, kind: str, value: bytes) -> bytes:
    return f"{name}\0{kind}\0".encode() + struct.pack("<I", len(value)) + value
