"""Reading the stamp of a picture: ``read_stamp(content).job`` is the job that made it."""

import warnings
from io import BytesIO

from PIL import Image

from comfyfarm.events.stamp import Stamp

_KEYWORD = "comfyfarm"
_EXIF_SOFTWARE = 0x0131


def read_stamp(content: bytes) -> Stamp | None:
    """Return the stamp of a PNG, WebP or JPEG as a dynamic instance writes them.

    ``None`` if it has no stamp: a picture of a static instance or of another program, or one whose texts were removed.
    The pixels are not decoded, so the stamp of a truncated picture can be read, too.
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
