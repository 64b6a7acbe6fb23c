"""Requests to a farm's control server as values, and the decorator that makes methods of clients from them.

Nothing is sent here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, cast, overload
from urllib.parse import quote, urlencode

import msgspec

from comfyfarm.clients.comfy_sync import HttpStatusError
from comfyfarm.control.schema import endpoints
from comfyfarm.control.schema.endpoints import Endpoint
from comfyfarm.events import Event
from comfyfarm.events.saved_log import read_events

A = TypeVar("A")
A_co = TypeVar("A_co", covariant=True)
B = TypeVar("B")
P = ParamSpec("P")

_USUAL_S = 10.0
LONG_S = 600.0
"""The timeout of requests that may advance the clock over hours of load, or read a long log."""


@dataclass(frozen=True)
class Call(Generic[A]):
    """One request.

    :ivar path: the endpoint's path with its names filled in, and the query.
    :ivar decode: returns the result for the content of the answer.
    :ivar body: sent as JSON; ``None``: no body.
    :ivar timeout_s: the time to wait for the answer, in real time.
    """

    endpoint: Endpoint[Any]
    path: str
    decode: Callable[[bytes], A]
    body: Mapping[str, Any] | None = None
    timeout_s: float = _USUAL_S

    def decoded_by(self, decode: Callable[[bytes], B]) -> Call[B]:
        """Return the same request with another ``decode``."""
        return Call(self.endpoint, self.path, decode, self.body, self.timeout_s)

    def then(self, change: Callable[[A], B]) -> Call[B]:
        """Return the same request; its decoded result is passed through ``change``."""
        return self.decoded_by(lambda content: change(self.decode(content)))

    def without_result(self) -> Call[None]:
        return self.then(lambda _: None)

    def error(self, error: HttpStatusError) -> Exception:
        """Return the exception to raise for an error status: ``TimeoutError`` if a wait timed out, else ``error``."""
        if self.endpoint is endpoints.WAIT and error.status == 504:
            return TimeoutError(str(error.body["error"]))
        return error


class BlockingClient(Protocol):
    """A client whose methods return their result."""

    def _send(self, request: Call[A]) -> A: ...


class AsyncClient(Protocol):
    """A client whose methods return a coroutine."""

    async def _send(self, request: Call[A]) -> A: ...


class Method(Protocol[P, A_co]):
    """A method of both kinds of client."""

    @overload
    def __get__(self, client: BlockingClient, owner: type) -> Callable[P, A_co]: ...
    @overload
    def __get__(self, client: AsyncClient, owner: type) -> Callable[P, Coroutine[Any, Any, A_co]]: ...


def method(make: Callable[Concatenate[Any, P], Call[A]]) -> Method[P, A]:
    """Make a method that sends the call that ``make`` returns; ``help()`` shows the text and parameters of ``make``."""

    @wraps(make)
    def send(self: Any, *args: P.args, **kwargs: P.kwargs) -> Any:
        return self._send(make(self, *args, **kwargs))

    signature = inspect.signature(make)
    result = signature.return_annotation.removeprefix("Call[").removesuffix("]")
    vars(send)["__signature__"] = signature.replace(return_annotation=result)
    return cast("Method[P, A]", send)


def call(
    endpoint: Endpoint[A],
    body: Mapping[str, Any] | None = None,
    *,
    query: Mapping[str, Any] | None = None,
    timeout_s: float = _USUAL_S,
    **names: str,
) -> Call[A]:
    """Make a request to an endpoint, whose answer is decoded as the table of endpoints says.

    :param query: values that are ``None`` are left out.
    :param names: the values for the names in the endpoint's path.
    """
    path = endpoint.path.format(**{name: quote(value, safe="") for name, value in names.items()})
    parameters = urlencode({key: value for key, value in (query or {}).items() if value is not None})
    decode = partial(msgspec.json.decode, type=endpoint.answer)
    return Call(endpoint, f"{path}?{parameters}" if parameters else path, decode, body, timeout_s)


def format_duration(duration: str | float) -> str:
    """Return a duration as text; a number is seconds."""
    return duration if isinstance(duration, str) else f"{round(duration * 1000)}ms"


def format_durations(**durations: str | float | None) -> dict[str, str]:
    """Return as text those durations that are not ``None``."""
    return {key: format_duration(duration) for key, duration in durations.items() if duration is not None}


def decode_objects(log: bytes) -> list[dict[str, Any]]:
    """Decode each line of a log."""
    return [msgspec.json.decode(line, type=dict[str, Any]) for line in log.splitlines()]


def decode_events(log: bytes) -> list[Event]:
    """Decode each line of a log as an event; kinds that only a newer farm has are left out."""
    return list(read_events(log.splitlines(keepends=True), lambda _what, _seq: None))
