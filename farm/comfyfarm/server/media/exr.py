"""OpenEXR files: a black picture of the right size, with the texts among its attributes."""

import json
import struct
import zlib

from comfyfarm.server.media.metadata import STAMP_KEYWORD, labels
from comfyfarm.sim.files import FileContent

_MAGIC_AND_VERSION = struct.pack("<II", 20000630, 2)
_FLOAT, _ZIP, _BLOCK_LINES = 2, 3, 16
_CHANNELS = b"BGR"      # sorted by name
_FLOAT_BYTES = 4


def exr(content: FileContent) -> bytes:
    width, height = content.picture.width, content.picture.height
    head = _head(width, height, json.dumps(labels(content)).encode())
    lines = [min(_BLOCK_LINES, height - top) for top in range(0, height, _BLOCK_LINES)]
    data = {count: _black(width * count) for count in set(lines)}
    blocks = [
        struct.pack("<ii", index * _BLOCK_LINES, len(data[count])) + data[count] for index, count in enumerate(lines)
    ]
    offset, offsets = len(head) + 8 * len(blocks), []
    for block in blocks:
        offsets.append(offset)
        offset += len(block)
    return head + struct.pack(f"<{len(offsets)}Q", *offsets) + b"".join(blocks)


def _head(width: int, height: int, texts: bytes) -> bytes:
    window = struct.pack("<4i", 0, 0, width - 1, height - 1)
    channels = b"".join(struct.pack("<cxiiii", bytes([name]), _FLOAT, 0, 1, 1) for name in _CHANNELS) + b"\0"
    attributes = (
        _attribute(b"channels", b"chlist", channels),
        _attribute(b"compression", b"compression", bytes([_ZIP])),
        _attribute(b"dataWindow", b"box2i", window),
        _attribute(b"displayWindow", b"box2i", window),
        _attribute(b"lineOrder", b"lineOrder", b"\0"),
        _attribute(b"pixelAspectRatio", b"float", struct.pack("<f", 1.0)),
        _attribute(b"screenWindowCenter", b"v2f", struct.pack("<2f", 0.0, 0.0)),
        _attribute(b"screenWindowWidth", b"float", struct.pack("<f", 1.0)),
        _attribute(STAMP_KEYWORD.encode(), b"string", texts),
    )
    return _MAGIC_AND_VERSION + b"".join(attributes) + b"\0"


def _attribute(name: bytes, kind: bytes, value: bytes) -> bytes:
    return name + b"\0" + kind + b"\0" + struct.pack("<i", len(value)) + value


def _black(pixels: int) -> bytes:
    """Return black pixels, compressed; EXR stores the difference of each byte from the one before, plus 128."""
    size = pixels * len(_CHANNELS) * _FLOAT_BYTES
    packed = zlib.compress(b"\0" + b"\x80" * (size - 1))
    return packed if len(packed) < size else bytes(size)
