"""The headers that ComfyUI adds to an answer: for other origins, for caches, and against script execution."""

from urllib.parse import unquote, urlsplit

from msgspec.structs import replace
from twisted.web.iweb import IRequest

from comfyfarm.config.values import is_loopback
from comfyfarm.server.http.answer import Answer
from comfyfarm.server.http.frontend import cache_control
from comfyfarm.server.http.static_file import Headers
from comfyfarm.versions import Behaviour

_FOR_OTHER_ORIGINS = (
    (b"access-control-allow-methods", b"POST, GET, DELETE, PUT, OPTIONS, PATCH"),
    (b"access-control-allow-headers", b"Content-Type, Authorization"),
    (b"access-control-allow-credentials", b"true"),
)
_ORIGIN = b"access-control-allow-origin"
_NEVER_KEPT = (("Cache-Control", "no-store"),)
_ALWAYS_CHECKED = (("Cache-Control", "no-cache"),)
_NOT_THERE = (("Cache-Control", "public, max-age=3600"),)


def allowed_origin(setting: bool | str) -> str | None:
    """Return the origin whose web pages may read answers by ``enable_cors``; ``*`` for all, ``None`` for no other."""
    if isinstance(setting, bool):
        return "*" if setting else None
    return setting


def allow_origin(request: IRequest, origin: str) -> None:
    """Set the headers of ``--enable-cors-header``, which let web pages of an origin read the answer."""
    request.setHeader(_ORIGIN, origin.encode())
    for name, value in _FOR_OTHER_ORIGINS:
        request.setHeader(name, value)


def forget_origin(request: IRequest) -> None:
    """Remove those headers, for an answer that does not pass ComfyUI's middlewares."""
    for name in (_ORIGIN, *(name for name, _ in _FOR_OTHER_ORIGINS)):
        request.responseHeaders.removeHeader(name)


def cache_headers(path: bytes, reply: Answer, behaviour: Behaviour) -> tuple[tuple[str, str], ...]:
    """Return the caching headers of an answer by its path; the answer's own headers override them."""
    if reply.is_raised or b"." not in path:
        return ()
    rule = cache_control(unquote(path.decode("utf-8", "replace")), behaviour)
    if not rule or rule in (_NEVER_KEPT, _ALWAYS_CHECKED):
        return rule
    if reply.status == 404:
        return _NOT_THERE if behaviour.caches_missing_pictures else ()
    return rule if reply.status < 300 or reply.status in _STILL_A_FILE else ()


# ComfyUI sets the headers before aiohttp evaluates the conditions of the request.
_STILL_A_FILE = (304, 412, 416)


def is_foreign(host: str | None, origin: str | None, site: str | None) -> bool:
    """Return whether ComfyUI answers 403, because a web page of another site sends this request.

    :param site: the header ``Sec-Fetch-Site``.
    :raises ValueError: if Python's ``urlsplit`` cannot parse a name or a port; ComfyUI raises, too.
    """
    if site == "cross-site":
        return True
    if host is None or origin is None:
        return False
    here = urlsplit("//" + host.lower())
    there = urlsplit(origin.lower())
    # If one side has no port, only the names are compared.  To read a port that is no number raises.
    has_no_port = None in (here.port, there.port)
    if not here.netloc or not there.netloc or not is_loopback(here.hostname or ""):
        return False
    if has_no_port:
        return here.hostname != there.hostname
    return here.netloc != there.netloc


_BINARY = "application/octet-stream"
_NO_SNIFFING = ("X-Content-Type-Options", "nosniff")
_ACTIVE = ("text/css", "text/html", "message/rfc822")
_SVG = "image/svg+xml"
_BY_DESTINATION = (("Vary", "Sec-Fetch-Dest"), _NEVER_KEPT[0])


def shielding_headers(name: str, kind: str, destination: str | None, behaviour: Behaviour) -> Headers:
    """Return the headers of a file that a browser may show; if it could run the file, it shall save it instead.

    :param kind: the content type by the file's name.
    :param destination: the header ``Sec-Fetch-Dest``: what the browser wants the file for.
    """
    plain = ("Content-Disposition", _filename(name)), ("Content-Type", kind), _NO_SNIFFING
    if not _is_active(kind):
        return plain
    varying = _BY_DESTINATION if behaviour.varies_by_destination else ()
    if varying and kind == _SVG and destination == "image":
        return (*plain, *varying)
    attachment = ("Content-Disposition", f"attachment; {_filename(name)}"), ("Content-Type", _BINARY), _NO_SNIFFING
    return (*attachment, *varying)


def _is_active(kind: str) -> bool:
    """Return whether a browser would run a file of this content type."""
    plain = kind.partition(";")[0]
    return plain in _ACTIVE or plain.endswith(("+xml", "/xml", "javascript", "ecmascript"))


def as_attachment(kind: str) -> Headers:
    """Return the headers of a user's file, which a browser shall only save."""
    shown = _BINARY if _is_active(kind) else kind
    return ("Content-Type", shown), ("Content-Disposition", "attachment"), _NO_SNIFFING


USER_STYLE = ("Content-Type", "text/css"), ("Content-Disposition", "inline"), _NO_SNIFFING
"""The headers of the user's own style sheet, which the page loads."""


def with_escaped_name(reply: Answer, name: str) -> Answer:
    """Return the answer with the quotes in its file name escaped."""
    headers = [header for header in reply.headers if header[0] != "Content-Disposition"]
    return replace(reply, headers=(("Content-Disposition", _filename(name)), *headers))


def _filename(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'filename="{escaped}"'
