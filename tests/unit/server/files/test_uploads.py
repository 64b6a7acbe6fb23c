"""POST /upload/image and POST /upload/mask."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from comfyfarm.server.files.disk import Disk
from comfyfarm.server.files.uploads import Form, SentFile, TooManyFields, parse_form, store_image, store_mask
from comfyfarm.server.http.answer import Answer
from comfyfarm.server.media.pictures import ImageRenderer
from comfyfarm.server.time.turns import at_once
from comfyfarm.sim.errors import ServerError

MULTIPART = "multipart/form-data; boundary=line"


def png(width: int = 8, height: int = 8, alpha: int | None = None, **options: Any) -> bytes:
    file = BytesIO()
    colour = (255, 0, 0) if alpha is None else (255, 0, 0, alpha)
    Image.new("RGB" if alpha is None else "RGBA", (width, height), colour).save(file, "PNG", **options)
    return file.getvalue()


def part(disposition: str, content: bytes, content_type: str | None = None) -> tuple[bytes, bytes]:
    head = f"Content-Disposition: form-data; {disposition}".encode()
    return head + (f"\r\nContent-Type: {content_type}".encode() if content_type else b""), content


def body(*parts: tuple[bytes, bytes]) -> bytes:
    return b"".join(b"--line\r\n" + head + b"\r\n\r\n" + content + b"\r\n" for head, content in parts) + b"--line--\r\n"


def form(name: str, content: bytes, **fields: str) -> Form | None:
    """The form that the driver sends: a file and text fields."""
    image = part(f'name="image"; filename="{name}"', content, "image/png")
    return parse_form(MULTIPART, body(image, *(part(f'name="{key}"', value.encode()) for key, value in fields.items())))


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path / "input", tmp_path / "output", tmp_path / "temp", ImageRenderer(png()))


def said(answer: Answer) -> tuple[str, ...]:
    assert (answer.status, answer.headers) == (200, (("Content-Type", "application/json; charset=utf-8"),))
    return tuple(json.loads(answer.body).values())


def files(tmp_path: Path) -> list[str]:
    return sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())


# The form.


@pytest.mark.parametrize("content_type", ["", "application/json", "image/png", "text/plain; boundary=line"])
def test_another_content_type_is_no_form(content_type: str) -> None:
    """For any body."""
    assert parse_form(content_type, body(part('name="image"', b"x"))) is None


def test_a_form_of_text_fields_may_be_urlencoded() -> None:
    """As aiohttp reads both kinds."""
    read = parse_form("application/x-www-form-urlencoded; charset=latin-1", b"type=&a=%E9+b&a=2\r\n")
    assert read == Form({"type": "", "a": "é b"})


def test_of_several_values_the_first_counts() -> None:
    """In both kinds."""
    assert parse_form(MULTIPART, body(part('name="a"', b"1"), part('name="a"', b"2"))) == Form({"a": "1"})


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('name="image"; filename="é 猫.png"', "é 猫.png"),
        ("name=image; filename=a.png", "a.png"),
        ('filename="a;b.png"; name="image"', "a;b.png"),
        ('name="image"; filename="a\\"b.png"', 'a"b.png'),
        ('name="image"; filename="a%22b%0Ac.png"', "a%22b%0Ac.png"),
        ('name="image"; filename="/etc/x"', "etc/x"),
        ('name="image"; filename="../x"', "../x"),
        ("name=\"image\"; filename=\"_.png\"; filename*=utf-8''%C3%A9.png", "é.png"),
        ("name=\"image\"; filename*=nonsense''%C3%A9; filename=\"a.png\"", "a.png"),
    ],
)
def test_file_names_are_read_as_aiohttp_reads_them(disposition: str, name: str) -> None:
    """Raw UTF-8 from browsers, encoded from aiohttp and older requests; no percent escapes of browsers."""
    assert parse_form(MULTIPART, body(part(disposition, b"x"))) == Form({"image": SentFile(name, b"x")})


def test_a_file_name_that_is_no_utf_8_is_kept_byte_for_byte(disk: Disk, tmp_path: Path) -> None:
    """Linux does not mind."""
    head = b'Content-Disposition: form-data; name="image"; filename="\xff.png"'
    assert said(store_image(disk, parse_form(MULTIPART, body((head, b"x")))))[0] == "\udcff.png"
    assert files(tmp_path) == ["input/\udcff.png"]


def test_a_part_without_file_name_is_text_unless_its_type_is_another() -> None:
    """Then it is bytes, which no field of ComfyUI's takes."""
    read = parse_form(
        MULTIPART,
        body(
            part('name="a"', "é".encode()),
            part('name="b"', b"\xe9", "text/plain; charset=latin-1"),
            part('name="c"', b"\xe9", "application/json"),
            part('name="image"; filename=""', b""),
        ),
    )
    assert read == Form({"a": "é", "b": "é", "c": b"\xe9", "image": ""})


