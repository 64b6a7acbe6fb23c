"""Which job made this picture?  ``read_stamp(content).job``: then one can say that a user got another's."""

from __future__ import annotations

import warnings
from io import BytesIO

from PIL import Image

from comfyfarm.events.stamp import Stamp

_KEYWORD = "comfyfarm"
_EXIF_SOFTWARE = 0x0131


def read_stamp(content: bytes) -> Stamp | None:
    """The stamp of a picture: PNG, WebP or JPEG, as a dynamic instance writes them.

    ``None`` where it bears none: a static instance's picture, another program's, one whose texts were taken out.
    The pixels are not looked at, so that a picture that was cut short still says whose it is.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Stamp.parse(_text(content))
    except Exception:  # noqa: BLE001 (Pillow's decoders raise nearly anything at bad bytes)
        return None


def _text(content: bytes) -> str:
    with Image.open(BytesIO(content), formats=("PNG", "WEBP", "JPEG")) as image:
        if image.format == "PNG":
            return str(image.info[_KEYWORD])
        return str(image.getexif()[_EXIF_SOFTWARE]).removeprefix(f"{_KEYWORD}:")
