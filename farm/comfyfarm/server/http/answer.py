"""An answer of a ComfyUI route, before it becomes HTTP."""

from collections.abc import Generator
from io import BytesIO
from typing import Any

import msgspec

from comfyfarm.json_text import encode_text

SERVER = b"Python/3.11 aiohttp/3.14.5"
"""The header ``Server`` of a real server."""

CLOSES = ("Connection", "close")
"""The header of an answer after which the server closes the connection."""

_NAMES_IN_A_STEP = 50_000       # about 5 ms
_ERROR_IN_NAMES = 20            # an error takes about as long as so many names


class Answer(msgspec.Struct, frozen=True):
    """A whole answer; with a status only, it has no body and no content type.

    :ivar headers: names and values as text, sent as UTF-8 (as aiohttp does); without ``Content-Length``, which is the
        length of the body (of a HEAD, too).
    :ivar is_raised: aiohttp makes this answer itself, so ComfyUI's middlewares add none of their headers.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    is_raised: bool = False


JSON = (("Content-Type", "application/json; charset=utf-8"),)


def json_answer(body: object, status: int = 200) -> Answer:
    """Return an answer in JSON, with exactly the text of ComfyUI's ``json.dumps``."""
    return encoded_answer(encode_text(body), status)


def encoded_answer(text: str, status: int = 200) -> Answer:
    """Return an answer whose body is JSON already."""
    return Answer(status, JSON, text.encode())


def prompt_text(body: dict[str, Any]) -> Generator[None, None, BytesIO]:
    """Return the JSON of the answer to a ``POST /prompt``, in steps: each faulty node may name thousands of outputs.

    :param body: its last key is ``node_errors``.
    """
    text = BytesIO()
    text.write(encode_text({**body, "node_errors": {}}).removesuffix("}}").encode())
    names, separator = 0, ""
    for node_id, error in body["node_errors"].items():
        dependents = list(error["dependent_outputs"])
        error_text = encode_text({**error, "dependent_outputs": dependents})
        text.write(f"{separator}{encode_text(node_id)}: {error_text}".encode())
        names, separator = names + _ERROR_IN_NAMES + len(dependents), ", "
        if names >= _NAMES_IN_A_STEP:
            names = 0
            yield
    text.write(b"}}")
    return text


def text_answer(status: int, text: str) -> Answer:
    return Answer(status, (("Content-Type", "text/plain; charset=utf-8"),), text.encode())


def aiohttp_answer(status: int, text: str, *headers: tuple[str, str]) -> Answer:
    """Return an answer in plain text that aiohttp itself makes, past ComfyUI's middlewares."""
    content_type = ("Content-Type", "text/plain; charset=utf-8")
    return Answer(status, (content_type, *headers), text.encode(), is_raised=True)
