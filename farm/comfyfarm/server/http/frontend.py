"""The web page of an instance: ComfyUI's own page, served as aiohttp serves a folder, or a small page instead of it.

ComfyUI's own page is PyPI's ``comfyui-frontend-package``, which the extra ``comfyfarm[frontend]`` installs.  It is
served from there, never copied; so are the example workflows of ``comfyui-workflow-templates`` and the help pages of
``comfyui-embedded-docs``, if they are installed.
"""

import re
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.metadata import distributions
from importlib.resources import files
from pathlib import Path, PurePosixPath
from string import Template
from urllib.parse import quote

from msgspec.structs import replace

from comfyfarm.config import InstanceConfig
from comfyfarm.server.http.answer import Answer, aiohttp_answer
from comfyfarm.server.http.static_file import Ask, ByteRange, choose
from comfyfarm.server.stat_cache import regular_file
from comfyfarm.sim.errors import ServerError
from comfyfarm.versions import DEFAULT_BEHAVIOUR, Behaviour

_BINARY = "application/octet-stream"
_TEMPLATE_PACKAGES = "comfyui_workflow_templates"      # and what begins so

# The types of aiohttp on Python 3.11; a later Python has also the fonts and .webp, and text/javascript.
_TYPES = {
    ".css": "text/css",
    ".gif": "image/gif",
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
    ".wav": "audio/x-wav",
    ".webm": "video/webm",
    ".xml": "text/xml",
}

# The top folders of ComfyUI's page: a folder is answered with a 403.
_FOLDERS = frozenset({"assets", "cursor", "extensions", "fonts", "scripts"})

# What the page reads of the example workflows, if none are installed.
_EMPTY_TEMPLATES = {
    "/templates/index.json": b"[]",
    "/templates/index_logo.json": b"{}",
    "/templates/fuse_options.json": b"null",    # search options: the page's defaults
}

_NEVER_KEPT = re.compile(r"\.(js|css)$|(^|/)index[^/]*\.json$")
_PICTURE = re.compile(r"\.(jpe?g|png|ppm|bmp|pgm|tiff?|webp)$")


@dataclass(frozen=True)
class Found:
    """A file of the page, or a range of it.

    :ivar head: the answer without its body.
    """

    path: Path
    head: Answer
    part: ByteRange


@cache
def frontend() -> Path | None:
    """Return the folder of ComfyUI's own page; ``None`` if the extra is not installed."""
    return _folder_in("comfyui_frontend_package", "static")


@cache
def help_pages() -> Path | None:
    """Return the folder of the help pages of nodes; ``None`` if they are not installed."""
    return _folder_in("comfyui_embedded_docs", "docs")


@cache
def templates() -> tuple[Path, ...]:
    """Return the folders with example workflows; they are spread over several packages."""
    names = {(distribution.name or "").lower().replace("-", "_") for distribution in distributions()}
    folders = (_folder_in(name, "templates") for name in sorted(names) if name.startswith(_TEMPLATE_PACKAGES))
    return tuple(folder for folder in folders if folder is not None and folder.is_dir())


def _folder_in(package: str, name: str) -> Path | None:
    """Return a folder of a package; ``None`` if the package is not installed."""
    try:
        return Path(str(files(package).joinpath(name))).resolve()     # imported here, because few need it
    except ModuleNotFoundError:
        return None


def locate(path: str) -> tuple[Path | None, str]:
    """Return the folder that a path is served from, and the path in it.

    :param path: unquoted, with its leading slash.
    :returns: the folder is ``None`` if the page is not installed.
    """
    if (docs := help_pages()) is not None and path.startswith("/docs/"):
        return docs, path.removeprefix("/docs")
    if path.startswith("/templates/"):
        inside = path.removeprefix("/templates")
        for folder in templates():
            if regular_file(folder / inside.removeprefix("/")) is not None:
                return folder, inside
    return frontend(), path


