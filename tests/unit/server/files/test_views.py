"""GET /view."""

import os
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from comfyfarm.server.files.disk import Disk
from comfyfarm.server.files.views import guessed_type, view
from comfyfarm.server.http.answer import Answer
from comfyfarm.server.media.pictures import ImageRenderer
from comfyfarm.sim.errors import ServerError
from comfyfarm.sim.files import FileContent, Place
from comfyfarm.sim.values import Picture
from comfyfarm.versions import behaviour_of

Get = Callable[..., Answer]

STATIC = "../input/cat.jpg"
MTIME_NS = 1_700_000_000_250_000_000            # a quarter of a second after the full one
EARLIER, SAME, LATER = (f"Tue, 14 Nov 2023 22:13:{second} GMT" for second in (20, 21, 22))


def png(alpha: int = 255) -> bytes:
    file = BytesIO()
    Image.new("RGBA", (8, 6), (255, 0, 0, alpha)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    disk = Disk(tmp_path / "input", tmp_path / "output", tmp_path / "temp", ImageRenderer(png()))
    (tmp_path / "input/a.png").write_bytes(png(alpha=77))
    (tmp_path / "input/t.txt").write_bytes(b"0123456789")
    (tmp_path / "input/empty.txt").write_bytes(b"")
    (tmp_path / "input/cat.jpg").write_bytes(b"the cat")
    (tmp_path / "input/sub").mkdir()
    for path in (tmp_path / "input").glob("*.*"):
        os.utime(path, ns=(MTIME_NS, MTIME_NS))
    return disk


@pytest.fixture
def get(disk: Disk) -> Get:
    """Ask for a file with a query and request headers."""
    def get(
        filename: str | None = None, static_name: str | None = None, ask: dict[str, str] | None = None, **query: str
    ) -> Answer:
        headers = {name.lower(): value for name, value in (ask or {}).items()}
        if filename is not None:
            query["filename"] = filename
        return view(disk, query, lambda name: headers.get(name.lower()), static_name, behaviour_of("0.25.0"))
    return get


def opened(answer: Answer) -> Any:
    image = Image.open(BytesIO(answer.body))
    image.load()
    return image


# Which file.


def test_a_file_is_served_as_it_is(get: Get) -> None:
    """With the headers of aiohttp, in its order."""
    answer = get("a.png", type="input")
    assert answer == Answer(
        200,
        (
            ("Content-Disposition", 'filename="a.png"'),
            ("Content-Type", "image/png"),
            ("Etag", f'"{MTIME_NS:x}-{len(png(alpha=77)):x}"'),
            ("Last-Modified", SAME),
            ("Accept-Ranges", "bytes"),
        ),
        png(alpha=77),
    )


def test_a_jobs_file_is_served_from_output_by_default(get: Get, disk: Disk) -> None:
    """The type need not be named."""
    disk.put(Place("output", "s", "a_00001_.png"), FileContent(Picture(4, 4), {"prompt": "{}"}, "{}"))
    assert opened(get("a_00001_.png", subfolder="s")).text["prompt"] == "{}"


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({}, 404),
        ({"type": "input"}, 404),
        ({"filename": ""}, 400),
        ({"filename": "nope.png"}, 404),
        ({"filename": "nope.png", "type": "input"}, 404),
        ({"filename": "a.png", "type": "bogus"}, 400),
        ({"filename": "a.png", "type": ""}, 400),
        ({"filename": "../a.png", "type": "input"}, 400),
        ({"filename": "/etc/passwd"}, 400),
        ({"filename": "a..b.png", "type": "input"}, 400),
        ({"filename": "[input]"}, 400),
        ({"filename": " [input]"}, 400),
        ({"filename": "../a.png [input]"}, 400),
        ({"filename": "a.png[input]"}, 404),
        ({"filename": "a.png [temp]"}, 404),
        ({"filename": "a.png", "type": "input", "subfolder": ".."}, 403),
        ({"filename": "a.png", "type": "input", "subfolder": "/etc"}, 403),
        ({"filename": "a.png", "type": "input", "subfolder": "nosuch"}, 404),
        ({"filename": "sub", "type": "input"}, 404),
        ({"filename": "sub/", "type": "input"}, 404),
        ({"filename": "blake3:0000"}, 404),
        ({"filename": "a.png\0", "type": "input"}, 404),
        ({"filename": "a.png", "type": "input", "subfolder": "\0"}, 404),
        ({"filename": "n" * 300, "type": "input"}, 404),
        ({"filename": ".comfyfarm-1-1.draft", "type": "input"}, 404),
    ],
)
def test_a_refusal_is_a_status_and_nothing_else(get: Get, tmp_path: Path, query: dict[str, str], status: int) -> None:
    """view_errors_and_traversal, and what it leaves out."""
    (tmp_path / "input/.comfyfarm-1-1.draft").write_bytes(b"half a file")
    assert get(**query) == Answer(status, (), b"")


