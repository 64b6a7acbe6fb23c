"""Another answer than ComfyUI's own: an error of any status, in anybody's words."""

from __future__ import annotations

import re
from json import dumps
from math import ceil
from typing import Annotated, Any, Literal

import msgspec

from farm.sim.faults.exchange import Exchange, Headers, Reply
from farm.sim.faults.moments import EXCHANGE
from farm.sim.faults.strikes import Story, Strike
from farm.sim.units import Duration

from .base import Effect, effect

__all__ = ["Status"]

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

    def on_exchange(self, exchange: Exchange, strike: Strike) -> Story:
        """Answer."""
        own, body = self._content()
        usual = exchange.usual
        if self._like in ("aiohttp", "proxy"):
            usual = tuple(each for each in usual if not each[0].lower().startswith(_FOR_OTHER_ORIGINS))
        exchange.reply = Reply(self.status, _merged(usual, own, self._given_headers()), body.encode())
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
