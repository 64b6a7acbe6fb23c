"""Rendering of the pictures that the simulation only describes."""

import math
import warnings
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from io import BytesIO
from pathlib import Path, PurePosixPath

from PIL import Image, ImageOps, UnidentifiedImageError

from comfyfarm.config.sources import read_regular
from comfyfarm.server import media
from comfyfarm.server.media import STAMP_KEYWORD, png, webp
from comfyfarm.server.media.contents import short_digest
from comfyfarm.server.media.metadata import EXIF_STAMP, PREVIEW_COMMENT
from comfyfarm.sim.files import FileContent
from comfyfarm.sim.values import Picture

Find = Callable[[str], bytes | None]
"""Returns the bytes of an uploaded file by its digest, or ``None`` if there is none."""

_AS_PNG = frozenset({".png", ".apng", ".gif", ".bmp", ".tif", ".tiff", ".avif"})    # of these, nodes write .png only

_PREVIEW_SIDE = 512
_FRAME_MS = 167         # ComfyUI's own default, 6 frames a second; the simulation knows no other rate
_MARK_SIDE = 16

# A larger picture is rendered in at most this number of dots, each of several pixels.  The input picture has no more
# detail anyway, and compression blocks the reactor: 40 ms for one million pixels, half a second for sixteen.
_MAX_DOTS = 1 << 20

_EXIF_PROMPT, _EXIF_EXTRA = 0x0110, (0x010F, 0x010E, 0x010D)
_EXIF_ORIENTATION, _SWAPS_SIDES = 0x0112, (5, 6, 7, 8)
_LONGEST_SEGMENT_BYTES = 65533


class UnreadablePicture(Exception):
    """A file is no picture; the message says why."""


def find_nothing(_digest: str) -> None:
    """Find no uploaded file: a :data:`Find` for rendering the input picture only."""


def read_picture(source: Path | bytes) -> bytes:
    """Return the bytes of a picture after decoding it as a check.

    :raises UnreadablePicture: if it is missing, no picture, or truncated.
    """
    if isinstance(source, bytes):
        _upright(source)
        return source
    try:
        content = read_regular(source)
        _upright(content)
    except OSError as error:
        raise UnreadablePicture(f"{source}: {error.strerror or error}") from error
    except UnreadablePicture as error:
        raise UnreadablePicture(f"{source}: {error}") from error
    return content


def open_picture(content: bytes) -> Image.Image:
    """Decode a picture completely.

    :raises UnreadablePicture: if that fails.
    """
    if not content:
        raise UnreadablePicture("the file is empty")
    with _raising_unreadable():
        image = Image.open(BytesIO(content))
        image.load()
    return image


