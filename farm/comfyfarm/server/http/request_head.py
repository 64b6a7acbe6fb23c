"""The head of a request as aiohttp's parser sees it: what it refuses, and what path a request line names.

Twisted's own parser is more lenient in some places and stricter in others; :class:`RequestHead` looks at each line
before Twisted does.  A refusal is an answer 400 whose text says why (docs/fidelity.md, "HTTP").
"""

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

MAX_LINE_BYTES = 8190
"""The longest target of a request line, name of a field, or value of a field."""

MAX_FIELDS = 128

TLS_START = b"\x16\x03"
"""The first bytes of a client that speaks https."""

NO_TLS = "Received HTTPS traffic on an HTTP port"
NO_LINE_FEED = "Missing expected CR"

_METHODS = tuple(
    b"DELETE GET HEAD POST PUT CONNECT OPTIONS TRACE COPY LOCK MKCOL MOVE PROPFIND PROPPATCH SEARCH UNLOCK BIND REBIND "
    b"UNBIND ACL REPORT MKACTIVITY CHECKOUT MERGE M-SEARCH NOTIFY SUBSCRIBE UNSUBSCRIBE PATCH PURGE MKCALENDAR LINK "
    b"UNLINK SOURCE QUERY".split()
)
_ONLY_ONCE = frozenset(
    b"content-length content-location content-range content-type etag host max-forwards server transfer-encoding "
    b"user-agent".split()
)
_UNREADABLE_ENCODINGS = {
    b"br": "Can not decode content-encoding: brotli (br). Please install `Brotli`",
    b"zstd": "Can not decode content-encoding: zstandard (zstd). Please install `backports.zstd`",
}
_ABSOLUTE = re.compile(rb"[A-Za-z]+://[^/?]*")
_NOT_IN_A_TARGET = re.compile(rb"[^\x21-\x7e]")
_NOT_IN_A_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


@dataclass
class RequestHead:
    """The lines of one head that have been read so far.

    :ivar is_begun: whether the request line has been read.
    """

    is_begun: bool = False
    _is_http_1_1: bool = False
    _count: int = 0
    _names: set[bytes] = field(default_factory=set)

    def problem(self, line: bytes) -> str | None:
        """Take the next line, the empty one at the end too, and return why aiohttp refuses the request, or ``None``."""
        if not self.is_begun:
            self.is_begun = True
            return self._problem_of_request_line(line)
        return self._problem_of_field(line) if line else self._problem_of_all()

    def _problem_of_request_line(self, line: bytes) -> str | None:
        method, _, rest = line.partition(b" ")
        target, _, version = rest.partition(b" ")
        self._is_http_1_1 = version == b"HTTP/1.1"
        if method not in _METHODS:
            return _at("Invalid method encountered", line, 0)
        if len(target) > MAX_LINE_BYTES:
            return _too_long(bytearray(target))
        return _problem_of_target(method, target, line)

    def _problem_of_field(self, line: bytes) -> str | None:
        name, _, value = line.partition(b":")
        value = value.strip(b" \t")
        for text in (name, value):
            if len(text) > MAX_LINE_BYTES:
                return _too_long(text)
        if line.startswith((b" ", b"\t")):
            return _at("Unexpected whitespace after header value", line, 0)
        if bad := _NOT_IN_A_VALUE.search(line):
            return _at("Invalid header value char", line, bad.start())
        lowered = name.lower()
        if lowered in _ONLY_ONCE and lowered in self._names:
            return f"Duplicate '{lowered.title().decode()}' header found."
        self._names.add(lowered)
        self._count += 1
        if self._count > MAX_FIELDS:
            return "Too many headers received"
        return _UNREADABLE_ENCODINGS.get(value.lower()) if lowered == b"content-encoding" else None

    def _problem_of_all(self) -> str | None:
        return "Missing 'Host' header in request." if self._is_http_1_1 and b"host" not in self._names else None


def _problem_of_target(method: bytes, target: bytes, line: bytes) -> str | None:
    start = len(method) + 1
    if method == b"CONNECT" or (method, target) == (b"OPTIONS", b"*"):
        return None
    if bad := _NOT_IN_A_TARGET.search(target):
        return _at("Invalid char in url path", line, start + bad.start())
    if target.startswith(b"/"):
        return None
    if _ABSOLUTE.match(target):
        return None if _has_host(target) else target.decode("latin-1")
    return target.decode() if target == b"*" else _at("Unexpected start char in url", line, start)


def _has_host(target: bytes) -> bool:
    try:
        parts = urlsplit(target.decode("ascii"))
        return bool(parts.hostname) and (parts.port is None or parts.port >= 0)     # reading a bad port raises
    except ValueError:
        return False


def origin_form(target: bytes) -> bytes:
    """Return path and query of a target, without scheme, host and fragment; the path may be empty."""
    target = target.partition(b"#")[0]
    absolute = _ABSOLUTE.match(target)
    return target if absolute is None else target[absolute.end() :]


def _at(text: str, line: bytes, index: int) -> str:
    """Return an error of aiohttp's parser that points at a place in a line."""
    return f"{text}:\n\n  {line!r}\n    {' ' * index}^"


def _too_long(text: bytes | bytearray) -> str:
    return f"Got more than {MAX_LINE_BYTES} bytes when reading: {text[:100] + b'...'!r}."
