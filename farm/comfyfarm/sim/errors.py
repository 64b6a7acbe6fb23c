"""The two errors of an instance: ComfyUI rejects the prompt, or ComfyUI's own code raises; any other is comfyfarm's."""

from collections.abc import Iterator
from contextlib import contextmanager
from traceback import extract_tb
from typing import Any, Self

from comfyfarm.events import InternalError

_IN_PACKAGE = "/comfyfarm/"

TOO_DEEP = "maximum recursion depth exceeded"
"""The message of Python's ``RecursionError``."""


class PromptRejected(Exception):
    """ComfyUI answers 400.

    :ivar body: the JSON of the answer: ``{"error": {...}, "node_errors": {...}}``.
    :ivar job: the logical job, once the refusal is published.
    """

    def __init__(self, body: dict[str, Any]) -> None:
        super().__init__(body)
        self.body = body
        self.job = ""

    @classmethod
    def because(cls, kind: str, message: str, details: str, **extra_info: object) -> Self:
        """Return an error about the prompt as a whole."""
        error = {"type": kind, "message": message, "details": details, "extra_info": extra_info}
        return cls({"error": error, "node_errors": {}})


class ServerError(Exception):
    """ComfyUI's handler raises here, and its server answers with a plain 500.

    :ivar job: the logical job, if a prompt was submitted.
    """

    job: str = ""


RAISED_BY_COMFYUI = (TypeError, ValueError, LookupError, AttributeError, OverflowError, RecursionError)
"""What Python raises on values of unexpected types, which ComfyUI does not check."""


def as_server_error(error: Exception, job: str = "") -> ServerError:
    found = ServerError(f"{type(error).__name__}: {error}")
    found.job = job
    return found


@contextmanager
def raising_as_comfyui() -> Iterator[None]:
    """Read a client's JSON without a check of its types, as ComfyUI does.

    :raises ServerError: if Python itself raises on such a value.
    """
    try:
        yield
    except RAISED_BY_COMFYUI as error:
        raise as_server_error(error) from error


def internal_error(error: BaseException, at_ms: int, **place: Any) -> InternalError:
    """Return the event that says that an error of comfyfarm's own was raised.

    :param place: what it was raised at: ``request``, or ``prompt_id`` and ``job``.
    """
    shown = f"{type(error).__name__}: {message_of(error)}"
    return InternalError(at_ms=at_ms, error=shown, raised_at=_origin_of(error), **place)


def message_of(error: BaseException) -> str:
    """Return the message of an exception, without the path that an ``OSError`` names."""
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


def _origin_of(error: BaseException) -> str:
    """Return where in this package an exception was raised, or passed through last: ``sim/memory.py:47``."""
    frames = [(frame.filename.replace("\\", "/"), frame.lineno) for frame in extract_tb(error.__traceback__)]
    own = [f"{file.rpartition(_IN_PACKAGE)[2]}:{line}" for file, line in frames if _IN_PACKAGE in file]
    return own[-1] if own else "unknown"