@pytest.mark.parametrize(
    "query",
    [
        {"filename": "a.png [input]"},
        {"filename": "a.png [input]", "type": "bogus"},
        {"filename": "sub/a.png", "type": "input"},
        {"filename": "a.png", "type": "input", "subfolder": "."},
        {"filename": "a.png", "type": "input", "subfolder": "../input"},
        {"filename": "a.png", "type": "input", "rand": "0.5"},
        {"filename": "a.png", "type": "input", "channel": "rgba"},
        {"filename": "a.png", "type": "input", "channel": "xyz"},
    ],
)
def test_many_ways_lead_to_the_plain_file(get: Get, query: dict[str, str]) -> None:
    """As in ComfyUI; the disposition names the file alone."""
    answer = get(**query)
    assert (answer.status, answer.body) == (200, png(alpha=77))
    assert answer.headers[0] == ("Content-Disposition", 'filename="a.png"')


def test_a_static_instance_serves_the_one_name_that_its_history_shows(get: Get) -> None:
    """Though there is .. in it; it is the file in input."""
    for query in ({}, {"type": "output"}, {"type": "output", "subfolder": ""}):
        answer = get(STATIC, STATIC, **query)
        assert (answer.status, answer.body, answer.headers[0][1]) == (200, b"the cat", 'filename="cat.jpg"')
    assert get(f"{STATIC} [output]", STATIC).status == 200


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("../input/a.png", {}), ("../input/../input/cat.jpg", {}), ("../cat.jpg", {}), (STATIC + "x", {}),
        (STATIC, {"type": "input"}), (STATIC, {"subfolder": "sub"}),
    ],
)
def test_a_static_instance_serves_no_other_name_with_dots(get: Get, name: str, query: dict[str, str]) -> None:
    """Nor does a dynamic one serve that one."""
    assert get(name, STATIC, **query).status == 400
    assert get(STATIC).status == 400


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("a.png", "image/png"),
        ("a.PNG", "image/png"),
        ("a.webp", "image/webp"),
        ("a.txt", "text/plain"),
        ("a.js", "application/javascript; charset=utf-8"),
        ("a.html", "application/octet-stream"),
        ("a.xhtml", "application/octet-stream"),
        ("a.css", "application/octet-stream"),
        ("a.unheard-of", "application/octet-stream"),
        ("a", "application/octet-stream"),
    ],
)
def test_the_content_type_is_guessed_from_the_name(name: str, content_type: str) -> None:
    """Nothing that a browser would run, with ComfyUI's one exception."""
    assert guessed_type(name) == content_type


def test_a_name_is_sent_as_it_is_but_never_breaks_the_headers(get: Get, tmp_path: Path) -> None:
    """Quotes and letters beyond ASCII go out; line breaks do not."""
    for name in ('q"q.txt', "猫.txt", "a\r\nSet-Cookie: x=1.txt"):
        (tmp_path / "input" / name).write_bytes(b"x")
    assert get('q"q.txt', type="input").headers[0][1] == 'filename="q"q.txt"'
    assert get("猫.txt", type="input").headers[0][1] == 'filename="猫.txt"'
    with pytest.raises(ServerError):
        get("a\r\nSet-Cookie: x=1.txt", type="input")


# Previews and channels.


@pytest.mark.parametrize(
    ("query", "kind", "mode"),
    [
        ({"preview": "webp"}, "webp", "RGBA"),
        ({"preview": "webp;50"}, "webp", "RGBA"),
        ({"preview": "webp;lots"}, "webp", "RGBA"),
        ({"preview": "jpeg"}, "jpeg", "RGB"),
        ({"preview": "jpeg;10"}, "jpeg", "RGB"),
        ({"preview": "png"}, "webp", "RGBA"),
        ({"preview": ""}, "webp", "RGBA"),
        ({"preview": "webp", "channel": "rgb"}, "webp", "RGB"),
        ({"preview": "jpeg", "channel": "a"}, "webp", "RGBA"),
        ({"channel": "rgb"}, "png", "RGB"),
        ({"channel": "a"}, "png", "RGBA"),
    ],
)
def test_previews_and_channels_are_encoded_anew(get: Get, query: dict[str, str], kind: str, mode: str) -> None:
    """With a disposition, but without validators and ranges (view_variants)."""
    answer = get("a.png", type="input", **query)
    assert answer.headers == (("Content-Disposition", 'filename="a.png"'), ("Content-Type", f"image/{kind}"))
    image = opened(answer)
    assert (image.format.lower(), image.mode, image.size) == (kind, mode, (8, 6))


def test_the_alpha_channel_is_black_with_the_alpha(get: Get, disk: Disk) -> None:
    """A picture without alpha counts as opaque."""
    disk.put(Place("output", "", "b.png"), FileContent(Picture(8, 6), {}, ""))
    assert opened(get("a.png", type="input", channel="a")).getcolors() == [(48, (0, 0, 0, 77))]
    assert opened(get("b.png", channel="a")).getcolors() == [(48, (0, 0, 0, 255))]


