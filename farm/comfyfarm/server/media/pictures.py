"""The bytes of pictures that the simulation only describes."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from io import BytesIO
from pathlib import Path, PurePosixPath

from PIL import Image, ImageOps, UnidentifiedImageError

from comfyfarm.server import media as other_files
from comfyfarm.server.media import STAMP_KEYWORD, png, webp
from comfyfarm.server.media.byte_cache import ByteCache
from comfyfarm.sim.files import FileContent
from comfyfarm.sim.values import Picture

Find = Callable[[str], bytes | None]
"""Gives the bytes of an uploaded file by its digest, or ``None`` where nobody has it."""

_AS_PNG = frozenset({".png", ".apng", ".gif", ".bmp", ".tif", ".tiff", ".avif"})    # nodes write the first only

_PREVIEW_SIDE = 512
_FRAME_MS = 167         # ComfyUI's own default, 6 frames a second: nobody tells us another
_MARK_SIDE = 16

# A bigger picture is drawn from so many dots, each then standing for several pixels.  The picture we start from has no
# more to show anyway, and packing holds the reactor: 40 ms for one million pixels, half a second for sixteen.
_DOTS = 1 << 20

_EXIF_PROMPT, _EXIF_EXTRA, _EXIF_STAMP = 0x0110, (0x010F, 0x010E, 0x010D), 0x0131
_EXIF_ORIENTATION, _TURNED = 0x0112, (5, 6, 7, 8)
_LONGEST_SEGMENT_BYTES = 65533


class UnreadablePicture(Exception):
    """What should be a picture is none; the message says why."""


def nowhere(_digest: str) -> None:
    """Finds nothing: for a painter that knows its input picture only."""


def read_picture(source: Path | bytes) -> bytes:
    """The bytes of a picture, sure to be one.

    :raises UnreadablePicture: where it is missing, no picture, or cut short.
    """
    if isinstance(source, bytes):
        _upright(source)
        return source
    try:
        content = source.read_bytes()
        _upright(content)
    except OSError as error:
        raise UnreadablePicture(f"{source}: {error.strerror or error}") from error
    except UnreadablePicture as error:
        raise UnreadablePicture(f"{source}: {error}") from error
    return content


def open_picture(content: bytes) -> Image.Image:
    """Decode a picture to its last pixel.

    :raises UnreadablePicture: where that fails.
    """
    if not content:
        raise UnreadablePicture("the file is empty")
    with _reading():
        image = Image.open(BytesIO(content))
        image.load()
    return image


def picture_size(path: Path | BytesIO) -> tuple[int, int] | None:
    """Width and height as ``LoadImage`` gives them, from the header alone; ``None`` where it is no picture."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                # Only where the header has EXIF: asked without, a PNG would be decoded to its end to look for it.
                turned = "exif" in image.info and image.getexif().get(_EXIF_ORIENTATION) in _TURNED
                return (image.height, image.width) if turned else (image.width, image.height)
    except Exception:  # noqa: BLE001 (see _reading)
        return None


