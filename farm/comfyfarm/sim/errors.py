"""The two ways in which an instance says no."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class PromptRejected(Exception):
    """ComfyUI answers 400 and says why.

    :ivar body: the JSON of the answer: ``{"error": {...}, "node_errors": {...}}``.
    """

    def __init__(self, body: dict[str, Any]) -> None:
        super().__init__(body)
        self.body = body

    @classmethod
    def because(cls, kind: str, message: str, details: str, **extra_info: object) -> PromptRejected:
        """A refusal that is about the prompt as a whole."""
        error = {"type": kind, "message": message, "details": details, "extra_info": extra_info}
        return cls({"error": error, "node_errors": {}})


class ServerError(Exception):
    """ComfyUI's handler raises here, which its server answers with a plain 500."""


@contextmanager
def raising_as_comfyui() -> Iterator[None]:
    """Read a client's JSON without looking at its types, as ComfyUI does, and fail as it does.

    :raises ServerError: where Python itself raises on such a value.
    """
    try:
        yield
    except (TypeError, ValueError, LookupError, AttributeError, OverflowError, RecursionError) as raised:
        raise ServerError(f"{type(raised).__name__}: {raised}") from raised