def test_quality_makes_a_difference(get: Get, disk: Disk) -> None:
    """It is not only parsed."""
    noise = BytesIO()
    Image.effect_noise((64, 64), 90).save(noise, "PNG")
    disk.upload(disk.path("input", "", "noise.png"), noise.getvalue())
    sizes = [len(get("noise.png", type="input", preview=f"webp;{quality}").body) for quality in (5, 90)]
    assert sizes[0] < sizes[1]


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("a.png", {"preview": "webp;999"}),
        ("a.png", {"preview": "webp;" + "9" * 5000}),
        ("a.png", {"preview": "webp;²"}),
        ("t.txt", {"preview": "webp"}),
        ("t.txt", {"channel": "rgb"}),
        ("t.txt", {"channel": "a"}),
    ],
)
def test_what_cannot_be_encoded_is_a_500(get: Get, name: str, query: dict[str, str]) -> None:
    """A quality that there is not; a file that is no picture."""
    with pytest.raises(ServerError):
        get(name, type="input", **query)


# Ranges and conditions.

TAG = f'"{MTIME_NS:x}-a"'


@pytest.mark.parametrize(
    ("wanted", "body", "content_range"),
    [
        ("bytes=0-3", b"0123", "0-3"),
        ("bytes=4-", b"456789", "4-9"),
        ("bytes=-2", b"89", "8-9"),
        ("bytes=5-99", b"56789", "5-9"),
        ("bytes=-99", b"0123456789", "0-9"),
        ("bytes=-0", b"0123456789", "0-9"),
        ("BYTES=9-9", b"9", "9-9"),
    ],
)
def test_a_range_gives_a_part_of_the_file(get: Get, wanted: str, body: bytes, content_range: str) -> None:
    """And says which (view_range_and_conditional)."""
    answer = get("t.txt", type="input", ask={"Range": wanted})
    assert (answer.status, answer.body) == (206, body)
    assert dict(answer.headers) == {
        "Content-Disposition": 'filename="t.txt"',
        "Content-Type": "text/plain",
        "Etag": TAG,
        "Last-Modified": SAME,
        "Accept-Ranges": "bytes",
        "Content-Range": f"bytes {content_range}/10",
    }


@pytest.mark.parametrize(
    "wanted",
    [
        "bytes=99-", "bytes=10-", "bytes=abc", "bytes=0-1,3-4", "bytes=-", "bytes=5-2", "items=0-1",
        f"bytes={'9' * 5000}-",
    ],
)
def test_no_good_range_is_a_416(get: Get, wanted: str) -> None:
    """With the size, and neither validators nor ranges."""
    answer = get("t.txt", type="input", ask={"Range": wanted})
    own = (("Content-Disposition", 'filename="t.txt"'), ("Content-Type", "text/plain"))
    assert answer == Answer(416, (*own, ("Content-Range", "bytes */10")))


def test_of_an_empty_file_there_is_no_part(get: Get) -> None:
    """But the whole of it."""
    assert get("empty.txt", type="input", ask={"Range": "bytes=0-"}).status == 416
    assert get("empty.txt", type="input").status == 200


@pytest.mark.parametrize(
    ("ask", "status"),
    [
        ({"If-None-Match": TAG}, 304),
        ({"If-None-Match": f"W/{TAG}"}, 304),
        ({"If-None-Match": f'"other", {TAG}'}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": '"other"'}, 200),
        ({"If-None-Match": f"bad, {TAG}"}, 200),
        ({"If-Modified-Since": SAME}, 304),
        ({"If-Modified-Since": LATER}, 304),
        ({"If-Modified-Since": EARLIER}, 200),
        ({"If-Modified-Since": "yesterday"}, 200),
        ({"If-Modified-Since": LATER, "If-None-Match": '"other"'}, 200),
        ({"If-Match": TAG}, 200),
        ({"If-Match": "*"}, 200),
        ({"If-Match": f"W/{TAG}"}, 412),
        ({"If-Match": '"other"'}, 412),
        ({"If-Unmodified-Since": EARLIER}, 412),
        ({"If-Unmodified-Since": SAME}, 200),
        ({"If-Unmodified-Since": EARLIER, "If-Match": TAG}, 200),
        ({"If-None-Match": TAG, "Range": "bytes=0-1"}, 304),
        ({"If-Range": SAME, "Range": "bytes=0-1"}, 206),
        ({"If-Range": EARLIER, "Range": "bytes=0-1"}, 200),
        ({"If-Range": '"any tag"', "Range": "bytes=0-1"}, 206),
    ],
)
def test_conditions_are_judged_as_aiohttp_judges_them(get: Get, ask: dict[str, str], status: int) -> None:
    """Also where that is not what the standard says: a tag in If-Range does not count."""
    assert get("t.txt", type="input", ask=ask).status == status


def test_an_unchanged_file_is_a_304_with_its_validators(get: Get) -> None:
    """And without a body."""
    answer = get("t.txt", type="input", ask={"If-None-Match": TAG})
    assert [name for name, _ in answer.headers] == ["Content-Disposition", "Content-Type", "Etag", "Last-Modified"]
    assert answer.body == b""


def test_a_failed_condition_is_a_412_without_them(get: Get) -> None:
    """And without a body."""
    answer = get("t.txt", type="input", ask={"If-Match": '"other"'})
    assert [name for name, _ in answer.headers] == ["Content-Disposition", "Content-Type"]
    assert answer.body == b""
