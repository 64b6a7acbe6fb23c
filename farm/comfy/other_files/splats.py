"""How are the bytes of Gaussian splats put together: PLY, SPLAT, KSPLAT and SPZ?

Each is one grey splat in the middle of the world.
"""

from __future__ import annotations

import hashlib
import struct
import zlib

from farm.sim.files import Written

from .labels import comments, utf8

__all__ = ["ksplat", "ply", "splat", "spz"]

_PLY_FIELDS = (
    *("x", "y", "z", "f_dc_0", "f_dc_1", "f_dc_2", "opacity"),
    *("scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"),
)
_UPRIGHT = (1.0, 0.0, 0.0, 0.0)

_KSPLAT_HEAD, _KSPLAT_FIXED, _KSPLAT_SECTION = 4096, 64, 1024

_GZIP_COMMENT, _GZIP_ANY_SYSTEM = 0x10, 0xFF


def ply(written: Written) -> bytes:
    """Binary, and a cloud of one point to whoever knows no splats; prompt, workflow and stamp are comments."""
    head = [
        "ply",
        "format binary_little_endian 1.0",
        *(f"comment {line}" for line in comments(written)),
        "element vertex 1",
        *(f"property float {name}" for name in _PLY_FIELDS),
        "end_header\n",
    ]
    small = -3.0
    return "\n".join(head).encode() + struct.pack("<14f", *bytes(7), *[small] * 3, *_UPRIGHT)


def splat(written: Written) -> bytes:
    """The format has numbers and nothing else, so that the stamp's hash gives place and colour."""
    digest = hashlib.sha256(utf8(written.stamp)).digest()
    place = (number / 65536 for number in struct.unpack_from("<3H", digest))
    return struct.pack("<6f4B4B", *place, 0.1, 0.1, 0.1, *digest[6:9], 255, 255, 128, 128, 128)


def ksplat(written: Written) -> bytes:
    """Version 0.1 without compression; the stamp (as far as it goes) fills what its long header leaves free."""
    head = struct.pack("<BBxxIIIIHxx5f", 0, 1, 1, 1, 1, 1, 0, 0, 0, 0, -1.5, 1.5)
    free = utf8(written.stamp)[: _KSPLAT_HEAD - _KSPLAT_FIXED]
    one = struct.pack("<10f4B", 0, 0, 0, 0.1, 0.1, 0.1, *_UPRIGHT, 128, 128, 128, 255)
    section = struct.pack("<IIIIfHxxIIIIH", 1, 1, 0, 0, 0, 0, 1, len(one), 0, 0, 0)
    sizes = (head, _KSPLAT_FIXED), (free, _KSPLAT_HEAD - _KSPLAT_FIXED), (section, _KSPLAT_SECTION), (one, len(one))
    return b"".join(data.ljust(size, b"\0") for data, size in sizes)


def spz(written: Written) -> bytes:
    """Version 2, which is a gzip file; the stamp is that one's comment."""
    fraction_bits = 12
    head = b"NGSP" + struct.pack("<IIBBBB", 2, 1, 0, fraction_bits, 0, 0)
    position, alpha, colour, scales, rotation = bytes(9), b"\xff", b"\x80\x80\x80", b"\x80\x80\x80", b"\x80\x80\x80"
    return _gzipped(head + position + alpha + colour + scales + rotation, written.stamp)


def _gzipped(data: bytes, comment: str) -> bytes:
    """As :mod:`gzip`, which writes no comments."""
    packer = zlib.compressobj(wbits=-15)
    packed = packer.compress(data) + packer.flush()
    note = comment.encode("latin-1", "backslashreplace").replace(b"\0", b"")
    head = struct.pack("<BBBBIBB", 0x1F, 0x8B, 8, _GZIP_COMMENT, 0, 0, _GZIP_ANY_SYSTEM)
    return head + note + b"\0" + packed + struct.pack("<II", zlib.crc32(data), len(data))
