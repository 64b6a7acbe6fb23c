"""Which headers does a reply get beside its own: for web pages of other origins, and for caches?"""

from __future__ import annotations

from urllib.parse import unquote

from twisted.web.iweb import IRequest

from .answers import Answer
from .page import cache_control

__all__ = ["allow_origin", "allowed_origin", "cache_headers", "forget_origin"]

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
