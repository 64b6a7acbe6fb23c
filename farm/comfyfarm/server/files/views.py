"""The answers of ``GET /view``: a file, a preview of it, or one of its channels."""

from collections.abc import Mapping
from io import BytesIO
from mimetypes import MimeTypes
from pathlib import Path

from PIL import Image

from comfyfarm.server.files.disk import Disk
from comfyfarm.server.files.file_reference import NotServed, locate
from comfyfarm.server.http.answer import Answer
from comfyfarm.server.http.headers import shielding_headers, with_escaped_name
from comfyfarm.server.http.static_file import Ask, Headers, serve
from comfyfarm.server.media.pictures import UnreadablePicture, open_picture
from comfyfarm.sim.errors import ServerError
from comfyfarm.versions import DEFAULT_BEHAVIOUR, Behaviour

_QUALITY = 90

# Python's own tables only, because those of the system differ between machines.
_TYPES = MimeTypes()
_TYPES.add_type("application/javascript; charset=utf-8", ".js")     # as ComfyUI registers it
_TYPES.add_type("application/javascript", ".mjs")                   # text/javascript since Python 3.12
_TYPES.add_type("image/webp", ".webp")

_NEVER_SHOWN = frozenset({"text/html", "application/xhtml+xml", "text/javascript", "text/css"})


def view(
    disk: Disk,
    query: Mapping[str, str],
    headers: Ask,
    static_name: str | None = None,
    behaviour: Behaviour = DEFAULT_BEHAVIOUR,
) -> Answer:
    """Answer with a file, or with a preview or channel of it.

    :param headers: returns a header of the request.
    :param static_name: the one name with ``..`` that a static instance serves, e.g. ``../input/NAME.jpg``.
    :raises ServerError: if ComfyUI would fail, as for a preview of a file that is no picture.
    """
    filename = query.get("filename")
    if filename is None or filename.startswith("blake3:"):      # the assets store, which is disabled
        return Answer(404)
    try:
        path = locate(disk, filename, query.get("type", "output"), query.get("subfolder", ""), static_name)
    except NotServed as error:
        return Answer(error.status)
    if "preview" in query or query.get("channel") in ("rgb", "a"):
        derived = _preview(path, query) if "preview" in query else _channel(path, query["channel"])
        return with_escaped_name(derived, path.name) if behaviour.shields_files else derived
    if behaviour.shields_files:
        kind = declared_type(path.name, behaviour)
        return serve(path, shielding_headers(path.name, kind, headers("Sec-Fetch-Dest"), behaviour), headers)
    return serve(path, _head(path, guessed_type(path.name, behaviour)), headers)


def guessed_type(name: str, behaviour: Behaviour = DEFAULT_BEHAVIOUR) -> str:
    """Return the content type that ComfyUI before 0.28 sends for a file: none that a browser would run."""
    guess = declared_type(name, behaviour)
    return "application/octet-stream" if guess in _NEVER_SHOWN else guess


def declared_type(name: str, behaviour: Behaviour = DEFAULT_BEHAVIOUR) -> str:
    """Return the content type of a file by its suffix."""
    if behaviour.knows_safetensors and name.lower().endswith(".safetensors"):
        return "application/safetensors"
    return _TYPES.guess_type(name)[0] or "application/octet-stream"


def _preview(path: Path, query: Mapping[str, str]) -> Answer:
    """Answer with the picture re-encoded by ``preview=FORMAT;QUALITY``."""
    options, channel = query["preview"].split(";"), query.get("channel", "")
    kind = options[0] if options[0] in ("webp", "jpeg") and "a" not in channel else "webp"
    quality = options[-1] if options[-1].isdigit() else _QUALITY
    image = _opened(path)
    if kind == "jpeg" or channel == "rgb":
        image = image.convert("RGB")
    # Method 0 is the fastest; ComfyUI uses Pillow's default, which would block the reactor much longer.
    return _encoded(path, image, kind, {"quality": quality, **({"method": 0} if kind == "webp" else {})})


def _channel(path: Path, channel: str) -> Answer:
    image = _opened(path)
    if channel == "rgb":
        return _encoded(path, image.convert("RGB"), "png", {})
    black = Image.new("RGBA", image.size)
    black.putalpha(image.getchannel("A") if image.mode == "RGBA" else Image.new("L", image.size, 255))
    return _encoded(path, black, "png", {})


def _opened(path: Path) -> Image.Image:
    try:
        return open_picture(path.read_bytes())
    except (OSError, UnreadablePicture) as error:
        raise ServerError(f"{path.name}: {error}") from error


def _encoded(path: Path, image: Image.Image, kind: str, options: Mapping[str, str | int]) -> Answer:
    file = BytesIO()
    try:
        image.save(file, kind, **{key: int(value) for key, value in options.items()})
    except (OSError, ValueError, OverflowError) as error:   # an invalid quality, too large a picture
        raise ServerError(f"{path.name} as {kind}: {error}") from error
    return Answer(200, _head(path, f"image/{kind}"), file.getvalue())


def _head(path: Path, content_type: str) -> Headers:
    # aiohttp fails, too, for a line break in a header; all other characters, quotes included, are sent unchanged.
    if any(character in path.name for character in "\r\n\0"):
        raise ServerError(f"{path.name!r} cannot stand in a header")
    return ("Content-Disposition", f'filename="{path.name}"'), ("Content-Type", content_type)