@dataclass(eq=False)
class ImageRenderer:
    """Makes the bytes of pictures; instances with the same input picture may share one.

    :ivar input_picture: the bytes of what a picture of unknown look shows; see :func:`read_picture`.
    """

    input_picture: bytes = field(repr=False)
    _shelf: ByteCache = field(default_factory=ByteCache, init=False, repr=False)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the input picture, in pixels."""
        return picture_size(BytesIO(self.input_picture)) or (512, 512)

    def paint(self, name: str, written: FileContent, find: Find = nowhere) -> bytes:
        """The bytes of a new file: WebP or JPEG where its name says so, PNG for other pictures, else no picture.

        :param find: where the pixels of an uploaded file are; without them it is the input picture.
        """
        suffix = PurePosixPath(name).suffix.lower()
        if suffix == ".webp":
            return self._webp(written, find)
        if suffix in (".jpg", ".jpeg"):
            return self._jpeg(written, find)
        return self._png(written, find) if suffix in _AS_PNG else other_files.content(suffix, written)

    def preview_jpeg(self, width: int, height: int) -> bytes:
        """What a sampler shows while it works: the input picture, its longer side at most 512 pixels."""
        scale = min(1.0, _PREVIEW_SIDE / max(width, height, 1))
        small = Picture(max(1, round(width * scale)), max(1, round(height * scale)))
        return self._shelf.get(("jpeg", small), lambda: _jpeg(self._full(small, nowhere)))

    def preview_png(self, picture: Picture, find: Find = nowhere) -> bytes:
        """What ``SaveImageWebsocket`` sends for one picture of a batch: its full size, and no text."""
        return png.whole(picture.width, picture.height, (), self._pixels(picture, find))

    def _png(self, written: FileContent, find: Find) -> bytes:
        picture = written.picture
        texts = [png.text(key, value) for key, value in written.text.items()]
        texts.append(png.international_text(STAMP_KEYWORD, written.stamp))
        body = self._pixels(picture, find) if picture.count <= 1 else self._frames(picture, find)
        return png.whole(picture.width, picture.height, texts, body)

    def _pixels(self, picture: Picture, find: Find) -> bytes:
        one = Picture(picture.width, picture.height, 1, picture.colour, picture.source)
        return self._shelf.get(("png", one), lambda: png.still(self._lines(one, find), one.height))

    def _frames(self, picture: Picture, find: Find) -> bytes:
        def make() -> bytes:
            return png.animated(self._lines(picture, find), picture.height, _marks(picture), _FRAME_MS)

        return self._shelf.get(("apng", picture), make)

    def _webp(self, written: FileContent, find: Find) -> bytes:
        asked, limit = written.picture, webp.LONGEST_SIDE
        picture = Picture(min(asked.width, limit), min(asked.height, limit), asked.count, asked.colour, asked.source)
        body = self._shelf.get(("webp", picture), lambda: _webp(self._full(picture, find), picture))
        return webp.whole(picture.width, picture.height, body, _exif(written)[6:])

    def _jpeg(self, written: FileContent, find: Find) -> bytes:
        plain = self._shelf.get(("jpeg", written.picture), lambda: _jpeg(self._full(written.picture, find)))
        exif = _exif(written)
        if len(exif) > _LONGEST_SEGMENT_BYTES:
            exif = _exif(FileContent(written.picture, {}, written.stamp))
        return b"".join((plain[:2], b"\xff\xe1", (len(exif) + 2).to_bytes(2, "big"), exif, plain[2:]))

    def _full(self, picture: Picture, find: Find) -> Image.Image:
        return self._lines(picture, find).resize((picture.width, picture.height), Image.Resampling.NEAREST)

    def _lines(self, picture: Picture, find: Find) -> Image.Image:
        """The picture in its full width, with as many lines as differ."""
        width, height = picture.width, picture.height
        if picture.colour is not None:
            return Image.new("RGB", (width, 1), f"#{picture.colour & 0xFFFFFF:06x}")
        dot = math.ceil(math.sqrt(width * height / _DOTS))
        dots = self._look(picture, find).resize((-(-width // dot), -(-height // dot)), Image.Resampling.BILINEAR)
        return dots.resize((width, dots.height), Image.Resampling.NEAREST)

    def _look(self, picture: Picture, find: Find) -> Image.Image:
        content = find(picture.source) if picture.source is not None else None
        try:
            return _upright(content) if content else self._input
        except UnreadablePicture:
            return self._input

    @cached_property
    def _input(self) -> Image.Image:
        return _upright(self.input_picture)


@contextmanager
def _reading() -> Iterator[None]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except UnidentifiedImageError as error:
        raise UnreadablePicture("not a picture") from error
    except Exception as error:      # Pillow's decoders raise nearly anything at bad bytes
        raise UnreadablePicture(str(error) or type(error).__name__) from error


def _upright(content: bytes) -> Image.Image:
    """The picture as ``LoadImage`` sees it: turned by its EXIF, without alpha."""
    image = open_picture(content)
    with _reading():
        return ImageOps.exif_transpose(image).convert("RGB")


def _marks(picture: Picture) -> Sequence[png.Box]:
    """Where each further frame of an animation gets its square: a row of them that grows along the lower edge."""
    side = min(_MARK_SIDE, picture.width, picture.height)
    way, top = picture.width - side, (picture.height - side) & ~1
    last = max(1, picture.count - 1)
    return [((way * index // last) & ~1, top, side) for index in range(1, picture.count)]


def _webp(image: Image.Image, picture: Picture) -> bytes:
    return webp.still(image) if picture.count <= 1 else webp.animated(image, _marks(picture), _FRAME_MS)


def _jpeg(image: Image.Image) -> bytes:
    file = BytesIO()
    image.save(file, "JPEG", quality=80)
    return file.getvalue()


def _exif(written: FileContent) -> bytes:
    """The texts as ComfyUI's ``SaveAnimatedWEBP`` places them, and the stamp as the software's name."""
    exif = Image.Exif()
    extra = iter(_EXIF_EXTRA)       # a fourth key of extra_pnginfo finds no tag that may hold text
    for key, value in written.text.items():
        tag = _EXIF_PROMPT if key == "prompt" else next(extra, None)
        if tag is not None:
            exif[tag] = f"{key}:{value}"
    exif[_EXIF_STAMP] = f"{STAMP_KEYWORD}:{written.stamp}"
    return exif.tobytes()
