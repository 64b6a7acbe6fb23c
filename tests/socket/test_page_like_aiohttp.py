"""Is a folder given out as by aiohttp, which ComfyUI stands on?  Both answer the same requests."""

import os
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import unquote

import pytest
from aiohttp import web

from comfyfarm.server.http.answer import Answer
from comfyfarm.server.http.frontend import look_up
from tests.support.aiohttp_server import served

Facts = tuple[int, dict[str, str], bytes]

MTIME_NS = 1_700_000_000_250_000_000
TAG = f'"{MTIME_NS:x}-11"'
DATE = "Tue, 14 Nov 2023 22:13:21 GMT"
COMPARED = ("content-type", "content-range", "accept-ranges", "etag", "last-modified")

PATHS = [
    "/index.html", "/index.html/", "/index.html/deeper", "/nope", "/nope/", "/assets", "/assets/", "/assets/a.css",
    "/assets%2Fa.css", "/assets//a.css", "/assets/./a.css", "/assets/../index.html", "/../secret", "/%2e%2e/secret",
    "/..%2Fsecret", "/assets/../../secret", "/%2Fetc/hostname", "/a%00b", "/a%20b+c.txt", "/100%25.txt", "/100%.txt",
    "/%C3%BC.png", "/%ff", "/way-out", "/inside.png", "/empty.json", "/unknown.xyz", "/x%252Fy",
]  # fmt: skip
if sys.version_info < (3, 13):
    PATHS.append("/round")      # a link to itself: later aiohttp answers without words, and we still with them
CONDITIONS = [
    {"If-None-Match": TAG}, {"If-None-Match": "*"}, {"If-None-Match": '"other"'}, {"If-Match": '"other"'},
    {"If-Match": TAG}, {"If-Modified-Since": DATE}, {"If-Unmodified-Since": "Tue, 14 Nov 2023 22:13:20 GMT"},
    {"Range": "bytes=0-3"}, {"Range": "bytes=3-"}, {"Range": "bytes=-3"}, {"Range": "bytes=0-99"},
    {"Range": "bytes=99-"}, {"Range": "bytes=3-1"}, {"Range": "lines=1"}, {"Range": "bytes=0-1,3-4"},
    {"Range": "bytes=0-3", "If-Range": DATE}, {"Range": "bytes=0-3", "If-Range": "Tue, 14 Nov 2023 22:13:20 GMT"},
]  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that both give out."""
    root = tmp_path_factory.mktemp("outside") / "page"
    (root / "assets").mkdir(parents=True)
    (root.parent / "secret").write_bytes(b"secret")
    for name in ("index.html", "assets/a.css", "a b+c.txt", "100%.txt", "ü.png", "unknown.xyz", "empty.json"):
        (root / name).write_bytes(b"" if name == "empty.json" else b"<html>a page</html>"[:17])
        os.utime(root / name, ns=(MTIME_NS, MTIME_NS))
    (root / "way-out").symlink_to(root.parent / "secret")
    (root / "inside.png").symlink_to(root / "ü.png")
    (root / "round").symlink_to(root / "round")
    return root


@pytest.fixture(scope="module")
def port(root: Path) -> Iterator[int]:
    """Where aiohttp gives the folder out."""
    app = web.Application()
    app.router.add_static("/", root)
    with served(app) as number:
        yield number


def theirs(port: int, method: str, path: str, headers: dict[str, str]) -> Facts:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, headers=headers)
    reply = connection.getresponse()
    facts = reply.status, {name: reply.headers[name] for name in COMPARED if name in reply.headers}, reply.read()
    connection.close()
    return facts


def ours(root: Path, method: str, path: str, headers: dict[str, str]) -> Facts:
    found = look_up(root, unquote(path), method, headers.get)
    head, body = (found, found.body) if isinstance(found, Answer) else (found.head, found.part.of(found.path))
    given = {name.lower(): value for name, value in head.headers}
    return head.status, {name: given[name] for name in COMPARED if name in given}, b"" if method == "HEAD" else body


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", PATHS)
def test_a_path_means_the_same(root: Path, port: int, method: str, path: str) -> None:
    """A file, or the same refusal."""
    assert ours(root, method, path, {}) == theirs(port, method, path, {})


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("headers", CONDITIONS, ids=str)
def test_a_condition_means_the_same(root: Path, port: int, method: str, headers: dict[str, str]) -> None:
    """So does a range."""
    assert ours(root, method, "/index.html", headers) == theirs(port, method, "/index.html", headers)