def picture_size(path: Path | BytesIO) -> tuple[int, int] | None:
    """Return width and height as ``LoadImage`` gives them, from the header only; ``None`` if it is no picture."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                # The check of the header is needed: without EXIF there, getexif would decode a whole PNG to find it.
                is_rotated = "exif" in image.info and image.getexif().get(_EXIF_ORIENTATION) in _SWAPS_SIDES
                return (image.height, image.width) if is_rotated else (image.width, image.height)
    except Exception:  # noqa: BLE001 (see _raising_unreadable)
        return None


@dataclass(eq=False)
class ByteCache:
    """Keeps the most recently used byte strings, up to a total size and a number."""

    max_bytes: int = 64 << 20
    max_count: int = 512
    size_bytes: int = 0
    items: OrderedDict[Hashable, bytes] = field(default_factory=OrderedDict)

    def get(self, key: Hashable, make: Callable[[], bytes]) -> bytes:
        """Return the bytes of a key; call ``make`` if there are none."""
        if key not in self.items:
            self.items[key] = new = make()
            self.size_bytes += len(new)
        self.items.move_to_end(key)
        found = self.items[key]
        while len(self.items) > 1 and (self.size_bytes > self.max_bytes or len(self.items) > self.max_count):
            self.size_bytes -= len(self.items.popitem(last=False)[1])
        return found


@dataclass(eq=False)
class ImageRenderer:
    """Renders and encodes pictures; instances with the same input picture may share one renderer.

    :ivar input_picture: the bytes of the picture that is shown if a picture's look is unknown; see
        :func:`read_picture`.
    """

    input_picture: bytes = field(repr=False)
    _cache: ByteCache = field(default_factory=ByteCache, init=False, repr=False)

    @cached_property
    def digest(self) -> str:
        """The digest of the input picture, as events have it."""
        return short_digest(self.input_picture)

    @cached_property
    def size(self) -> tuple[int, int]:
        """Width and height of the input picture, in pixels."""
        return picture_size(BytesIO(self.input_picture)) or (512, 512)

    def render(self, name: str, content: FileContent, find: Find = find_nothing) -> bytes:
        """Return the bytes of a new file, in the format of its suffix; PNG for picture formats not supported here.

        :param find: finds the uploaded file that a picture shows; if it finds none, the input picture is shown.
        """
        suffix = PurePosixPath(name).suffix.lower()
        if suffix == ".webp":
            return self._webp(content, find)
        if suffix in (".jpg", ".jpeg"):
            return self._jpeg(content, find)
        return self._png(content, find) if suffix in _AS_PNG else media.encode(suffix, content)

    def preview_jpeg(self, width: int, height: int) -> bytes:
        """Return the preview that a sampler sends: the input picture, its longer side at most 512 pixels."""
        scale = min(1.0, _PREVIEW_SIDE / max(width, height, 1))
        small = Picture(max(1, round(width * scale)), max(1, round(height * scale)))
        plain = self._cache.get(("jpeg", small), lambda: _jpeg(self._full(small, find_nothing)))
        return _with_segment(plain, b"\xfe", PREVIEW_COMMENT)

    def preview_png(self, picture: Picture, find: Find = find_nothing) -> bytes:
        """Return what ``SaveImageWebsocket`` sends for one picture of a batch: full size, without texts."""
        return png.whole(picture.width, picture.height, (), self._pixels(picture, find))

    def _png(self, content: FileContent, find: Find) -> bytes:
        picture = content.picture
        texts = [png.text(key, value) for key, value in content.text.items()]
        texts.append(png.international_text(STAMP_KEYWORD, content.stamp))
        body = self._pixels(picture, find) if picture.count <= 1 else self._frames(picture, find)
        return png.whole(picture.width, picture.height, texts, body)

    def _pixels(self, picture: Picture, find: Find) -> bytes:
        single = Picture(picture.width, picture.height, 1, picture.colour, picture.source)
        return self._cache.get(("png", single), lambda: png.still(self._lines(single, find), single.height))

    def _frames(self, picture: Picture, find: Find) -> bytes:
        def make() -> bytes:
            return png.animated(self._lines(picture, find), picture.height, _marks(picture), _FRAME_MS)

        return self._cache.get(("apng", picture), make)

    def _webp(self, content: FileContent, find: Find) -> bytes:
        full, limit = content.picture, webp.LONGEST_SIDE
        picture = Picture(min(full.width, limit), min(full.height, limit), full.count, full.colour, full.source)
        body = self._cache.get(("webp", picture), lambda: _webp(self._full(picture, find), picture))
        return webp.whole(picture.width, picture.height, body, _exif(content)[6:])

    def _jpeg(self, content: FileContent, find: Find) -> bytes:
        plain = self._cache.get(("jpeg", content.picture), lambda: _jpeg(self._full(content.picture, find)))
        exif = _exif(content)
        if len(exif) > _LONGEST_SEGMENT_BYTES:
            exif = _exif(FileContent(content.picture, {}, content.stamp))
        return _with_segment(plain, b"\xe1", exif)

    def _full(self, picture: Picture, find: Find) -> Image.Image:
        return self._lines(picture, find).resize((picture.width, picture.height), Image.Resampling.NEAREST)

    def _lines(self, picture: Picture, find: Find) -> Image.Image:
        """Return the picture in its full width, but with its distinct lines only."""
        width, height = picture.width, picture.height
        if picture.colour is not None:
            return Image.new("RGB", (width, 1), f"#{picture.colour & 0xFFFFFF:06x}")
        dot = math.ceil(math.sqrt(width * height / _MAX_DOTS))
        dots = self._image_shown(picture, find).resize((-(-width // dot), -(-height // dot)), Image.Resampling.BILINEAR)
        return dots.resize((width, dots.height), Image.Resampling.NEAREST)

    def _image_shown(self, picture: Picture, find: Find) -> Image.Image:
        upload = find(picture.source) if picture.source is not None else None
        try:
            return _upright(upload) if upload else self._input
        except UnreadablePicture:
            return self._input

    @cached_property
    def _input(self) -> Image.Image:
        return _upright(self.input_picture)


@contextmanager
def _raising_unreadable() -> Iterator[None]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except UnidentifiedImageError as error:
        raise UnreadablePicture("not a picture") from error
    except Exception as error:      # Pillow's decoders raise nearly anything for bad bytes
        raise UnreadablePicture(str(error) or type(error).__name__) from error


def _upright(content: bytes) -> Image.Image:
    """Return the picture as ``LoadImage`` reads it: rotated by its EXIF, without alpha."""
    image = open_picture(content)
    with _raising_unreadable():
        return ImageOps.exif_transpose(image).convert("RGB")


def _marks(picture: Picture) -> Sequence[png.Box]:
    """Return the square of each further frame of an animation: they form a row along the lower edge."""
    side = min(_MARK_SIDE, picture.width, picture.height)
    max_left, top = picture.width - side, (picture.height - side) & ~1
    last = max(1, picture.count - 1)
    return [((max_left * index // last) & ~1, top, side) for index in range(1, picture.count)]


def _webp(image: Image.Image, picture: Picture) -> bytes:
    return webp.still(image) if picture.count <= 1 else webp.animated(image, _marks(picture), _FRAME_MS)


def _jpeg(image: Image.Image) -> bytes:
    file = BytesIO()
    image.save(file, "JPEG", quality=80)
    return file.getvalue()


def _with_segment(jpeg: bytes, marker: bytes, data: bytes) -> bytes:
    return b"".join((jpeg[:2], b"\xff", marker, (len(data) + 2).to_bytes(2, "big"), data, jpeg[2:]))


def _exif(content: FileContent) -> bytes:
    """Return EXIF with the texts as ComfyUI's ``SaveAnimatedWEBP`` places them, and the stamp as software name."""
    exif = Image.Exif()
    extra = iter(_EXIF_EXTRA)       # a fourth key of extra_pnginfo is dropped: no further tag may hold text
    for key, value in content.text.items():
        tag = _EXIF_PROMPT if key == "prompt" else next(extra, None)
        if tag is not None:
            exif[tag] = f"{key}:{value}"
    exif[EXIF_STAMP] = f"{STAMP_KEYWORD}:{content.stamp}"
    return exif.tobytes()
