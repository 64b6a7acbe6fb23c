"""Which headers does a reply get beside its own: for web pages of other origins, and for caches?"""

from __future__ import annotations

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
    """Whose web pages may read replies by ``enable_cors``: ``*`` for anybody's, ``None`` for none of other origins."""
    if isinstance(setting, bool):
        return "*" if setting else None
    return setting


def allow_origin(request: IRequest, origin: str) -> None:
    """Let web pages of an origin read the reply, as under ``--enable-cors-header``."""
    request.setHeader(_ORIGIN, origin.encode())
    for name, value in _FOR_OTHER_ORIGINS:
        request.setHeader(name, value)


def forget_origin(request: IRequest) -> None:
    """Take that back, for a reply that ComfyUI does not get to see."""
    for name in (_ORIGIN, *(name for name, _ in _FOR_OTHER_ORIGINS)):
        request.responseHeaders.removeHeader(name)


def cache_headers(path: bytes, reply: Answer) -> tuple[tuple[str, str], ...]:
    """How long a browser may keep a reply, by the path it was got at; the reply's own headers count more."""
    if reply.is_raised or b"." not in path:
        return ()
    rule = cache_control(unquote(path.decode("utf-8", "replace")))
    if not rule or rule == _NEVER_KEPT:
        return rule
    if reply.status == 404:
        return _NOT_THERE
    return rule if reply.status < 300 or reply.status in _STILL_A_FILE else ()


# ComfyUI sees a file before aiohttp looks at what the client has of it already.
_STILL_A_FILE = (304, 412, 416)


def is_foreign(host: str | None, origin: str | None, site: str | None) -> bool:
    """Whether ComfyUI answers 403.

    :param site: the header ``Sec-Fetch-Site``.
    :raises ValueError: where a name is none that Python's ``urlsplit`` reads; ComfyUI raises, too.
    """
    if site == "cross-site":
        return True
    if host is None or origin is None:
        return False
    here = urlsplit("//" + host.lower())
    there = urlsplit(origin.lower())
    if not here.netloc or not there.netloc or not _is_loopback(here.hostname or ""):
        return False
    # A side without a port is compared by its name only.
    if _port(here.netloc) is None or _port(there.netloc) is None:
        return here.hostname != there.hostname
    return here.netloc != there.netloc


def _is_loopback(name: str) -> bool:
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def _port(netloc: str) -> str | None:
    _, found, port = netloc.rpartition("]")[2].partition(":")
    return port if found else None


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
    """The headers of a file that a browser may show, unless it could run it.

    :param kind: the content type by its name.
    """
    is_active = kind.partition(";")[0] in _ACTIVE
    where = "attachment; " if is_active else ""
    kind = _BINARY if is_active else kind
    return ("Content-Disposition", f"{where}{_named(name)}"), ("Content-Type", kind), _NO_SNIFFING


def as_attachment(name: str, kind: str) -> Headers:
    """The headers of a file that a browser shall only keep."""
    return ("Content-Type", kind), ("Content-Disposition", f"attachment; {_named(name)}"), _NO_SNIFFING


def with_escaped_name(reply: Answer, name: str) -> Answer:
    """The same reply with a name that cannot end its quotes; for one made from a file."""
    headers = [header for header in reply.headers if header[0] != "Content-Disposition"]
    return replace(reply, headers=(("Content-Disposition", _named(name)), *headers))


def _named(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'filename="{escaped}"'
