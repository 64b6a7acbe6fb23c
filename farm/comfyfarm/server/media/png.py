"""The bytes of a PNG, put together so that equal pixels are compressed only once.

A PNG is a row of chunks.  Pixels depend on look and size alone, and the text chunks make each file its own; so the
pixel chunks are made once and kept, and a further file is one join of bytes.

Pillow is not used for packing, because it packs repeated lines again.  CPU time of the first picture, here and with
Pillow at level 1: 1024 x 1024 34 and 52 ms, 4096 x 4096 83 and 228 ms, 16384 x 16384 0.4 and 2.5 s; one colour,
4096 x 4096: 13 and 108 ms.  Neither level 0 nor another strategy of zlib makes Pillow much quicker.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence

from PIL import Image, ImageChops

Box = tuple[int, int, int]
"""Left, top and side of a small square, in pixels."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_KEYWORD_BYTES = 79
_RUN_LINES = 64

# The reactor waits while pixels are packed, and nobody minds a bigger file: a photograph of one million pixels takes
# 30 ms at level 1 and 220 ms at level 6, which makes it only a tenth smaller.
_LEVEL = 1


def whole(width: int, height: int, texts: Iterable[bytes], body: bytes) -> bytes:
    """The file: 8-bit RGB, its text chunks before its pixels, as Pillow (and so ComfyUI) writes them."""
    head = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"".join((_SIGNATURE, head, *texts, body, _chunk(b"IEND", b"")))


def text(keyword: str, value: str) -> bytes:
    """A text chunk: tEXt where Latin-1 can say it, else iTXt."""
    try:
        return _chunk(b"tEXt", _keyword(keyword) + b"\0" + value.encode("latin-1"))
    except UnicodeEncodeError:
        return international_text(keyword, value)


def international_text(keyword: str, value: str) -> bytes:
    """An iTXt chunk: not compressed, no language, in UTF-8."""
    return _chunk(b"iTXt", _keyword(keyword) + b"\0\0\0\0\0" + value.encode("utf-8", "replace"))


def still(lines: Image.Image, height: int) -> bytes:
    """The pixel chunk of one picture.

    :param lines: as wide as the picture; where it has fewer lines than ``height``, each is repeated evenly.
    """
    return _chunk(b"IDAT", _packed(lines, height))


def animated(lines: Image.Image, height: int, marks: Sequence[Box], frame_ms: int) -> bytes:
    """The pixel chunks of an APNG: a first frame, then one white square for each further frame.

    Only what changes is written, so that a long animation costs hardly more than its first picture.
    """
    control = struct.pack(">II", len(marks) + 1, 0)
    first = _frame(0, (lines.width, height), (0, 0), frame_ms)
    return b"".join((_chunk(b"acTL", control), first, still(lines, height), *_further(marks, frame_ms)))


def _further(marks: Sequence[Box], frame_ms: int) -> Iterator[bytes]:
    for index, (left, top, side) in enumerate(marks):
        square = _packed(Image.new("RGB", (side, 1), "white"), side)
        # fcTL and fdAT chunks share one sequence of numbers; 0 went to the first frame.
        yield _frame(2 * index + 1, (side, side), (left, top), frame_ms)
        yield _chunk(b"fdAT", struct.pack(">I", 2 * index + 2) + square)


def _frame(number: int, size: tuple[int, int], corner: tuple[int, int], frame_ms: int) -> bytes:
    return _chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, *size, *corner, frame_ms, 1000, 0, 0))


def _packed(lines: Image.Image, height: int) -> bytes:
    """The zlib stream of a picture whose lines may stand for several.

    A line that repeats the one above it is all zeros (filter "up").  Such runs are packed once per length, between
    full flushes, and pasted: a picture of 16384 x 16384 costs no more packing than the lines it is made of.
    """
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -15)
    blank = b"\2" + bytes(3 * lines.width)
    runs: dict[int, bytes] = {}
    parts = [b"\x78\x01"]
    adler = 1
    for line, again in _filtered(lines, height):
        parts.append(packer.compress(line))
        adler = zlib.adler32(line, adler)
        if again:
            parts += (packer.flush(zlib.Z_FULL_FLUSH), runs.get(again) or runs.setdefault(again, _run(blank, again)))
        for _ in range(again):
            adler = zlib.adler32(blank, adler)
    parts += (packer.flush(), struct.pack(">I", adler))
    return b"".join(parts)


def _filtered(lines: Image.Image, height: int) -> Iterator[tuple[bytes, int]]:
    """Each line as its difference to the one above, and how often it stands again below."""
    above = Image.new("RGB", lines.size)
    above.paste(lines, (0, 1))
    data = memoryview(ImageChops.subtract_modulo(lines, above).tobytes())
    stride, count = 3 * lines.width, lines.height
    for index in range(count):
        again = (index + 1) * height // count - index * height // count - 1
        yield b"\2" + data[index * stride : (index + 1) * stride], again


def _run(blank: bytes, count: int) -> bytes:
    """So many zero lines, of which only the first few are packed and then pasted, too."""
    times, rest = divmod(count, _RUN_LINES)
    return (_blanks(blank, _RUN_LINES) * times if times else b"") + _blanks(blank, rest)


def _blanks(blank: bytes, count: int) -> bytes:
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -15)
    return b"".join([*(packer.compress(blank) for _ in range(count)), packer.flush(zlib.Z_FULL_FLUSH)])


def _keyword(keyword: str) -> bytes:
    # The keys of extra_pnginfo are whatever a client sent; a reader needs 1 to 79 bytes without NUL.
    return keyword.replace("\0", "").encode("latin-1", "replace")[:_KEYWORD_BYTES] or b"text"


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))
