"""The headers that ComfyUI adds to an answer: for other origins, for caches, and against script execution."""

from dataclasses import replace
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

from twisted.web.iweb import IRequest

from comfyfarm.server.http.answer import Answer
from comfyfarm.server.http.frontend import cache_control
from comfyfarm.server.http.static_file import Headers

_FOR_OTHER_ORIGINS = (
    (b"access-control-allow-methods", b"POST, GET, DELETE, PUT, OPTIONS, PATCH"),
    (b"access-control-allow-headers", b"Content-Type, Authorization"),
    (b"access-control-allow-credentials", b"true"),
)
_ORIGIN = b"access-control-allow-origin"
_NEVER_KEPT = (("Cache-Control", "no-store"),)
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


def cache_headers(path: bytes, reply: Answer) -> tuple[tuple[str, str], ...]:
    """Return the caching headers of an answer by its path; the answer's own headers override them."""
    if reply.is_raised or b"." not in path:
        return ()
    rule = cache_control(unquote(path.decode("utf-8", "replace")))
    if not rule or rule == _NEVER_KEPT:
        return rule
    if reply.status == 404:
        return _NOT_THERE
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
    if not here.netloc or not there.netloc or not _is_loopback(here.hostname or ""):
        return False
    if has_no_port:
        return here.hostname != there.hostname
    return here.netloc != there.netloc


def _is_loopback(name: str) -> bool:
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


_BINARY = "application/octet-stream"
_NO_SNIFFING = ("X-Content-Type-Options", "nosniff")
_ACTIVE = frozenset({
    "application/javascript",
    "application/xhtml+xml",
    "application/xml",
    "image/svg+xml",
    "text/css",
    "text/html",
    "text/javascript",
    "text/xml",
})


def active_as_attachment(name: str, kind: str) -> Headers:
    """Return the headers of a file that a browser may show; if it could run the file, it shall save it instead.

    :param kind: the content type by the file's name.
    """
    is_active = kind.partition(";")[0] in _ACTIVE
    disposition = "attachment; " if is_active else ""
    kind = _BINARY if is_active else kind
    return ("Content-Disposition", f"{disposition}{_filename(name)}"), ("Content-Type", kind), _NO_SNIFFING


def as_attachment(name: str, kind: str) -> Headers:
    """Return the headers of a file that a browser shall only save."""
    return ("Content-Type", kind), ("Content-Disposition", f"attachment; {_filename(name)}"), _NO_SNIFFING


def with_escaped_name(reply: Answer, name: str) -> Answer:
    """Return the answer with the quotes in its file name escaped."""
    headers = [header for header in reply.headers if header[0] != "Content-Disposition"]
    return replace(reply, headers=(("Content-Disposition", _filename(name)), *headers))


def _filename(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'filename="{escaped}"'
