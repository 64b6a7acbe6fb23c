"""Requests that come whole in one read, as nearly all do: what their lines mean is remembered.

A client polls the same few paths, and sends the same fields with each request.  So the bytes of a head are read once,
and those of its fields too, for the next head with another first line.  The checks are those of every other request
(``request_head.py``).  A request that is unusual in any way is not read here: Twisted's parser gets it.
"""

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from urllib.parse import parse_qsl

import msgspec
from msgspec.structs import replace
from twisted.web.http_headers import Headers, InvalidHeaderName

from comfyfarm.server.http.request_content import traceparent
from comfyfarm.server.http.request_head import RequestHead

_MOST_BYTES = 4096      # of a head
_KEPT = 1024            # heads, and blocks of fields
_END = b"\r\n\r\n"

_LINE = re.compile(rb"(GET|POST|PUT|DELETE|PATCH) ((/|(?:/[A-Za-z0-9_-]+)+)(?:\?([!-~]*))?) HTTP/1\.1")
_FIELD = re.compile(rb"([A-Za-z0-9-]+):[ \t]*([!-~](?:[ -~]*[!-~])?)?[ \t]*")
_UNUSUAL = frozenset({b"content-encoding", b"expect", b"transfer-encoding", b"upgrade"})
_OF_PAGES = frozenset({b"origin", b"sec-fetch-site"})


@dataclass(frozen=True)
class RequestLine:
    """The parts of a request line.

    :ivar target: path and query.
    :ivar path: of letters, digits and ``-_``, without empty segments.
    :ivar query: empty if there is none.
    """

    method: bytes
    target: bytes
    path: bytes
    query: bytes

    @cached_property
    def texts(self) -> dict[str, str]:
        """Method, path and query as text, by these names."""
        return {name: getattr(self, name).decode("ascii") for name in ("method", "path", "query")}

    @cached_property
    def parameters(self) -> dict[str, str]:
        return query_parameters(self.query)


@dataclass(frozen=True)
class HeadFields:
    """The fields of a head.

    :ivar headers: shared by all requests with these fields; they must not be changed.
    :ivar body_bytes: the length of the body that follows.
    :ivar is_of_page: a web page sends the request, so that its origin is to be checked.
    """

    headers: Headers
    body_bytes: int
    is_of_page: bool

    @cached_property
    def texts(self) -> dict[str, str]:
        """The first value of each, as text, by its name in small letters."""
        fields = self.headers.getAllRawHeaders()
        return {name.decode("ascii").lower(): values[0].decode("ascii") for name, values in fields}


    @cached_property
    def traceparent(self) -> str:
        return traceparent(self.headers)


def query_parameters(query: bytes) -> dict[str, str]:
    """Return the parameters of a query; of a repeated name the first value."""
    # Not as Twisted does: it splits at ";" too, which is part of ``preview=webp;90``.
    return dict(reversed(parse_qsl(query.decode("utf-8", "replace"), keep_blank_values=True)))


class WholeRequest(msgspec.Struct, frozen=True):
    """A request that was read at once."""

    line: RequestLine
    fields: HeadFields
    body: bytes = b""


def read_whole(data: bytes) -> WholeRequest | None:
    """Return the only request in some bytes; ``None`` if they are not exactly one, or it is unusual."""
    end = data.find(_END)
    if not 0 < end <= _MOST_BYTES:
        return None
    head = _read_head(data[:end])
    start = end + len(_END)
    if head is None or len(data) != start + head.fields.body_bytes:
        return None
    return replace(head, body=data[start:]) if head.fields.body_bytes else head


@lru_cache(_KEPT)
def _read_head(head: bytes) -> WholeRequest | None:
    """Return the request of a head, still without its body."""
    first, _, block = head.partition(b"\r\n")
    line, fields = _read_line(first), _read_fields(block)
    return None if line is None or fields is None else WholeRequest(line, fields)


def _read_line(line: bytes) -> RequestLine | None:
    match = _LINE.fullmatch(line)
    if match is None or b"#" in line or RequestHead().problem(line) is not None:
        return None
    return RequestLine(match[1], match[2], match[3], match[4] or b"")


@lru_cache(_KEPT)
def _read_fields(block: bytes) -> HeadFields | None:
    head, headers, names = RequestHead(is_begun=True), Headers(), set()
    for line in block.split(b"\r\n"):
        match = _FIELD.fullmatch(line)
        if match is None or head.problem(line) is not None:
            return None
        try:
            headers.addRawHeader(match[1], match[2] or b"")
        except InvalidHeaderName:
            return None
        names.add(match[1].lower())
    wishes = headers.getRawHeaders(b"connection", [])
    length = headers.getRawHeaders(b"content-length", [b"0"])[0]
    if names & _UNUSUAL or b"host" not in names or any(wish.lower() != b"keep-alive" for wish in wishes):
        return None
    return HeadFields(headers, int(length), bool(names & _OF_PAGES)) if length.isdigit() else None
