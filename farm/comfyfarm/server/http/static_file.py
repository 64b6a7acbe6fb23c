"""How does aiohttp hand out a file: validators, conditions and ranges?"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import formatdate, parsedate
from os import stat_result
from pathlib import Path

from comfyfarm.server.http.answer import Answer
from comfyfarm.server.stat_cache import regular_file

Ask = Callable[[str], str | None]
"""Gives the value of a request header, or ``None``."""

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ByteRange:
    """Which bytes of a file an answer holds."""

    start: int
    count: int

    def of(self, path: Path) -> bytes:
        """The bytes themselves."""
        with path.open("rb") as file:
            file.seek(self.start)
            return file.read(self.count)


def serve(path: Path, own: Headers, ask: Ask) -> Answer:
    """The whole file, a part of it, or why not; read at once.

    :param own: the headers that every answer carries, be it a refusal.
    :param ask: the request's headers.
    """
    head, part = choose(path, own, ask)
    try:
        return head if part is None else replace(head, body=part.of(path))
    except PermissionError:
        return Answer(403, own)


def choose(path: Path, own: Headers, ask: Ask) -> tuple[Answer, ByteRange | None]:
    """The answer without its body, and what of the file that body is; ``None`` where it has none."""
    found = regular_file(path)
    if found is None:
        return Answer(404, own), None
    validators = (("Etag", f'"{_etag(found)}"'), ("Last-Modified", _last_modified(found)))
    status = _condition(found, ask)
    if status is not None:
        return Answer(status, (*own, *validators) if status == 304 else own), None
    try:
        part = _wanted(found, ask)
    except _Unsatisfiable:
        return Answer(416, (*own, ("Content-Range", f"bytes */{found.st_size}"))), None
    headers = (*own, *validators, ("Accept-Ranges", "bytes"))
    if part is None:
        return Answer(200, headers), ByteRange(0, found.st_size)
    where = f"bytes {part.start}-{part.start + part.count - 1}/{found.st_size}"
    return Answer(206, (*headers, ("Content-Range", where))), part


class _Unsatisfiable(Exception):
    """The range is beyond the file, or no range at all."""


def _condition(found: stat_result, ask: Ask) -> int | None:
    """The status that a condition of the request brings, or ``None`` where the file is wanted."""
    if_match, if_none_match = _etags(ask("If-Match")), _etags(ask("If-None-Match"))
    unmodified_since, modified_since = _date(ask("If-Unmodified-Since")), _date(ask("If-Modified-Since"))
    tag = _etag(found)
    if if_match is not None:
        # A weak tag never matches here, for the bytes must be the same.
        if not any(known in ("*", tag) and not weak for weak, known in if_match):
            return 412
    elif unmodified_since is not None and found.st_mtime > unmodified_since:
        return 412
    if if_none_match is not None:
        return 304 if any(known in ("*", tag) for _, known in if_none_match) else None
    return 304 if modified_since is not None and found.st_mtime <= modified_since else None


def _wanted(found: stat_result, ask: Ask) -> ByteRange | None:
    """The part of the file that is asked for, or ``None`` for all of it.

    :raises _Unsatisfiable: also for several ranges, and for units other than bytes.
    """
    text, unless_newer = ask("Range"), _date(ask("If-Range"))
    if text is None or (unless_newer is not None and found.st_mtime > unless_newer):
        return None
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", text, re.ASCII | re.IGNORECASE)
    if match is None or match[0].endswith("=-"):
        raise _Unsatisfiable
    try:
        return _part(match[1], match[2], found.st_size)
    except ValueError:      # more digits than Python takes for a number
        raise _Unsatisfiable from None


def _part(first: str, last: str, size_bytes: int) -> ByteRange:
    if not first:
        # The tail; of no bytes ("-0") aiohttp makes the whole file.
        start, end = max(0, size_bytes - int(last)) if int(last) else 0, size_bytes
    else:
        start, end = int(first), min(int(last) + 1, size_bytes) if last else size_bytes
        if last and int(last) < start:
            raise _Unsatisfiable
    if start >= size_bytes:
        raise _Unsatisfiable
    return ByteRange(start, end - start)


def _etag(found: stat_result) -> str:
    return f"{found.st_mtime_ns:x}-{found.st_size:x}"


def _last_modified(found: stat_result) -> str:
    # The next full second, so that this date, sent back, is not before the file's own.
    return formatdate(math.ceil(found.st_mtime), usegmt=True)


_TAG = re.compile(r'(W/)?"([!\x23-\x7E\x80-\xff]+)"(?:\s*,\s*|$)')


def _etags(text: str | None) -> list[tuple[bool, str]] | None:
    """The tags of a header, each with whether it is weak; ``None`` without the header."""
    if not text:
        return None
    return [(False, "*")] if text == "*" else list(_tags(text))


def _tags(text: str) -> Iterator[tuple[bool, str]]:
    place = 0
    while match := _TAG.match(text, place):     # what follows the first bad tag does not count
        yield match[1] is not None, match[2]
        place = match.end()


def _date(text: str | None) -> float | None:
    """A date of a header in seconds; ``None`` where it is missing or no date (as an ETag in ``If-Range``)."""
    parts = parsedate(text) if text is not None else None
    if parts is not None:
        with suppress(ValueError, OverflowError):
            return datetime(*parts[:6], tzinfo=UTC).timestamp()
    return None
