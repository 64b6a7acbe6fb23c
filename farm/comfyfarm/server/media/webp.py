"""WebP files with EXIF and frames.

As in :mod:`comfyfarm.server.media.png`, the pictures are encoded once (by Pillow), and each further file is one join of
bytes.
"""

import struct
from collections.abc import Sequence
from io import BytesIO

from PIL import Image

from comfyfarm.server.media.png import Box

LONGEST_SIDE = 16383
"""The format's own limit, in pixels."""

_EXIF, _ANIMATION = 0x08, 0x02


def whole(width: int, height: int, body: bytes, exif: bytes) -> bytes:
    """Return the file.

    :param body: from :func:`still` or :func:`animated`.
    :param exif: a TIFF block, without the leading ``Exif`` of a JPEG.
    """
    flags = _EXIF | (_ANIMATION if body.startswith(b"ANIM") else 0)
    head = _chunk(b"VP8X", struct.pack("<I", flags) + _uint24(width - 1) + _uint24(height - 1))
    content = b"".join((b"WEBP", head, body, _chunk(b"EXIF", exif)))
    return b"RIFF" + struct.pack("<I", len(content)) + content


def still(picture: Image.Image) -> bytes:
    # 80 is ComfyUI's own default, and method 0 is the fastest.
    return _encoded(picture, quality=80, method=0)


def animated(picture: Image.Image, marks: Sequence[Box], frame_ms: int) -> bytes:
    """Encode a first frame, and one white square for each further frame.

    :param marks: the squares, at even coordinates: the format counts them in pairs of pixels.
    """
    frames = [_frame(still(picture), picture.size, (0, 0), frame_ms)]
    for left, top, side in marks:
        square = _encoded(Image.new("RGB", (side, side), "white"), lossless=True, method=0)
        frames.append(_frame(square, (side, side), (left, top), frame_ms))
    return b"".join((_chunk(b"ANIM", bytes(6)), *frames))


def _frame(encoded: bytes, size: tuple[int, int], corner: tuple[int, int], frame_ms: int) -> bytes:
    numbers = (corner[0] // 2, corner[1] // 2, size[0] - 1, size[1] - 1, frame_ms)
    do_not_blend = b"\2"
    return _chunk(b"ANMF", b"".join(map(_uint24, numbers)) + do_not_blend + encoded)


def _encoded(picture: Image.Image, **options: int) -> bytes:
    """Return the one chunk that Pillow makes of a picture without alpha and metadata."""
    file = BytesIO()
    picture.save(file, "WEBP", **options)
    return file.getvalue()[12:]


def _uint24(number: int) -> bytes:
    return struct.pack("<I", number)[:3]


def _chunk(kind: bytes, data: bytes) -> bytes:
    return kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)
