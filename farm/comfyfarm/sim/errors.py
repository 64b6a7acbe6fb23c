"""The two errors of an instance: ComfyUI rejects the prompt, or ComfyUI's own code raises."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self


class PromptRejected(Exception):
    """ComfyUI answers 400.

    :ivar body: the JSON of the answer: ``{"error": {...}, "node_errors": {...}}``.
    """

    def __init__(self, body: dict[str, Any]) -> None:
        super().__init__(body)
        self.body = body

    @classmethod
    def because(cls, kind: str, message: str, details: str, **extra_info: object) -> Self:
        """Return an error about the prompt as a whole."""
        error = {"type": kind, "message": message, "details": details, "extra_info": extra_info}
        return cls({"error": error, "node_errors": {}})


class ServerError(Exception):
    """ComfyUI's handler raises here, and its server answers with a plain 500."""


@contextmanager
def raising_as_comfyui() -> Iterator[None]:
    """Read a client's JSON without a check of its types, as ComfyUI does.

    :raises ServerError: if Python itself raises on such a value.
    """
    try:
        yield
    except (TypeError, ValueError, LookupError, AttributeError, OverflowError, RecursionError) as error:
        raise ServerError(f"{type(error).__name__}: {error}") from error
