"""Uploads of pictures and masks (``POST /upload/image``, ``POST /upload/mask``)."""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from itertools import count, islice, starmap
from pathlib import PurePosixPath
from typing import TypeAlias
from urllib.parse import parse_qsl, unquote

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from comfyfarm.events.base import Folder
from comfyfarm.server.files.disk import Disk, Outside
from comfyfarm.server.files.file_reference import FOLDERS, NotServed, locate
from comfyfarm.server.http.answer import Answer, json_answer
from comfyfarm.server.media.pictures import UnreadablePicture, open_picture
from comfyfarm.server.stat_cache import regular_file
from comfyfarm.sim.errors import ServerError

try:
    from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header
except ImportError as error:
    raise ImportError(
        "comfyfarm needs the package multipart, which python-multipart before 0.0.13 hides: "
        "pip install --upgrade python-multipart",
        name="multipart",
        path=error.path,
    ) from None


@dataclass(frozen=True)
class SentFile:
    """A part of a form that has a file name."""

    filename: str
    content: bytes


MAX_FIELDS = 1000
_FIELD = re.compile("[^&]+")    # of a form in one line; of very many, the first tell that it is refused


class TooManyFields(ServerError):
    """A form has more fields than aiohttp accepts; it answers 413."""


Form: TypeAlias = dict[str, str | bytes | SentFile]
"""A form as aiohttp parses it; of several values of one name the first.  ``bytes``: neither text nor a file."""


def parse_form(content_type: str, body: bytes) -> Form | None:
    """Parse a form; ``None`` if the content type is not one of forms (ComfyUI then sees a form without fields).

    :raises ServerError: if the form is broken.
    :raises TooManyFields: if it has more than ``MAX_FIELDS``.
    """
    kind, options = parse_options_header(content_type)
    try:
        if kind == "multipart/form-data":
            return _form(starmap(_parse_part, _parts(options["boundary"], body)))
        if kind == "application/x-www-form-urlencoded":
            charset = options.get("charset", "utf-8")
            text = body.rstrip().decode(charset)
            fields = "&".join(field[0] for field in islice(_FIELD.finditer(text), MAX_FIELDS + 1))
            return _form(parse_qsl(fields, keep_blank_values=True, encoding=charset))
    except (MultipartError, LookupError, ValueError) as error:
        raise ServerError(f"broken form: {error}") from error
    return None


def store_image(disk: Disk, form: Form | None) -> Answer:
    """Store the uploaded ``image``, which may be any file, and answer with its name.

    :raises ServerError: if ComfyUI would fail.
    """
    return _store(disk, form, lambda _form, _name, content: content)


def store_mask(disk: Disk, form: Form | None) -> Answer:
    """Put the alpha of the uploaded ``image`` onto the picture that ``original_ref`` names, and store the result.

    :raises ServerError: if ComfyUI would fail.
    """
    return _store(disk, form, lambda form, name, content: _masked(disk, form, name, content))


_Process = Callable[[Form, str, bytes], bytes | None]


def _store(disk: Disk, form: Form | None, process: _Process) -> Answer:
    """Store an upload.

    :param process: returns the bytes to write for form, name and content; ``None`` to write nothing.
    """
    try:
        return _store_file(disk, form, process)
    except (OSError, RecursionError, ValueError, UnreadablePicture) as error:
        raise ServerError(f"upload: {error}") from error


def _store_file(disk: Disk, form: Form | None, process: _Process) -> Answer:
    sent = form.get("image") if form is not None else None
    if form is None or not sent:
        return Answer(400)
    if not isinstance(sent, SentFile):
        raise ServerError("image has no file name")
    type_name, subfolder = _text(form, "type", "input"), _text(form, "subfolder", "")
    folder = FOLDERS.get(type_name)
    if folder is None or "\0" in subfolder + sent.filename:
        raise ServerError("no such folder")
    try:
        disk.path(folder, subfolder, sent.filename)
        disk.make_directory(folder, subfolder)
    except Outside:
        return Answer(400)
    overwrite = form.get("overwrite") in ("true", "1")
    name, is_stored = _choose_name(disk, folder, subfolder, sent, overwrite=overwrite)
    content = None if is_stored else process(form, name, sent.content)
    if content is not None:
        disk.upload(disk.path(folder, subfolder, name), content)
    return json_answer({"name": name, "subfolder": subfolder, "type": type_name})


