"""The kind of content that was delivered as a picture: a whole picture, part of one, or something else."""

import codecs
import hashlib
import warnings
import zlib
from io import BytesIO

from PIL import Image, UnidentifiedImageError

from comfyfarm.events.clients import Content
from comfyfarm.server.media.metadata import PREVIEW_COMMENT

# With a signature of their own each: Pillow takes some other bytes for formats that have none.
_FORMATS = ("BMP", "GIF", "JPEG", "JPEG2000", "TIFF", "WEBP")
_AVIF_TYPES = (b"ftypavif", b"ftypavis")    # not every Pillow decodes it, so that one is never said to be cut
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHUNK_FRAME_BYTES = 12     # length, type and checksum
_HEAD_BYTES = 1000
_PRINTABLE_CONTROLS = frozenset("\t\n\f\r")


def short_digest(content: bytes) -> str:
    """Return a digest as events have it: BLAKE2b of 8 bytes, in hex."""
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def kind_of(content: bytes) -> Content:
    """Return what these bytes are; the pixels of a PNG are not decoded, because its checksums tell enough."""
    if not content:
        return "empty"
    if content[:8] == _PNG_SIGNATURE[: len(content)]:
        return _kind_of_png(content)
    try:
        return _kind_of_picture(content)
    except UnidentifiedImageError:
        return _kind_of_other(content)


def _kind_of_png(content: bytes) -> Content:
    view, start = memoryview(content), len(_PNG_SIGNATURE)
    while start + _CHUNK_FRAME_BYTES <= len(view):
        end = start + _CHUNK_FRAME_BYTES + int.from_bytes(view[start : start + 4], "big")
        chunk_type = bytes(view[start + 4 : start + 8])
        if not chunk_type.isalpha():
            return "damaged"
        if end > len(view):
            break
        if zlib.crc32(view[start + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
            return "damaged"
        if chunk_type == b"IEND":
            return "picture"
        start = end
    return "cut"


def _kind_of_picture(content: bytes) -> Content:
    """Return what a picture of another format is.

    :raises UnidentifiedImageError: if it is none.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(BytesIO(content), formats=_FORMATS) as image:
                image_format = image.format
                image.load()
        except UnidentifiedImageError:
            raise
        except Image.DecompressionBombError:    # whole or not, it is too large to be decoded here
            return "picture"
        except Exception:  # noqa: BLE001 (Pillow's decoders raise nearly anything at bad bytes)
            return "cut" if _lacks_end(content) else "damaged"
    if content[:_HEAD_BYTES].find(PREVIEW_COMMENT) > 0:
        return "preview"
    # Pillow has decoded the first of several frames only.
    return "cut" if image_format in ("GIF", "WEBP") and _lacks_end(content) else "picture"


def _lacks_end(content: bytes) -> bool:
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP"[: len(content) - 8]:
        return len(content) < 8 + int.from_bytes(content[4:8], "little")
    end = b";" if content.startswith(b"GIF8") else b"\xff\xd9"
    return content.startswith((b"GIF8", b"\xff\xd8")) and not content.rstrip(b"\0").endswith(end)


def _kind_of_other(content: bytes) -> Content:
    if content.startswith((b"RIFF", b"\xff\xd8\xff", b"GIF8")):
        return "cut" if _lacks_end(content) else "data"
    if content[4:12] in _AVIF_TYPES:
        return "picture"
    head = content[:_HEAD_BYTES]
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head).strip().lower()
    except UnicodeDecodeError:
        return "data"
    if any(character < " " and character not in _PRINTABLE_CONTROLS for character in text):
        return "data"
    if text.startswith(("<!doctype html", "<html")) or "<html" in text:
        return "HTML"
    return "JSON" if text.startswith(("{", "[")) else "text"
