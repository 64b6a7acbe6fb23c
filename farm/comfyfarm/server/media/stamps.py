"""Reading the stamp of a picture: ``read_stamp(content).job`` is the job that made it."""

import html
import json
import warnings
from io import BytesIO

from PIL import Image, UnidentifiedImageError

from comfyfarm.events.stamp import Stamp
from comfyfarm.server.media.metadata import EXIF_STAMP, STAMP_KEYWORD

_BEGINNING = '{"instance": '


def read_stamp(content: bytes) -> Stamp | None:
    """Return the stamp of a file as a dynamic instance writes it.

    ``None`` if it has no stamp: a picture of a static instance or of another program, or one whose texts were removed.
    The pixels are not decoded, so the stamp of a truncated picture can be read, too.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Stamp.parse(_text_of(content))
    except Exception:  # noqa: BLE001 (Pillow's decoders raise nearly anything at bad bytes)
        return None


def _text_of(content: bytes) -> str:
    try:
        with Image.open(BytesIO(content), formats=("PNG", "WEBP", "JPEG")) as image:
            if image.format == "PNG":
                return str(image.info[STAMP_KEYWORD])
            return str(image.getexif()[EXIF_STAMP]).removeprefix(f"{STAMP_KEYWORD}:")
    except UnidentifiedImageError:
        return _text_in(content.decode("utf-8", "replace"))


def _text_in(content: str) -> str:
    """Return the stamp in a file that is no picture: as it is, or as a string in JSON, or escaped in XML."""
    decoder = json.JSONDecoder()
    # It is the last of the texts; a client's prompt may contain the same words.
    if (start := content.rfind(_BEGINNING)) >= 0:
        return content[start : decoder.raw_decode(content, start)[1]]
    if (start := content.rfind(json.dumps(_BEGINNING)[:-1])) >= 0:
        return str(decoder.raw_decode(content, start)[0])
    plain = html.unescape(content)
    return _text_in(plain) if plain != content else ""
