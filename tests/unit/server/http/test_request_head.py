"""What aiohttp's parser says to a request's head (recorded from aiohttp 3.14.5)."""

import pytest

from comfyfarm.server.http.request_head import RequestHead, origin_form

HOST = b"Host: x"


def problem(*lines: bytes) -> str | None:
    """The first problem of a head, the empty line at its end included."""
    head = RequestHead()
    return next((found for found in map(head.problem, (*lines, b"")) if found is not None), None)


def fields(count: int) -> list[bytes]:
    return [HOST, *(b"X-%d: v" % index for index in range(count - 1))]


@pytest.mark.parametrize(
    "lines",
    [
        (b"GET /queue HTTP/1.1", HOST),
        (b"GET /queue HTTP/1.0",),
        (b"GET /" + b"x" * 8189 + b" HTTP/1.1", HOST),
        (b"GET /queue HTTP/1.1", HOST, b"X-A: " + b"v" * 8190),
        (b"GET /queue HTTP/1.1", *fields(128)),
        (b"GET /queue HTTP/1.1", HOST, b"X-A: 1", b"X-A: 2", b"Cookie: a", b"Cookie: b", b"X-B:"),
        (b"GET /queue HTTP/1.1", HOST, b"X-A: caf\xe9\tand more"),
        (b"GET http://other:80/queue?a=1 HTTP/1.1", HOST),
        (b"GET FTP://[::1]/queue HTTP/1.1", HOST),
        (b"OPTIONS * HTTP/1.1", HOST),
        (b"CONNECT other:80 HTTP/1.1", HOST),
        (b"POST /prompt HTTP/1.1", HOST, b"Content-Encoding: gzip"),
    ],
)
def test_what_aiohttp_takes_is_no_problem(lines: tuple[bytes, ...]) -> None:
    assert problem(*lines) is None


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        ((b"GET /queue HTTP/1.1",), "Missing 'Host' header in request."),
        ((b"GET /queue HTTP/1.1", HOST, b"host: x"), "Duplicate 'Host' header found."),
        ((b"GET / HTTP/1.1", HOST, *[b"Content-Type: a/b"] * 2), "Duplicate 'Content-Type' header found."),
        ((b"GET / HTTP/1.1", HOST, b"User-Agent: a", b"User-Agent: b"), "Duplicate 'User-Agent' header found."),
        ((b"GET /queue HTTP/1.1", *fields(129)), "Too many headers received"),
        (
            (b"GET /" + b"x" * 8190 + b" HTTP/1.1",),
            f"Got more than 8190 bytes when reading: bytearray(b'/{'x' * 99}...').",
        ),
        (
            (b"GET / HTTP/1.1", b"X-A: " + b"v" * 8191),
            f"Got more than 8190 bytes when reading: b'{'v' * 100}...'.",
        ),
        ((b"GET / HTTP/1.1", b"x" * 8191 + b": v"), f"Got more than 8190 bytes when reading: b'{'x' * 100}...'."),
        ((b"get /queue HTTP/1.1",), "Invalid method encountered:\n\n  b'get /queue HTTP/1.1'\n    ^"),
        ((b"GET /queu\xe9 HTTP/1.1",), "Invalid char in url path:\n\n  b'GET /queu\\xe9 HTTP/1.1'\n             ^"),
        ((b"GET ?a=1 HTTP/1.1",), "Unexpected start char in url:\n\n  b'GET ?a=1 HTTP/1.1'\n        ^"),
        ((b"GET * HTTP/1.1",), "*"),
        ((b"GET http://x:abc/queue HTTP/1.1",), "http://x:abc/queue"),
        ((b"GET http:///queue HTTP/1.1",), "http:///queue"),
        ((b"GET http://[::1/queue HTTP/1.1",), "http://[::1/queue"),
        ((b"GET / HTTP/1.1", HOST, b"X-A: a\x01b"), "Invalid header value char:\n\n  b'X-A: a\\x01b'\n          ^"),
        ((b"GET / HTTP/1.1", HOST, b" w"), "Unexpected whitespace after header value:\n\n  b' w'\n    ^"),
        (
            (b"POST /prompt HTTP/1.1", HOST, b"Content-Encoding: br"),
            "Can not decode content-encoding: brotli (br). Please install `Brotli`",
        ),
    ],
)
def test_what_aiohttp_refuses_is_refused_in_its_words(lines: tuple[bytes, ...], text: str) -> None:
    assert problem(*lines) == text


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/queue?a=1", b"/queue?a=1"),
        (b"/queue#part", b"/queue"),
        (b"http://other/queue?a=http://b/c", b"/queue?a=http://b/c"),
        (b"HTTPS://user:word@other:80//queue", b"//queue"),
        (b"http://other", b""),
        (b"http://other?a=1", b"?a=1"),
        (b"/view?filename=http://x/y", b"/view?filename=http://x/y"),
        (b"*", b"*"),
    ],
)
def test_an_absolute_target_names_the_same_path(target: bytes, path: bytes) -> None:
    assert origin_form(target) == path