@pytest.mark.parametrize(
    ("content_type", "content"),
    [
        ("multipart/form-data", body(part('name="a"', b"1"))),
        (MULTIPART, b""),
        (MULTIPART, b"garbage"),
        (MULTIPART, body(part('name="a"', b"1"))[:-8]),
        (MULTIPART, body((b"X-Nothing: 1", b"1"))),
        (MULTIPART, body(part('filename="a.png"', b"1"))),
        (MULTIPART, body(part('name="a"', b"\xff"))),
        (MULTIPART, body(part('name="a"', b"x", "text/plain; charset=nonsense"))),
        ("application/x-www-form-urlencoded", b"a=\xff"),
    ],
)
def test_a_broken_form_is_a_500(content_type: str, content: bytes) -> None:
    """ComfyUI catches no error of aiohttp's parser."""
    with pytest.raises(ServerError):
        parse_form(content_type, content)


# The image.


def test_names_are_given_as_comfyui_gives_them(disk: Disk, tmp_path: Path) -> None:
    """The same content keeps its name, another gets a number, only "true" and "1" overwrite (upload_image_basic)."""
    sizes = [8, 8, 9, 9, 10]
    names = [said(store_image(disk, form("a.png", png(size, size))))[0] for size in sizes]
    overwrites = [(11, "true"), (12, "1"), (13, "false"), (14, "True")]
    names += [said(store_image(disk, form("a.png", png(size, size), overwrite=word)))[0] for size, word in overwrites]
    assert names == [
        "a.png", "a.png", "a (1).png", "a (1).png", "a (2).png", "a.png", "a.png", "a (3).png", "a (4).png",
    ]
    assert (tmp_path / "input/a.png").read_bytes() == png(12, 12)
    assert len(files(tmp_path)) == 5


@pytest.mark.parametrize(
    ("name", "second"),
    [("x.tar.gz", "x.tar (1).gz"), ("x", "x (1)"), (".x", ".x (1)"), ("d.d/x", "d.d/x (1)"), ("猫.png", "猫 (1).png")],
)
def test_the_number_stands_before_the_last_dot(disk: Disk, tmp_path: Path, name: str, second: str) -> None:
    """Of the file's own name."""
    (tmp_path / "input/d.d").mkdir()
    assert said(store_image(disk, form(name, b"1")))[0] == name
    assert said(store_image(disk, form(name, b"2")))[0] == second


def test_any_content_is_stored(disk: Disk, tmp_path: Path) -> None:
    """Text, nothing at all, and what looks like the end of a form."""
    for content in (b"text", b"", b"\r\n--lin", bytes(range(256)) * 1000):
        name = said(store_image(disk, form("a.bin", content)))[0]
        assert (tmp_path / "input" / name).read_bytes() == content


def test_uploads_go_where_type_and_subfolder_say(disk: Disk, tmp_path: Path) -> None:
    """And the answer repeats them as they were sent (upload_image_places)."""
    assert said(store_image(disk, form("a.png", b"1", subfolder="s"))) == ("a.png", "s", "input")
    assert said(store_image(disk, form("a.png", b"1", subfolder="a/b"))) == ("a.png", "a/b", "input")
    assert said(store_image(disk, form("a.png", b"1", type="temp"))) == ("a.png", "", "temp")
    assert said(store_image(disk, form("a.png", b"1", type="output"))) == ("a.png", "", "output")
    assert said(store_image(disk, form("a.png", b"1", subfolder="./x//y/"))) == ("a.png", "./x//y/", "input")
    assert said(store_image(disk, form("a.png", b"1", subfolder="../input"))) == ("a.png", "../input", "input")
    assert files(tmp_path) == [
        "input/a.png", "input/a/b/a.png", "input/s/a.png", "input/x/y/a.png", "output/a.png", "temp/a.png",
    ]
    at_once(disk.remove_uploads())
    assert files(tmp_path) == []
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["input", "output", "temp"]


@pytest.mark.parametrize(
    "sent", [None, Form({}), Form({"type": "input"}), parse_form("application/x-www-form-urlencoded", b"")]
)
def test_without_an_image_the_answer_is_an_empty_400(disk: Disk, sent: Form | None) -> None:
    """For masks, too; also where there was no form at all."""
    assert store_image(disk, sent) == store_mask(disk, sent) == Answer(400, (), b"")


@pytest.mark.parametrize(
    ("name", "subfolder"),
    [("a", ".."), ("a", "/etc"), ("../a", ""), ("x/../../a", ""), ("input/a", "../new"), ("a", "x/../..")],
)
def test_a_way_out_of_the_folder_is_an_empty_400(disk: Disk, tmp_path: Path, name: str, subfolder: str) -> None:
    """And nothing is made outside."""
    assert store_image(disk, form(name, b"1", subfolder=subfolder)) == Answer(400, (), b"")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["input", "output", "temp"]


