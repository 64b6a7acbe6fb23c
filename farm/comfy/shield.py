"""What keeps a browser from running a file that a server of version 0.28 sends (docs/fidelity.md, "Versions")?"""

from __future__ import annotations

from dataclasses import replace

from .answers import Answer
from .served import Headers

__all__ = ["active_as_attachment", "as_attachment", "with_escaped_name"]

_BINARY = "application/octet-stream"
_NO_SNIFFING = ("X-Content-Type-Options", "nosniff")
_ACTIVE = frozenset({
    "application/javascript",
    "application/xhtml+xml",
    "application/xml",
    "image/svg+xml",
    "text/css",
    "text/html",
    "text/javascript",
    "text/xml",
})


def active_as_attachment(name: str, kind: str) -> Headers:
    """The headers of a file that a browser may show, unless it could run it.

    :param kind: the content type by its name.
    """
    is_active = kind.partition(";")[0] in _ACTIVE
    where = "attachment; " if is_active else ""
    kind = _BINARY if is_active else kind
    return ("Content-Disposition", f"{where}{_named(name)}"), ("Content-Type", kind), _NO_SNIFFING


def as_attachment(name: str, kind: str) -> Headers:
    """The headers of a file that a browser shall only keep."""
    return ("Content-Type", kind), ("Content-Disposition", f"attachment; {_named(name)}"), _NO_SNIFFING


def with_escaped_name(reply: Answer, name: str) -> Answer:
    """The same reply with a name that cannot end its quotes; for one made from a file."""
    headers = [header for header in reply.headers if header[0] != "Content-Disposition"]
    return replace(reply, headers=(("Content-Disposition", _named(name)), *headers))


def _named(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'filename="{escaped}"'
