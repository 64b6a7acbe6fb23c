"""Effects on HTTP responses: another status or body, a broken or slow transfer, no response at all."""

import re
from dataclasses import replace
from json import dumps
from math import ceil
from typing import Annotated, Any, Literal

import msgspec

from comfyfarm.faults.fault import Effect, Firing, effect
from comfyfarm.faults.pauses import Steps
from comfyfarm.faults.phases import EXCHANGE
from comfyfarm.faults.targets import Exchange, Frame, Headers, HttpReply
from comfyfarm.units import Duration, Size

_REASONS = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    409: "Conflict",
    413: "Request Entity Too Large",
    422: "Unprocessable Entity",
    429: "Too Many Requests",
    500: "Internal Server Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    507: "Insufficient Storage",
}
_AIOHTTP_TEXTS = {      # of the statuses whose text is more than the reason
    413: "Maximum request body size 104857600 exceeded.",
    500: "500 Internal Server Error\n\nServer got itself in trouble",
}
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TEXT, _JSON = "text/plain; charset=utf-8", "application/json; charset=utf-8"
_CORS_PREFIX = "access-control-"        # ComfyUI adds these headers, but not to aiohttp's own errors
_LIKES = {"error": ("comfyui",), "message": ("aiohttp", "comfyui"), "details": ("comfyui",)}
_GARBAGE_BYTES = 64


@effect("status", *EXCHANGE)
class Status(Effect, frozen=True, kw_only=True):
    """Respond with another status; before the work, the work is not done.

    :ivar body: the response as text.
    :ivar json: the response as JSON.
    :ivar like: the response if neither is set: ``aiohttp``: plain text, as from ComfyUI's server; ``comfyui``: the
        object of a refused prompt; ``proxy``: the page of a proxy in front of the server.
    :ivar error: like ComfyUI: the type of the error.
    :ivar message: like aiohttp: the text; like ComfyUI: the message of the error; ``None``: their own.
    :ivar details: like ComfyUI: the details of the error.
    :ivar headers: more headers, which replace default ones of the same name.
    :ivar retry_after: sent in whole seconds as ``Retry-After``.
    """

    status: Annotated[int, msgspec.Meta(ge=100, le=599)]
    body: str | None = None
    json: dict[str, Any] | None = None
    like: Literal["aiohttp", "comfyui", "proxy"] | None = None
    error: str | None = None
    message: str | None = None
    details: str | None = None
    headers: dict[str, str] = {}  # noqa: RUF012 (msgspec copies an empty default)
    retry_after: Duration | None = None

    def __post_init__(self) -> None:
        if sum(content is not None for content in (self.body, self.json, self.like)) > 1:
            raise ValueError("body: expected one of body, json and like")
        for key, likes in _LIKES.items():
            if getattr(self, key) is not None and self._like not in likes:
                raise ValueError(f"{key}: has no meaning without like = {' or '.join(map(repr, likes))}")
        for name, value in self.headers.items():
            if not _HEADER_NAME.fullmatch(name) or any(bad in value for bad in "\r\n\0"):
                raise ValueError(f"headers: {name!r} = {value!r} cannot be sent")

    @property
    def _like(self) -> str | None:
        return (self.like or "aiohttp") if self.body is None and self.json is None else None

    def on_exchange(self, exchange: Exchange, firing: Firing) -> Steps:
        content_headers, body = self._content()
        defaults = exchange.default_headers
        if self._like in ("aiohttp", "proxy"):
            defaults = tuple(header for header in defaults if not header[0].lower().startswith(_CORS_PREFIX))
        retry = () if self.retry_after is None else (("Retry-After", str(ceil(self.retry_after / 1000))),)
        headers = _merged(defaults, content_headers, retry, tuple(self.headers.items()))
        exchange.reply = HttpReply(self.status, headers, body.encode())
        yield from ()

    def _content(self) -> tuple[Headers, str]:
        if self.json is not None:
            return (("Content-Type", _JSON),), dumps(self.json)
        if self.body is not None:
            return (("Content-Type", _TEXT),), self.body
        title = f"{self.status} {_REASONS.get(self.status, 'Unknown')}"
        if self._like == "proxy":
            return (("Server", "nginx"), ("Content-Type", "text/html")), _proxy_page(title)
        if self._like == "comfyui":
            error = {
                "type": self.error or "invalid_prompt",
                "message": self.message or title,
                "details": self.details or "",
                "extra_info": {},
            }
            return (("Content-Type", _JSON),), dumps({"error": error, "node_errors": {}})
        default = _AIOHTTP_TEXTS.get(self.status, title.replace(" ", ": ", 1))
        return (("Content-Type", _TEXT),), default if self.message is None else self.message


