"""Another answer than ComfyUI's own: an error of any status, in anybody's words."""

from __future__ import annotations

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
_SAID = {
    413: "Maximum request body size 104857600 exceeded.",
    500: "500 Internal Server Error\n\nServer got itself in trouble",
}
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TEXT, _JSON = "text/plain; charset=utf-8", "application/json; charset=utf-8"
_FOR_OTHER_ORIGINS = "access-control-"      # a header of ComfyUI's, which aiohttp's own errors do not get
_WORDS = {"error": ("comfyui",), "message": ("aiohttp", "comfyui"), "details": ("comfyui",)}


@effect("status", *EXCHANGE)
class Status(Effect, frozen=True, kw_only=True):
    """Answer with a status of one's own; before the work, it is not done.

    :ivar body: the answer as text.
    :ivar json: the answer as JSON.
    :ivar like: the words where neither is given: ``aiohttp``: plain text, as ComfyUI's server says it; ``comfyui``:
        the object of a refused prompt; ``proxy``: the page of one that stands in front.
    :ivar error: like ComfyUI: the error's type.
    :ivar message: like aiohttp: the text; like ComfyUI: the error's message.  Empty: what they say by themselves.
    :ivar details: like ComfyUI: the error's details.
    :ivar headers: beside the usual ones, or in their place.
    :ivar retry_after: tells the client so in whole seconds.
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
        """Refuse what contradicts itself, and headers that cannot be sent.

        :raises ValueError: naming the key.
        """
        if sum(each is not None for each in (self.body, self.json, self.like)) > 1:
            raise ValueError("body: expected one of body, json and like")
        for key, likes in _WORDS.items():
            if getattr(self, key) is not None and self._like not in likes:
                raise ValueError(f"{key}: has no meaning without like = {' or '.join(map(repr, likes))}")
        for name, value in self.headers.items():
            if not _NAME.fullmatch(name) or any(bad in value for bad in "\r\n\0"):
                raise ValueError(f"headers: {name!r} = {value!r} cannot be sent")

    @property
    def _like(self) -> str | None:
        return (self.like or "aiohttp") if self.body is None and self.json is None else None

    def on_exchange(self, exchange: Exchange, firing: Firing) -> Steps:
        """Answer."""
        own, body = self._content()
        usual = exchange.usual
        if self._like in ("aiohttp", "proxy"):
            usual = tuple(each for each in usual if not each[0].lower().startswith(_FOR_OTHER_ORIGINS))
        exchange.reply = HttpReply(self.status, _merged(usual, own, self._given_headers()), body.encode())
        yield from ()

    def _given_headers(self) -> Headers:
        retry = () if self.retry_after is None else (("Retry-After", str(ceil(self.retry_after / 1000))),)
        return (*retry, *self.headers.items())

    def _content(self) -> tuple[Headers, str]:
        if self.json is not None:
            return (("Content-Type", _JSON),), dumps(self.json)
        if self.body is not None:
            return (("Content-Type", _TEXT),), self.body
        title = f"{self.status} {_REASONS.get(self.status, 'Unknown')}"
        if self._like == "proxy":
            return (("Server", "nginx"), ("Content-Type", "text/html")), _page(title)
        if self._like == "comfyui":
            return (("Content-Type", _JSON),), dumps(self._refusal(title))
        said = _SAID.get(self.status, title.replace(" ", ": ", 1))
        return (("Content-Type", _TEXT),), said if self.message is None else self.message

    def _refusal(self, title: str) -> dict[str, Any]:
        error = {
            "type": self.error or "invalid_prompt",
            "message": self.message or title,
            "details": self.details or "",
            "extra_info": {},
        }
        return {"error": error, "node_errors": {}}


def _merged(*headers: Headers) -> Headers:
    """All of them; of one name the last."""
    found = {name.lower(): (name, value) for each in headers for name, value in each}
    return tuple(found.values())


def _page(title: str) -> str:
    """What a proxy shows a person."""
    head = f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n"
    return f"{head}<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"


@effect("drip", *EXCHANGE, needs_reply=True)
class Drip(Effect, frozen=True, kw_only=True):
    """Send the body in small pieces, whole in the end; status and headers come with the first.

    :ivar piece: how much at once.
    :ivar pieces: into how many, instead.
    :ivar gap: the time before each further one.
    """

    piece: Size | None = None
    pieces: Annotated[int, msgspec.Meta(ge=1)] | None = None
    gap: Duration

    def __post_init__(self) -> None:
        """Refuse what can never come to an end.

        :raises ValueError: naming the key.
        """
        if (self.piece is None) == (self.pieces is None):
            raise ValueError("piece: expected either piece or pieces")
        if self.piece == 0:
            raise ValueError("piece: expected at least 1B")

    def on_exchange(self, exchange: Exchange, firing: Firing) -> Steps:
        """Take time in the middle."""
        assert exchange.reply is not None, "it needs a reply"
        whole = len(exchange.reply.body)
        exchange.piece_bytes = max(1, -(-whole // self.pieces)) if self.pieces is not None else self.piece
        exchange.gap_ms = self.gap
        yield from ()


_HTTP_BYTES = 64


@effect("garbage", *EXCHANGE, needs_reply=True)
class Garbage(Effect, frozen=True, kw_only=True):
    """Send drawn bytes after the work, as many as the body has.

    :ivar what: ``body``: under the true status and headers; ``http``: in place of any HTTP, and then the end of the
        connection.
    """

    what: Literal["body", "http"] = "body"

    def on_exchange(self, exchange: Exchange, firing: Firing) -> Steps:
        """Say something else."""
        assert exchange.reply is not None, "it needs a reply"
        if self.what == "body":
            drawn = firing.chance.randbytes(len(exchange.reply.body))
            exchange.reply = replace(exchange.reply, body=drawn)
        else:
            exchange.raw, exchange.ending = firing.chance.randbytes(_HTTP_BYTES), "close"
        yield from ()


@effect("truncate", *EXCHANGE, needs_reply=True)
class Truncate(Effect, frozen=True, kw_only=True):
    """Send the first part of the body under the whole one's ``Content-Length``, and close the connection.

    :ivar bytes: so much is sent.
    :ivar share: of the body, instead; where neither is given, half of it.
    """

    bytes: Size | None = None
    share: Annotated[float, msgspec.Meta(ge=0, lt=1)] | None = None

    def __post_init__(self) -> None:
        """Refuse two answers to one question.

        :raises ValueError: naming the key.
        """
        if self.bytes is not None and self.share is not None:
            raise ValueError("share: expected bytes or share, not both")

    def on_exchange(self, exchange: Exchange, firing: Firing) -> Steps:
        """Stop in the middle."""
        assert exchange.reply is not None, "it needs a reply"
        whole = len(exchange.reply.body)
        share = 0.5 if self.share is None else self.share
        exchange.body_bytes = int(whole * share) if self.bytes is None else min(whole, self.bytes)
        exchange.ending = "close"
        yield from ()


@effect("wrong_length", *EXCHANGE, needs_reply=True)
class WrongLength(Effect, frozen=True, kw_only=True):
    """Declare more bytes than come, or fewer; the whole body is sent, and the connection closed.

    :ivar by: how many bytes more; below 0: fewer, but not less than none.
    """

    by: int

    def __post_init__(self) -> None:
        """Refuse a length that would be right.

        :raises ValueError: naming the key.
        """
        if self.by == 0:
            raise ValueError("by: expected a number other than 0")

    def on_exchange(self, exchange: Exchange, firing: Firing) -> Steps:
        """Say the wrong number."""
        assert exchange.reply is not None, "it needs a reply"
        exchange.declared_bytes = max(0, len(exchange.reply.body) + self.by)
        exchange.ending = "close"
        yield from ()


@effect("drop", *EXCHANGE, "frame")
class Drop(Effect, frozen=True, kw_only=True):
    """Close the connection without a byte; before the work, it is not done.

    At ``reply`` the work is done and nobody hears of it: a prompt is accepted and never answered.
    """

    def on_exchange(self, exchange: Exchange, firing: Firing) -> Steps:
        """The client sees the end of the connection where the answer should be."""
        exchange.raw, exchange.ending = b"", "close"
        yield from ()

    def on_frame(self, frame: Frame, firing: Firing) -> None:
        """The client does not hear this message; those that follow it does."""
        frame.messages = []


@effect("reset", *EXCHANGE, "frame")
class ResetConnection(Effect, frozen=True, kw_only=True):
    """Reset the connection (RST) in place of the answer, or of a message; before the work, it is not done."""

    def on_exchange(self, exchange: Exchange, firing: Firing) -> Steps:
        """The client sees that its peer reset the connection."""
        exchange.raw, exchange.ending = b"", "reset"
        yield from ()

    def on_frame(self, frame: Frame, firing: Firing) -> None:
        """The websocket is gone without a word, and the message with it."""
        frame.messages, frame.ending = [], "reset"
