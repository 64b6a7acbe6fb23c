"""Files as aiohttp serves them: validators, conditional requests and ranges; large ones are streamed."""

import math
import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate, parsedate
from functools import lru_cache
from os import stat_result
from pathlib import Path
from typing import BinaryIO

from msgspec.structs import replace
from twisted.internet.interfaces import IPushProducer
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request
from zope.interface import implementer

from comfyfarm.server.http.answer import Answer
from comfyfarm.server.stat_cache import regular_file

Ask = Callable[[str], str | None]
"""Returns the value of a request header, or ``None``."""

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ByteRange:
    """The bytes of a file that an answer sends."""

    start: int
    count: int

    def of(self, path: Path) -> bytes:
        descriptor = os.open(path, os.O_RDONLY)     # a file object first asks for the file's size, position and kind
        try:
            return os.pread(descriptor, self.count, self.start)
        finally:
            os.close(descriptor)


def serve(path: Path, own: Headers, ask: Ask) -> Answer:
    """Return the answer with the whole file or a range of it, or with an error status.

    :param own: headers that every answer carries, errors included.
    :param ask: returns a header of the request.
    """
    head, part = choose(path, own, ask)
    try:
        return head if part is None else replace(head, body=part.of(path))
    except PermissionError:
        return Answer(403, own)


def choose(path: Path, own: Headers, ask: Ask) -> tuple[Answer, ByteRange | None]:
    """Return the answer without its body, and the range of the file that is its body; ``None`` if it has none."""
    file_stat = regular_file(path)
    if file_stat is None:
        return Answer(404, own), None
    # Rounded up, so that this date is not before the file's own when a client sends it back.
    last_modified = _http_date(math.ceil(file_stat.st_mtime))
    validators = (("Etag", f'"{_etag(file_stat)}"'), ("Last-Modified", last_modified))
    status = _condition(file_stat, ask)
    if status is not None:
        return Answer(status, (*own, *validators) if status == 304 else own), None
    try:
        part = _requested_range(file_stat, ask)
    except _Unsatisfiable:
        return Answer(416, (*own, ("Content-Range", f"bytes */{file_stat.st_size}"))), None
    headers = (*own, *validators, ("Accept-Ranges", "bytes"))
    if part is None:
        return Answer(200, headers), ByteRange(0, file_stat.st_size)
    content_range = f"bytes {part.start}-{part.start + part.count - 1}/{file_stat.st_size}"
    return Answer(206, (*headers, ("Content-Range", content_range))), part


class _Unsatisfiable(Exception):
    """The range lies beyond the file, or cannot be parsed."""


@lru_cache
def _http_date(unix_s: int) -> str:
    return formatdate(unix_s, usegmt=True)


def _condition(file_stat: stat_result, ask: Ask) -> int | None:
    """Return 304 or 412 if a condition of the request demands it, or ``None`` if the file is to be sent."""
    if_match, if_none_match = _etags(ask("If-Match")), _etags(ask("If-None-Match"))
    unmodified_since, modified_since = _date(ask("If-Unmodified-Since")), _date(ask("If-Modified-Since"))
    etag = _etag(file_stat)
    if if_match is not None:
        # A weak tag never matches here, because the bytes must be the same.
        if not any(tag in ("*", etag) and not weak for weak, tag in if_match):
            return 412
    elif unmodified_since is not None and file_stat.st_mtime > unmodified_since:
        return 412
    if if_none_match is not None:
        return 304 if any(tag in ("*", etag) for _, tag in if_none_match) else None
    return 304 if modified_since is not None and file_stat.st_mtime <= modified_since else None


def _requested_range(file_stat: stat_result, ask: Ask) -> ByteRange | None:
    """Return the range of the file that is requested, or ``None`` for the whole file.

    :raises _Unsatisfiable: also for several ranges, and for units other than bytes.
    """
    text, unless_newer = ask("Range"), _date(ask("If-Range"))
    if text is None or (unless_newer is not None and file_stat.st_mtime > unless_newer):
        return None
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", text, re.ASCII | re.IGNORECASE)
    if match is None or match[0].endswith("=-"):
        raise _Unsatisfiable
    try:
        return _parse_range(match[1], match[2], file_stat.st_size)
    except ValueError:      # more digits than Python accepts in a number
        raise _Unsatisfiable from None


def _parse_range(first: str, last: str, size_bytes: int) -> ByteRange:
    if not first:
        # The last bytes; for none of them ("-0") aiohttp sends the whole file.
        start, end = max(0, size_bytes - int(last)) if int(last) else 0, size_bytes
    else:
        start, end = int(first), min(int(last) + 1, size_bytes) if last else size_bytes
        if last and int(last) < start:
            raise _Unsatisfiable
    if start >= size_bytes:
        raise _Unsatisfiable
    return ByteRange(start, end - start)


def _etag(file_stat: stat_result) -> str:
    return f"{file_stat.st_mtime_ns:x}-{file_stat.st_size:x}"


_TAG = re.compile(r'(W/)?"([!\x23-\x7E\x80-\xff]+)"(?:\s*,\s*|$)')


def _etags(text: str | None) -> list[tuple[bool, str]] | None:
    """Return the tags of a header, each as (is weak, tag); ``None`` without the header."""
    if not text:
        return None
    return [(False, "*")] if text == "*" else list(_parse_tags(text))


def _parse_tags(text: str) -> Iterator[tuple[bool, str]]:
    position = 0
    while match := _TAG.match(text, position):      # stops at the first bad tag
        yield match[1] is not None, match[2]
        position = match.end()


def _date(text: str | None) -> float | None:
    """Return a date of a header in seconds; ``None`` if it is missing or no date (as an ETag in ``If-Range``)."""
    parts = parsedate(text) if text is not None else None
    if parts is not None:
        with suppress(ValueError, OverflowError):
            return datetime(*parts[:6], tzinfo=UTC).timestamp()
    return None


_PIECE_BYTES = 64 * 1024    # what Twisted buffers for a connection before it pauses the producer


@implementer(IPushProducer)
@dataclass(eq=False)
class Stream(Resource):
    """The body of one answer, whose status and headers are set; it is read no faster than the client takes it.

    :ivar file: positioned where the body begins; it is closed at the end, also if the client disconnects.
    :ivar count: how many bytes are still to be sent.
    """

    file: BinaryIO
    count: int
    isLeaf: bool = field(default=True, init=False)
    _is_producing: bool = field(default=True, init=False)

    def __post_init__(self) -> None:
        super().__init__()

    def render(self, request: Request) -> int:
        self._request = request
        request.registerProducer(self, True)
        self.resumeProducing()
        return NOT_DONE_YET

    def resumeProducing(self) -> None:
        self._is_producing = True
        while self._is_producing:
            piece = self.file.read(min(self.count, _PIECE_BYTES))
            self.count -= len(piece)
            if piece:
                self._request.write(piece)      # may call pauseProducing
            if not piece or not self.count:     # a file that has become shorter ends early
                self._end()

    def pauseProducing(self) -> None:
        self._is_producing = False

    def stopProducing(self) -> None:
        """Close the file; called if the client has disconnected."""
        self._is_producing = False
        self.file.close()

    def _end(self) -> None:
        self.stopProducing()
        self._request.unregisterProducer()
        self._request.finish()