def _choose_name(disk: Disk, folder: Folder, subfolder: str, sent: SentFile, *, overwrite: bool) -> tuple[str, bool]:
    """Return a name for the file, and whether the same bytes are stored under it already."""
    digest = ""     # of what is sent; only needed if the name is taken
    stem, suffix = os.path.splitext(sent.filename)      # noqa: PTH122 (of a name, with all its slashes)
    for number in count():
        name = f"{stem} ({number}){suffix}" if number else sent.filename
        path = disk.path(folder, subfolder, name)
        if not path.exists():
            break
        if regular_file(path) is None:
            raise ServerError(f"{name} is no file")
        if overwrite:
            break
        digest = digest or hashlib.sha256(sent.content).hexdigest()
        if disk.digest_at(path) == digest:
            return name, True
    return name, False


def _masked(disk: Disk, form: Form, name: str, content: bytes) -> bytes | None:
    """Return the original picture with the uploaded alpha; ``None`` if ComfyUI does not serve the original."""
    ref = json.loads(_text(form, "original_ref"))
    filename, subfolder = (ref.get("filename"), ref.get("subfolder", "")) if isinstance(ref, dict) else (None, "")
    if not isinstance(filename, str) or not isinstance(subfolder, str):
        raise ServerError("original_ref names no file")
    try:
        path = locate(disk, filename, str(ref.get("type", "output")), subfolder)
    except NotServed:
        return None
    original = open_picture(path.read_bytes())
    picture = original.convert("RGBA")
    picture.putalpha(open_picture(content).convert("RGBA").getchannel("A"))
    return _encoded(picture, name, getattr(original, "text", {}))


def _encoded(picture: Image.Image, name: str, texts: Mapping[str, str]) -> bytes:
    kind = Image.registered_extensions().get(PurePosixPath(name).suffix.lower())
    if kind is None:
        raise ServerError(f"no picture format for {name}")
    metadata = PngInfo()
    for key, value in texts.items():
        metadata.add_text(key, value)
    file = BytesIO()
    picture.save(file, kind, compress_level=4, pnginfo=metadata)
    return file.getvalue()


def _text(form: Form, key: str, default: str | None = None) -> str:
    value = form.get(key, default)
    if not isinstance(value, str):
        raise ServerError(f"{key} is missing or no text")
    return value


def _form(pairs: Iterable[tuple[str, str | bytes | SentFile]]) -> Form:
    fields = list(islice(pairs, MAX_FIELDS + 1))
    if len(fields) > MAX_FIELDS:
        raise TooManyFields
    return dict(reversed(fields))      # so that the first value of a name stays


def _parts(boundary: str, body: bytes) -> Iterator[tuple[MultipartSegment, bytes]]:
    # Latin-1 keeps every byte of a file name, see _parameter.
    with PushMultipartParser(boundary, header_charset="latin-1") as parser:
        for event in parser.parse(body):
            if isinstance(event, MultipartSegment):
                segment, pieces = event, list[bytes]()
            elif event is None:
                yield segment, b"".join(pieces)
            else:
                pieces.append(event)


def _parse_part(segment: MultipartSegment, content: bytes) -> tuple[str, str | bytes | SentFile]:
    disposition = segment.header("Content-Disposition")
    name, filename = _parameter(disposition, "name"), _parameter(disposition, "filename")
    if name is None:
        raise ValueError("a part without a name")
    if filename:
        return name, SentFile(filename, content)
    if segment.content_type is None or segment.content_type.startswith("text/"):
        return name, content.decode(segment.charset or "utf-8")
    return name, content


_PARAMETER = re.compile(r';\s*([^\s;="]+)\s*=\s*("(?:\\.|[^"\\])*"|[^;]*)')


def _parameter(header: str, key: str) -> str | None:
    """Return a parameter of a header by aiohttp's rules, which differ from a browser's.

    ``%22`` is not unquoted, leading slashes are removed, and ``filename*=utf-8''...`` (as aiohttp and older requests
    send names beyond ASCII) overrides ``filename=...``.  Bytes that are not UTF-8 become surrogates.
    """
    text = header.encode("latin-1").decode("utf-8", "surrogateescape")
    found = {name.lower(): value.strip() for name, value in _PARAMETER.findall(text)}
    try:
        charset, _, escaped = found[key + "*"].split("'", 2)
        return unquote(escaped, charset or "utf-8", "strict")
    except (LookupError, ValueError):
        value = found.get(key)
    if value is not None and value.startswith('"'):
        return re.sub(r"\\(.)", r"\1", value[1:-1].lstrip("\\/"))
    return value
