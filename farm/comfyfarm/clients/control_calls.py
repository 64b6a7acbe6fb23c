"""One request to a farm's control server as a value, made for an endpoint of the table; nothing is sent here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from comfyfarm.clients.errors import HttpStatusError
from comfyfarm.control.schema import endpoints
from comfyfarm.control.schema.endpoints import Endpoint
from comfyfarm.events import Event
from comfyfarm.events.saved_log import read_events

A = TypeVar("A")
B = TypeVar("B")

_USUAL_S = 10.0
LONG_S = 600.0
"""How long a move over hours of load may take, or a look at a long log."""


@dataclass(frozen=True)
class Call(Generic[A]):
    """One request.

    :ivar path: with its names filled in, and the query.
    :ivar decode: makes the result of the answer's content.
    :ivar body: sent as JSON; ``None``: there is none.
    :ivar timeout_s: how long to wait for the answer, in real time.
    """

    endpoint: Endpoint[Any]
    path: str
    decode: Callable[[bytes], A]
    body: Mapping[str, Any] | None = None
    timeout_s: float = _USUAL_S

    def decoded_by(self, decode: Callable[[bytes], B]) -> Call[B]:
        """Return the same request, whose answer is decoded in another way."""
        return Call(self.endpoint, self.path, decode, self.body, self.timeout_s)

    def then(self, change: Callable[[A], B]) -> Call[B]:
        """Return the same request, whose result is changed after decoding."""
        return self.decoded_by(lambda content: change(self.decode(content)))

    def error(self, refused: HttpStatusError) -> Exception:
        """Return what is raised for an error status: ``TimeoutError`` if a wait was not met, else the same."""
        if self.endpoint is endpoints.WAIT and refused.status == 504:
            return TimeoutError(str(refused.body["error"]))
        return refused


def call(
    endpoint: Endpoint[A],
    body: Mapping[str, Any] | None = None,
    *,
    query: Mapping[str, Any] | None = None,
    timeout_s: float = _USUAL_S,
    **names: str,
) -> Call[A]:
    """Make a request whose answer is decoded as the table says.

    :param query: values that are ``None`` are left out.
    :param names: those in the endpoint's path.
    """
    path = endpoint.path.format(**{name: quote(value, safe="") for name, value in names.items()})
    given = urlencode({key: value for key, value in (query or {}).items() if value is not None})
    decode = partial(msgspec.json.decode, type=endpoint.answer)
    return Call(endpoint, f"{path}?{given}" if given else path, decode, body, timeout_s)


def written(duration: str | float) -> str:
    """Write a duration as the farm reads it; a number is seconds."""
    return duration if isinstance(duration, str) else f"{round(duration * 1000)}ms"


def durations(**given: str | float | None) -> dict[str, str]:
    """Write those durations that are not ``None``."""
    return {key: written(duration) for key, duration in given.items() if duration is not None}


def as_objects(log: bytes) -> list[dict[str, Any]]:
    """Decode each line of a log."""
    return [msgspec.json.decode(line, type=dict[str, Any]) for line in log.splitlines()]


def as_events(log: bytes) -> list[Event]:
    """Decode each line of a log as an event; those of a kind that only a newer farm knows are left out."""
    return list(read_events(log.splitlines(keepends=True), lambda _what, _seq: None))