@pytest.mark.parametrize(
    "sent",
    [
        form("a.png", b"1", type="bogus"),
        form("a.png", b"1", type=""),
        form("missing/a.png", b"1"),
        form(".", b"1"),
        form("n" * 300, b"1"),
        form("a.png", b"1", subfolder="taken"),
        Form({"image": "a plain string"}),
        Form({"image": b"bytes"}),
        Form({"image": SentFile("a", b"1"), "subfolder": b"bytes"}),
        Form({"image": SentFile("a\0b", b"1")}),
    ],
)
def test_what_comfyui_stumbles_over_is_a_500(disk: Disk, tmp_path: Path, sent: Form | None) -> None:
    """And nothing is written."""
    (tmp_path / "input/taken").write_bytes(b"a file, no folder")
    with pytest.raises(ServerError):
        store_image(disk, sent)
    assert files(tmp_path) == ["input/taken"]


# The mask.


def test_a_mask_gives_its_alpha_to_the_original(disk: Disk, tmp_path: Path) -> None:
    """The result stands under the uploaded name, with the colours and texts of the original (upload_mask)."""
    texts = PngInfo()
    texts.add_text("prompt", "{}")
    store_image(disk, form("a.png", png(8, 8, pnginfo=texts)))
    ref = json.dumps({"filename": "a.png", "type": "input", "subfolder": ""})
    mask = form("m.png", png(8, 8, alpha=100), original_ref=ref, type="input")
    assert said(store_mask(disk, mask)) == ("m.png", "", "input")
    with Image.open(tmp_path / "input/m.png") as image:
        assert (image.mode, image.getcolors()) == ("RGBA", [(64, (255, 0, 0, 100))])
        assert image.info["prompt"] == "{}"


def test_masks_get_free_names_as_images_do(disk: Disk) -> None:
    """Another content, another name."""
    store_image(disk, form("a.png", png(8, 8)))
    ref = json.dumps({"filename": "a.png [input]"})
    sent = [form("m.png", png(8, 8, alpha=alpha), original_ref=ref) for alpha in (1, 2)]
    assert [said(store_mask(disk, mask))[0] for mask in sent] == ["m.png", "m (1).png"]


@pytest.mark.parametrize(
    "ref",
    [
        {"filename": "nope.png", "type": "input"},
        {"filename": "../x.png"},
        {"filename": "/x.png"},
        {"filename": ""},
        {"filename": "a.png", "type": "bogus"},
        {"filename": "a.png", "type": None},
        {"filename": "a.png", "type": "input", "subfolder": ".."},
    ],
)
def test_a_mask_without_its_original_is_a_200_and_no_file(disk: Disk, tmp_path: Path, ref: dict[str, Any]) -> None:
    """ComfyUI shrugs."""
    store_image(disk, form("a.png", png(8, 8)))
    assert said(store_mask(disk, form("m.png", png(8, 8, alpha=0), original_ref=json.dumps(ref))))[0] == "m.png"
    assert files(tmp_path) == ["input/a.png"]


@pytest.mark.parametrize(
    "ref", ["not json", "{}", "[]", "5", '{"filename": 5}', '{"filename": "a.png", "subfolder": 5}', None]
)
def test_a_mask_with_a_bad_reference_is_a_500(disk: Disk, ref: str | None) -> None:
    """Or without one."""
    with pytest.raises(ServerError):
        store_mask(disk, form("m.png", png(8, 8, alpha=0), **({} if ref is None else {"original_ref": ref})))


@pytest.mark.parametrize(
    ("name", "content", "original"),
    [
        ("m.png", b"no picture", png()),
        ("m.png", png(9, 9, alpha=1), png()),
        ("m.png", png(alpha=1), b"no picture"),
        ("m.xyz", png(alpha=1), png()),
        ("m.jpg", png(alpha=1), png()),
    ],
)
def test_a_mask_that_does_not_fit_is_a_500(
    disk: Disk, tmp_path: Path, name: str, content: bytes, original: bytes
) -> None:
    """No picture, another size, a format without alpha."""
    store_image(disk, form("a.png", original))
    with pytest.raises(ServerError):
        store_mask(disk, form(name, content, original_ref='{"filename": "a.png", "type": "input"}'))
    assert files(tmp_path) == ["input/a.png"]


@pytest.mark.parametrize("body", [b"a=1&" * 1000, b"&" * 1000])
def test_a_form_in_the_url_s_encoding_has_at_most_1000_fields_empty_ones_included(body: bytes) -> None:
    kind = "application/x-www-form-urlencoded"
    assert parse_form(kind, body[:-1]) is not None
    with pytest.raises(TooManyFields):
        parse_form(kind, body + b"b=2")
