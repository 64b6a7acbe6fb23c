"""PNG files, assembled so that equal pixels are compressed only once.

A PNG is a sequence of chunks.  The pixel chunks depend only on look and size, and are made once and cached; the text
chunks differ for each file.  So a further file is one join of bytes.

Pillow is not used for compression, because it compresses repeated lines again.  CPU time of the first picture, here and
with Pillow at level 1: 1024 x 1024 34 and 52 ms, 4096 x 4096 83 and 228 ms, 16384 x 16384 0.4 and 2.5 s; one colour,
4096 x 4096: 13 and 108 ms.  Neither level 0 nor another strategy of zlib makes Pillow much faster.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence

from PIL import Image, ImageChops

Box = tuple[int, int, int]
"""Left, top and side of a small square, in pixels."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_KEYWORD_BYTES = 79
_RUN_LINES = 64

# Compression blocks the reactor, and file size hardly matters: a photograph of one million pixels takes 30 ms at
# level 1, and 220 ms at level 6, which makes it only a tenth smaller.
_LEVEL = 1


def whole(width: int, height: int, texts: Iterable[bytes], body: bytes) -> bytes:
    """Return the file: 8-bit RGB, the text chunks before the pixels, as Pillow (and so ComfyUI) writes them."""
    head = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"".join((_SIGNATURE, head, *texts, body, _chunk(b"IEND", b"")))


def text(keyword: str, value: str) -> bytes:
    """Return a text chunk: tEXt if Latin-1 can encode the text, else iTXt."""
    try:
        return _chunk(b"tEXt", _keyword(keyword) + b"\0" + value.encode("latin-1"))
    except UnicodeEncodeError:
        return international_text(keyword, value)


def international_text(keyword: str, value: str) -> bytes:
    """Return an iTXt chunk: not compressed, no language, in UTF-8."""
    return _chunk(b"iTXt", _keyword(keyword) + b"\0\0\0\0\0" + value.encode("utf-8", "replace"))


def still(lines: Image.Image, height: int) -> bytes:
    """Return the pixel chunk of one picture.

    :param lines: as wide as the picture; if it has fewer lines than ``height``, they are repeated evenly.
    """
    return _chunk(b"IDAT", _packed(lines, height))


def animated(lines: Image.Image, height: int, marks: Sequence[Box], frame_ms: int) -> bytes:
    """Return the pixel chunks of an APNG: a first frame, and one white square for each further frame.

    Only the changes are written, so a long animation costs hardly more than its first picture.
    """
    control = struct.pack(">II", len(marks) + 1, 0)
    first = _frame(0, (lines.width, height), (0, 0), frame_ms)
    return b"".join((_chunk(b"acTL", control), first, still(lines, height), *_further_frames(marks, frame_ms)))


def _further_frames(marks: Sequence[Box], frame_ms: int) -> Iterator[bytes]:
    for index, (left, top, side) in enumerate(marks):
        square = _packed(Image.new("RGB", (side, 1), "white"), side)
        # fcTL and fdAT chunks share one sequence of numbers; the first frame has 0.
        yield _frame(2 * index + 1, (side, side), (left, top), frame_ms)
        yield _chunk(b"fdAT", struct.pack(">I", 2 * index + 2) + square)


def _frame(number: int, size: tuple[int, int], corner: tuple[int, int], frame_ms: int) -> bytes:
    return _chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, *size, *corner, frame_ms, 1000, 0, 0))


def _packed(lines: Image.Image, height: int) -> bytes:
    """Return the zlib stream of a picture whose lines may be repeated.

    A line that repeats the one above it is all zeros (filter "up").  Runs of such lines are compressed once per length,
    between full flushes, and then copied: a picture of 16384 x 16384 costs no more than its distinct lines.
    """
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -15)
    blank = b"\2" + bytes(3 * lines.width)
    runs: dict[int, bytes] = {}
    parts = [b"\x78\x01"]
    adler = 1
    for line, repeats in _filtered(lines, height):
        parts.append(packer.compress(line))
        adler = zlib.adler32(line, adler)
        if repeats:
            run = runs.get(repeats) or runs.setdefault(repeats, _run(blank, repeats))
            parts += (packer.flush(zlib.Z_FULL_FLUSH), run)
        for _ in range(repeats):
            adler = zlib.adler32(blank, adler)
    parts += (packer.flush(), struct.pack(">I", adler))
    return b"".join(parts)


def _filtered(lines: Image.Image, height: int) -> Iterator[tuple[bytes, int]]:
    """Yield each line as its difference to the one above, and how often it is repeated below."""
    above = Image.new("RGB", lines.size)
    above.paste(lines, (0, 1))
    data = memoryview(ImageChops.subtract_modulo(lines, above).tobytes())
    stride, count = 3 * lines.width, lines.height
    for index in range(count):
        repeats = (index + 1) * height // count - index * height // count - 1
        yield b"\2" + data[index * stride : (index + 1) * stride], repeats


def _run(blank: bytes, count: int) -> bytes:
    """Return this number of compressed zero lines; only ``_RUN_LINES`` of them are compressed, and then copied."""
    times, rest = divmod(count, _RUN_LINES)
    return (_blanks(blank, _RUN_LINES) * times if times else b"") + _blanks(blank, rest)


def _blanks(blank: bytes, count: int) -> bytes:
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -15)
    return b"".join([*(packer.compress(blank) for _ in range(count)), packer.flush(zlib.Z_FULL_FLUSH)])


def _keyword(keyword: str) -> bytes:
    # A client may send any key in extra_pnginfo; a reader needs 1 to 79 bytes without NUL.
    return keyword.replace("\0", "").encode("latin-1", "replace")[:_KEYWORD_BYTES] or b"text"


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))