def _merged(*groups: Headers) -> Headers:
    """Return the headers of all groups; of several with one name, the last."""
    found = {name.lower(): (name, value) for headers in groups for name, value in headers}
    return tuple(found.values())


def _proxy_page(title: str) -> str:
    head = f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n"
    return f"{head}<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"


@effect("drip", *EXCHANGE, needs_reply=True)
class Drip(Effect, frozen=True, kw_only=True):
    """Send the whole body in small pieces; status and headers go out with the first.

    :ivar piece: the size of a piece.
    :ivar pieces: the number of pieces, instead.
    :ivar gap: the time before each further piece.
    """

    piece: Size | None = None
    pieces: Annotated[int, msgspec.Meta(ge=1)] | None = None
    gap: Duration

    def __post_init__(self) -> None:
        if (self.piece is None) == (self.pieces is None):
            raise ValueError("piece: expected either piece or pieces")
        if self.piece == 0:
            raise ValueError("piece: expected at least 1B")

    def on_exchange(self, exchange: Exchange, firing: Firing) -> Steps:
        whole = len(_reply(exchange).body)
        exchange.piece_bytes = max(1, -(-whole // self.pieces)) if self.pieces is not None else self.piece
        exchange.gap_ms = self.gap
        yield from ()


@effect("garbage", *EXCHANGE, needs_reply=True)
class Garbage(Effect, frozen=True, kw_only=True):
    """Do the work, and send random bytes instead of the response.

    :ivar what: ``body``: instead of the body, in its length; ``http``: instead of everything, and then the connection
        is closed.
    """

    what: Literal["body", "http"] = "body"

    def on_exchange(self, exchange: Exchange, firing: Firing) -> Steps:
        reply = _reply(exchange)
        if self.what == "body":
            exchange.reply = replace(reply, body=firing.chance.randbytes(len(reply.body)))
        else:
            exchange.raw, exchange.ending = firing.chance.randbytes(_GARBAGE_BYTES), "close"
        yield from ()


@effect("truncate", *EXCHANGE, needs_reply=True)
class Truncate(Effect, frozen=True, kw_only=True):
    """Send the first part of the body under the ``Content-Length`` of the whole, and close the connection.

    :ivar bytes: how much is sent.
    :ivar share: the share that is sent, instead; without either, half of the body.
    """

    bytes: Size | None = None
    share: Annotated[float, msgspec.Meta(ge=0, lt=1)] | None = None

    def __post_init__(self) -> None:
        if self.bytes is not None and self.share is not None:
            raise ValueError("share: expected bytes or share, not both")

    def on_exchange(self, exchange: Exchange, firing: Firing) -> Steps:
        whole = len(_reply(exchange).body)
        share = 0.5 if self.share is None else self.share
        exchange.body_bytes = int(whole * share) if self.bytes is None else min(whole, self.bytes)
        exchange.ending = "close"
        yield from ()


@effect("wrong_length", *EXCHANGE, needs_reply=True)
class WrongLength(Effect, frozen=True, kw_only=True):
    """Send a wrong ``Content-Length`` and the whole body, and close the connection.

    :ivar by: how many bytes too many; below 0: too few, though the length never falls below 0.
    """

    by: int

    def __post_init__(self) -> None:
        if self.by == 0:
            raise ValueError("by: expected a number other than 0")

    def on_exchange(self, exchange: Exchange, firing: Firing) -> Steps:
        exchange.declared_bytes = max(0, len(_reply(exchange).body) + self.by)
        exchange.ending = "close"
        yield from ()


def _reply(exchange: Exchange) -> HttpReply:
    assert exchange.reply is not None, "the effect needs a reply"
    return exchange.reply


@effect("drop", *EXCHANGE, "frame")
class Drop(Effect, frozen=True, kw_only=True):
    """Close the connection without sending a byte, or leave one websocket message out; before the work, it is not done.

    At ``reply`` the work is done and the client does not learn it: a prompt is accepted and never answered.
    """

    def on_exchange(self, exchange: Exchange, firing: Firing) -> Steps:
        exchange.raw, exchange.ending = b"", "close"
        yield from ()

    def on_frame(self, frame: Frame, firing: Firing) -> None:
        frame.messages = []


@effect("reset", *EXCHANGE, "frame")
class ResetConnection(Effect, frozen=True, kw_only=True):
    """Reset the connection (RST) instead of sending the response or the message; before the work, it is not done."""

    def on_exchange(self, exchange: Exchange, firing: Firing) -> Steps:
        exchange.raw, exchange.ending = b"", "reset"
        yield from ()

    def on_frame(self, frame: Frame, firing: Firing) -> None:
        frame.messages, frame.ending = [], "reset"
