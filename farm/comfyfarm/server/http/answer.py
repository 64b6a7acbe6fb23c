"""What does a ComfyUI route say back, before it becomes HTTP?"""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    """A whole reply.

    :ivar headers: names and values as text, to be sent as UTF-8 the way aiohttp does; without ``Content-Length``,
        which is the length of the body (of a HEAD, too).
    :ivar is_raised: aiohttp says this itself, past ComfyUI, which adds none of its own headers then.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    is_raised: bool = False


def json_answer(body: object, status: int = 200) -> Answer:
    """A reply in JSON, in exactly the text that ComfyUI's ``json.dumps`` gives."""
    return Answer(status, (("Content-Type", "application/json; charset=utf-8"),), json.dumps(body).encode())


def text_answer(text: str, status: int, *headers: tuple[str, str], is_raised: bool = False) -> Answer:
    """A reply in plain text."""
    kind = ("Content-Type", "text/plain; charset=utf-8")
    return Answer(status, (kind, *headers), text.encode(), is_raised=is_raised)


def empty(status: int) -> Answer:
    """A reply that is a status only: no body, no content type."""
    return Answer(status)
