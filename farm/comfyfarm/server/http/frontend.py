"""What does the folder of a web page answer to a path, given out the way aiohttp gives out a folder?

ComfyUI's own page is PyPI's ``comfyui-frontend-package``, which the extra ``comfyfarm[frontend]`` brings.  It is
served as it is, never copied.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path, PurePosixPath

from comfyfarm.server.http.answer import Answer
from comfyfarm.server.http.static_file import Ask, ByteRange, choose
from comfyfarm.sim.errors import ServerError

NOT_KEPT = (("Cache-Control", "no-store, must-revalidate"), ("Pragma", "no-cache"), ("Expires", "0"))
"""The headers of ``GET /``: a newer page has other scripts."""

_BINARY = "application/octet-stream"

# What aiohttp knows on Python 3.11; a later Python would know the fonts and .webp too, and have text/javascript.
_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".ico": "image/vnd.microsoft.icon",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".js": "application/javascript",
    ".json": "application/json",
    ".mjs": "application/javascript",
    ".mp3": "audio/mpeg",
    ".mp4": "video/mp4",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
    ".wasm": "application/wasm",
    ".webm": "video/webm",
    ".xml": "text/xml",
}

# The folders that ComfyUI's page has, and so answers for, at its top.
_FOLDERS = frozenset({"assets", "cursor", "extensions", "fonts", "scripts"})

# A server has these files from a package of example workflows; here it holds none.
_NO_TEMPLATES = {
    "/templates/index.json": b"[]",
    "/templates/index_logo.json": b"{}",
    "/templates/fuse_options.json": b"null",    # how to search them: as the page likes
}

_NEVER_KEPT = re.compile(r"\.(js|css)$|(^|/)index[^/]*\.json$")
_PICTURE = re.compile(r"\.(jpe?g|png|ppm|bmp|pgm|tiff?|webp)$")


@dataclass(frozen=True)
class Found:
    """A file of the page, or a part of it.

    :ivar head: the answer without its body.
    """

    place: Path
    head: Answer
    part: ByteRange


@cache
def frontend() -> Path | None:
    """The folder of ComfyUI's own page; ``None`` where the extra is not installed."""
    try:
        package = files("comfyui_frontend_package")     # imported here at the earliest, for few need it
    except ModuleNotFoundError:
        return None
    return Path(str(package.joinpath("static"))).resolve()


def look_up(root: Path | None, path: str, method: str, ask: Ask) -> Found | Answer:
    """What a path of the page gives: a file, or the whole answer where it gives none.

    :param root: of the page; ``None``: the page is not there, and its folders are all empty.
    :param path: unquoted, with its slash in front.
    :param ask: the request's headers.
    :raises ServerError: where aiohttp would fail.
    """
    if (templates := _NO_TEMPLATES.get(path)) is not None:
        return Answer(200, (("Content-Type", "application/json"),), templates)
    if root is None:
        is_folder = path.strip("/") in _FOLDERS
        return _refused(403, "Forbidden") if is_folder else nothing_there(path, method)
    place = _place(root, path)
    if isinstance(place, Answer):
        return place
    head, part = choose(place, (), ask)
    head = replace(head, headers=(*_content_type(place, head.status, method), *head.headers, *cache_control(path)))
    return head if part is None else Found(place, head, part)


def nothing_there(path: str, method: str) -> Answer:
    """The page has no such file."""
    return Answer(404, (*_content_type(Path(path), 404, method), *cache_control(path)))


def cache_control(path: str) -> tuple[tuple[str, str], ...]:
    """How long a browser may keep what it got at a path, by the last letters of the path.

    A file that is not there counts as one that is, for ComfyUI decides before it looks.
    """
    if _NEVER_KEPT.search(path):
        return (("Cache-Control", "no-store"),)
    return (("Cache-Control", "public, max-age=86400"),) if _PICTURE.search(path) else ()


def extension_scripts(root: Path) -> list[str]:
    """The paths of the scripts that the page loads beside its own."""
    return [f"/{script.relative_to(root).as_posix()}" for script in sorted((root / "extensions").rglob("*.js"))]


def _place(root: Path, path: str) -> Path | Answer:
    """The file that is meant, be it there or not, or why there can be none."""
    try:
        place = root.joinpath(path.removeprefix("/")).resolve()
        if not place.is_relative_to(root):
            return _refused(404, "Not Found")
        return _refused(403, "Forbidden") if place.is_dir() else place
    except PermissionError:
        return _refused(403, "Forbidden")
    except (ValueError, RuntimeError):      # a name with a NUL, a link to itself
        return _refused(404, "Not Found")
    except OSError as why:      # too long a name
        raise ServerError(str(why)) from why


def _content_type(path: Path, status: int, method: str) -> tuple[tuple[str, str], ...]:
    """The header, where there is one: aiohttp names the type of a body that is empty, too, but not to HEAD."""
    if status in (200, 206):
        return (("Content-Type", _TYPES.get(PurePosixPath(path.name).suffix.lower(), _BINARY)),)
    return (("Content-Type", _BINARY),) if status in (404, 416) and method != "HEAD" else ()


def _refused(status: int, reason: str) -> Answer:
    """What aiohttp says itself, and so without the headers that ComfyUI adds."""
    headers = (("Content-Type", "text/plain; charset=utf-8"),)
    return Answer(status, headers, f"{status}: {reason}".encode(), is_raised=True)