def look_up(
    root: Path | None, path: str, method: str, ask: Ask, behaviour: Behaviour = DEFAULT_BEHAVIOUR
) -> Found | Answer:
    """Return the file at a path of a folder, or a whole answer if there is none to send.

    :param root: the folder; ``None`` if the page is not installed.
    :param path: unquoted, with its leading slash.
    :param ask: returns a header of the request.
    :raises ServerError: if aiohttp would fail.
    """
    if (templates := _EMPTY_TEMPLATES.get(path)) is not None:
        return Answer(200, (("Content-Type", "application/json"),), templates)
    if root is None:
        if path.strip("/") in _FOLDERS:
            return aiohttp_answer(403, "403: Forbidden")
        return Answer(404, (*_content_type(Path(path), 404, method), *_cache_control(path, 404, behaviour)))
    file = _resolve(root, path)
    if isinstance(file, Answer):
        return file
    head, part = choose(file, (), ask)
    caching = _cache_control(path, head.status, behaviour)
    head = replace(head, headers=(*_content_type(file, head.status, method), *head.headers, *caching))
    return head if part is None else Found(file, head, part)


def page_caching(behaviour: Behaviour) -> tuple[tuple[str, str], ...]:
    """Return the headers of ``GET /``, which is not to be kept: a newer page loads other scripts."""
    rule = "no-store, must-revalidate" if behaviour.forbids_storing_scripts else "no-cache"
    return ("Cache-Control", rule), ("Pragma", "no-cache"), ("Expires", "0")


def _cache_control(path: str, status: int, behaviour: Behaviour) -> tuple[tuple[str, str], ...]:
    if status == 404 and not behaviour.caches_missing_pictures and _PICTURE.search(path):
        return ()
    return cache_control(path, behaviour)


def cache_control(path: str, behaviour: Behaviour) -> tuple[tuple[str, str], ...]:
    """Return the caching headers for a path, by its suffix; ComfyUI sets them also if there is no such file."""
    if _NEVER_KEPT.search(path):
        return (("Cache-Control", "no-store" if behaviour.forbids_storing_scripts else "no-cache"),)
    return (("Cache-Control", "public, max-age=86400"),) if _PICTURE.search(path) else ()


def extension_scripts(root: Path) -> list[str]:
    """Return the paths of the extension scripts that the page loads."""
    return [f"/{script.relative_to(root).as_posix()}" for script in sorted((root / "extensions").rglob("*.js"))]


def _resolve(root: Path, path: str) -> Path | Answer:
    """Return the file for a path, whether or not it exists, or the answer if there can be none."""
    try:
        file = root.joinpath(path.removeprefix("/")).resolve()
        # A link that is left is one to itself: resolve() raises RuntimeError for it before Python 3.13 only.
        if not file.is_relative_to(root) or any(parent.is_symlink() for parent in (file, *file.parents)):
            return aiohttp_answer(404, "404: Not Found")
        return aiohttp_answer(403, "403: Forbidden") if file.is_dir() else file
    except PermissionError:
        return aiohttp_answer(403, "403: Forbidden")
    except (ValueError, RuntimeError):      # a name with a NUL, a link to itself
        return aiohttp_answer(404, "404: Not Found")
    except OSError as error:    # too long a name
        raise ServerError(str(error)) from error


def _content_type(path: Path, status: int, method: str) -> tuple[tuple[str, str], ...]:
    """Return the header, or nothing: aiohttp sends the type of an empty body, too, but not for a HEAD."""
    if status in (200, 206):
        return (("Content-Type", _TYPES.get(PurePosixPath(path.name).suffix.lower(), _BINARY)),)
    return (("Content-Type", _BINARY),) if status in (404, 416) and method != "HEAD" else ()


# The page says that ranges are accepted, as the real page does; a request for a range gets the whole page.
_WELCOME_HEADERS = (("Content-Type", "text/html"), ("Accept-Ranges", "bytes"))

_MODES = {
    "static": "every job answers with this picture, and no file is written",
    "dynamic": "every job writes a new picture under a name of its own",
}


def welcome_page(config: InstanceConfig, picture_name: str) -> Answer:
    """Return the small page that an instance shows at ``/`` if ComfyUI's own page is not installed.

    :param picture_name: the name of the input picture.
    """
    facts = {
        "name": config.name,
        "mode": config.mode,
        "meaning": _MODES[config.mode],
        "version": config.comfyui_version,
        "picture": quote(picture_name),
    }
    page = _welcome_template().substitute({key: escape(value) for key, value in facts.items()})
    return Answer(200, _WELCOME_HEADERS, page.encode())


@cache
def _welcome_template() -> Template:
    return Template(files("comfyfarm.config.recorded").joinpath("welcome.html").read_text("utf-8"))
