"""What a body is that was delivered, as the tests themselves see it."""

from __future__ import annotations

from io import BytesIO
from json import loads

from PIL import Image

PNG_END = b"IEND\xaeB`\x82"
"""The last bytes of every PNG; most programs open one that lacks a few of them."""


def seed_in(body: bytes) -> int | None:
    """Return the seed in the prompt that ComfyUI stores in a picture; ``None`` if it is no whole picture of a job."""
    if not body.endswith(PNG_END):
        return None
    try:
        with Image.open(BytesIO(body)) as image:
            image.load()
            return int(loads(image.info["prompt"])["3"]["inputs"]["seed"])
    except (OSError, SyntaxError, KeyError, ValueError, TypeError):
        return None


def is_whole(body: bytes) -> bool:
    """Return whether it is a picture that can be opened."""
    try:
        with Image.open(BytesIO(body)) as image:
            image.load()
    except (OSError, SyntaxError, ValueError):
        return False
    return True
