"""What an answer says, if it is whole and makes sense."""

from __future__ import annotations

from http.client import OK
from io import BytesIO
from json import JSONDecodeError, loads
from typing import Any

from PIL import Image

from comfyfarm.testing.memory_client import Reply

__all__ = ["lacking_in", "object_in", "stamp_in"]


def object_in(reply: Reply | None) -> dict[str, Any] | None:
    """A whole answer that makes sense, or ``None``."""
    if reply is None or reply.status != OK:
        return None
    try:
        told = reply.json()
    except (JSONDecodeError, UnicodeDecodeError):
        return None
    return told if isinstance(told, dict) else None


def lacking_in(reply: Reply) -> str:
    """The model that an instance says it has not; empty where it complains about something else."""
    try:
        nodes = reply.json()["node_errors"].values()
        errors = [each for node in nodes for each in node["errors"] if each["type"] == "value_not_in_list"]
        return str(errors[0]["extra_info"]["received_value"])
    except (JSONDecodeError, UnicodeDecodeError, LookupError, TypeError, AttributeError):
        return ""


def stamp_in(reply: Reply | None) -> dict[str, Any]:
    """The proof of origin in a picture; empty where there is no whole picture."""
    if reply is None or reply.status != OK:
        return {}
    try:
        with Image.open(BytesIO(reply.body)) as image:
            image.load()
            stamp: dict[str, Any] = loads(image.info["comfyfarm"])
    except (OSError, SyntaxError, KeyError, ValueError):
        return {}
    return stamp
