"""Requests that are read at once."""

import pytest

from comfyfarm.server.http.whole_request import read_whole


def head(line: str, *fields: str, host: str = "Host: h") -> bytes:
    return "\r\n".join((line, host, *fields, "", "")).encode("latin-1")


@pytest.mark.parametrize("body", [b"", b"{}", b"\r\n\r\n"])
def test_line_fields_and_body_are_read(body: bytes) -> None:
    fields = ("x-a:  b c ", "Cookie: c=d", "CONNECTION: Keep-Alive", f"Content-Length: {len(body)}")
    whole = read_whole(head("POST /history/a-b_C?x=%20&y=1 HTTP/1.1", *fields) + body)
    assert whole is not None
    line, headers = whole.line, whole.fields.headers
    assert (line.method, line.path, line.query, whole.body) == (b"POST", b"/history/a-b_C", b"x=%20&y=1", body)
    assert line.target == b"/history/a-b_C?x=%20&y=1"
    assert headers.getRawHeaders(b"x-a") == [b"b c"]
    assert headers.getRawHeaders(b"connection") == [b"Keep-Alive"]
    assert not whole.fields.is_of_page


@pytest.mark.parametrize("field", ["Origin: http://h", "Sec-Fetch-Site: same-origin"])
def test_requests_of_pages_are_told(field: str) -> None:
    whole = read_whole(head("GET /queue HTTP/1.1", field))
    assert whole is not None
    assert whole.fields.is_of_page


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GET /queue HTTP/1.1\r\nHost: h\r\n",
        b"\r\n" + head("GET /queue HTTP/1.1"),
        head("GET /queue HTTP/1.1") + b"x",
        head("GET /queue HTTP/1.1") * 2,
        head("POST /queue HTTP/1.1", "Content-Length: 2") + b"x",
        head("POST /queue HTTP/1.1", "Content-Length: +1") + b"x",
        head("POST /queue HTTP/1.1", "Content-Length: 1", "Content-Length: 1") + b"x",
        head("POST /queue HTTP/1.1", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
        head("GET /queue HTTP/1.0"),
        head("HEAD /queue HTTP/1.1"),
        head("get /queue HTTP/1.1"),
        head("GET  /queue HTTP/1.1"),
        head("GET http://h/queue HTTP/1.1"),
        head("GET //queue HTTP/1.1"),
        head("GET /queue/ HTTP/1.1"),
        head("GET /a/../queue HTTP/1.1"),
        head("GET /%71ueue HTTP/1.1"),
        head("GET /queue#a HTTP/1.1"),
        head("GET /queue?a#b HTTP/1.1"),
        head("GET /queue HTTP/1.1", host="X-A: b"),
        head("GET /queue HTTP/1.1", "Host: other"),
        head("GET /queue HTTP/1.1", "X-A: b", " folded"),
        head("GET /queue HTTP/1.1", "X-A: é"),
        head("GET /queue HTTP/1.1", "X A: b"),
        head("GET /queue HTTP/1.1", "no colon"),
        head("GET /queue HTTP/1.1", "Connection: close"),
        head("GET /queue HTTP/1.1", "Connection: keep-alive, TE"),
        head("GET /queue HTTP/1.1", "Expect: 100-continue"),
        head("GET /queue HTTP/1.1", "Upgrade: websocket"),
        head("GET /queue HTTP/1.1", "Content-Encoding: gzip"),
        head("GET /queue HTTP/1.1", *["X-A: b"] * 128),
        head("GET /queue HTTP/1.1", "X-A: " + "b" * 5000),
        head("GET /" + "q" * 5000 + " HTTP/1.1"),
    ],
)
def test_what_is_unusual_is_left_to_the_parser(data: bytes) -> None:
    assert read_whole(data) is None
