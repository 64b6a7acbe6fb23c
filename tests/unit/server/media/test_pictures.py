"""The bytes of pictures."""

import hashlib
import json
import os
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from comfyfarm.server.media.pictures import ImageRenderer, UnreadablePicture, picture_size, read_picture
from comfyfarm.sim.files import FileContent
from comfyfarm.sim.values import Picture

PROMPT = json.dumps({"1": {"class_type": "EmptyImage", "inputs": {"text": "Grüße 猫"}}})
STAMP = json.dumps({"instance": "alpha", "index": 0})


def as_bytes(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def gradient(width: int = 30, height: int = 20) -> Image.Image:
    ramp = Image.linear_gradient("L").resize((width, height))
    return Image.merge("RGB", (ramp, ramp.rotate(180), ramp.transpose(Image.Transpose.FLIP_LEFT_RIGHT)))


def opened(content: bytes) -> Any:
    image = Image.open(BytesIO(content))
    image.load()
    return image


def written(
    width: int, height: int, *, text: dict[str, str] | None = None, stamp: str = STAMP, count: int = 1, **look: Any
) -> FileContent:
    return FileContent(Picture(width, height, count, **look), {"prompt": PROMPT} if text is None else text, stamp)


@pytest.fixture
def renderer() -> ImageRenderer:
    return ImageRenderer(as_bytes(gradient()))


def test_a_file_is_an_8_bit_rgb_png_of_the_asked_size_with_the_input_picture(renderer: ImageRenderer) -> None:
    """At its own size not a pixel differs."""
    same = opened(renderer.render("a.png", written(30, 20)))
    other = opened(renderer.render("a.png", written(64, 48)))
    assert (same.format, same.mode, same.size, same.tobytes()) == ("PNG", "RGB", (30, 20), gradient().tobytes())
    assert (other.mode, other.size) == ("RGB", (64, 48))
    assert other.getpixel((0, 0)) != other.getpixel((63, 47))


def test_a_renderer_knows_the_size_of_its_input_picture(renderer: ImageRenderer) -> None:
    """It is the picture that a static instance serves."""
    assert renderer.size == (30, 20)


@pytest.mark.parametrize("size", [(1, 1), (2000, 3), (3, 2000), (1031, 1201), (2048, 1536)])
def test_any_size_can_be_read_and_shows_the_whole_picture(renderer: ImageRenderer, size: tuple[int, int]) -> None:
    """Big ones are drawn from fewer dots; top and bottom are still where they were."""
    image = opened(renderer.render("a.png", written(*size)))
    assert image.size == size
    small, whole = image.resize((5, 5)), gradient().resize((5, 5))
    if min(size) > 100:
        pairs = zip(small.tobytes(), whole.tobytes(), strict=True)
        assert max(abs(a - b) for a, b in pairs) < 20


def test_text_chunks_are_as_comfyui_writes_them_and_the_stamp_is_an_itxt(renderer: ImageRenderer) -> None:
    """Pillow, and any client, reads the prompt back; one more chunk proves where the file is from."""
    text = {"prompt": PROMPT, "workflow": '{"id": 1}'}
    content = renderer.render("a.png", written(8, 8, text=text, stamp='{"é": "猫"}'))
    assert opened(content).text == {**text, "comfyfarm": '{"é": "猫"}'}
    assert content.count(b"tEXtprompt\0") == content.count(b"tEXtworkflow\0") == content.count(b"iTXtcomfyfarm\0") == 1
    assert content.index(b"iTXtcomfyfarm") < content.index(b"IDAT")


def test_a_text_beyond_latin_1_becomes_an_itxt(renderer: ImageRenderer) -> None:
    """It is not lost, and nothing breaks."""
    content = renderer.render("a.png", written(8, 8, text={"workflow": "猫"}))
    assert b"iTXtworkflow" in content
    assert opened(content).text["workflow"] == "猫"


@pytest.mark.parametrize("key", ["", "k" * 200, "猫", "a\0b"])
def test_a_strange_key_of_extra_pnginfo_does_not_spoil_the_file(renderer: ImageRenderer, key: str) -> None:
    """The keys are whatever a client sent; the pixels and the stamp can be read all the same."""
    image = opened(renderer.render("a.png", written(8, 8, text={key: "{}"})))
    assert image.text["comfyfarm"] == STAMP
    assert len(image.text) == 2


def test_every_file_of_a_batch_has_its_own_sha256(renderer: ImageRenderer) -> None:
    """Their pixels are the same; their stamps are not."""
    names = ("a.png", "a.webp", "a.jpg")
    stamps = [f'{{"index": {index}}}' for index in range(4)]
    files = [renderer.render(name, written(8, 8, stamp=stamp)) for name in names for stamp in stamps]
    assert len({hashlib.sha256(file).digest() for file in files}) == 12


@pytest.mark.parametrize("size", [(16, 8), (1, 1), (1500, 1400)])
def test_a_known_colour_fills_the_picture(renderer: ImageRenderer, size: tuple[int, int]) -> None:
    """As EmptyImage's does."""
    image = opened(renderer.render("a.png", written(*size, colour=0xFF8001)))
    assert image.getcolors() == [(size[0] * size[1], (0xFF, 0x80, 0x01))]


def test_the_pixels_of_an_uploaded_picture_are_used_where_it_is_known(renderer: ImageRenderer) -> None:
    """Else it is the input picture."""
    green = as_bytes(Image.new("RGB", (3, 3), "lime"))
    files = {"d1": green, "d2": b"no picture"}
    shown = [opened(renderer.render("a.png", written(4, 4, source=source), files.get)) for source in ("d1", "d2", "d3")]
    assert shown[0].getcolors() == [(16, (0, 255, 0))]
    assert shown[1].tobytes() == shown[2].tobytes() == gradient().resize((4, 4), Image.Resampling.BILINEAR).tobytes()


def test_an_uploaded_photograph_is_turned_by_its_exif(renderer: ImageRenderer) -> None:
    """As LoadImage turns it, in its size as well."""
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = as_bytes(Image.new("RGB", (40, 10), "blue"), "JPEG", exif=exif)
    assert opened(renderer.render("a.png", written(10, 40, source="d"), lambda _: photo)).size == (10, 40)


@pytest.mark.parametrize(("name", "kind"), [("a.png", "PNG"), ("a.webp", "WEBP")])
@pytest.mark.parametrize(("size", "count"), [((64, 48), 3), ((1, 1), 2), ((7, 5), 30)])
def test_several_pictures_make_an_animation(
    renderer: ImageRenderer, name: str, kind: str, size: tuple[int, int], count: int
) -> None:
    """Every frame can be decoded."""
    image = opened(renderer.render(name, written(*size, count=count)))
    assert (image.format, image.size, image.n_frames) == (kind, size, count)
    for frame in range(count):
        image.seek(frame)
        image.load()


def test_the_frames_of_an_animation_differ(renderer: ImageRenderer) -> None:
    """A square moves along."""
    image = opened(renderer.render("a.png", written(200, 100, count=4, colour=0)))
    seen = set()
    for frame in range(4):
        image.seek(frame)
        seen.add(image.convert("RGB").tobytes())
    assert len(seen) == 4


def test_a_webp_keeps_prompt_workflow_and_stamp_in_its_exif(renderer: ImageRenderer) -> None:
    """Prompt and workflow are in the tags that ComfyUI uses."""
    text = {"prompt": "{}", "workflow": "[1]", "a": "1", "b": "2", "c": "3"}
    exif = opened(renderer.render("a.webp", written(8, 8, text=text))).getexif()
    assert (exif[0x0110], exif[0x010F], exif[0x0131]) == ("prompt:{}", "workflow:[1]", f"comfyfarm:{STAMP}")


def test_a_jpeg_keeps_them_too_unless_they_are_too_long(renderer: ImageRenderer) -> None:
    """A JPEG has 64 KiB for them; the stamp is always there."""
    short = opened(renderer.render("a.JPG", written(8, 8)))
    long = opened(renderer.render("a.jpeg", written(8, 8, text={"prompt": "x" * 70_000})))
    assert (short.format, short.size) == ("JPEG", (8, 8))
    assert short.getexif()[0x0110].startswith("prompt:")
    assert 0x0110 not in long.getexif()
    assert long.getexif()[0x0131] == f"comfyfarm:{STAMP}"


def test_a_webp_is_never_bigger_than_the_format_allows(renderer: ImageRenderer) -> None:
    """16383 pixels a side."""
    assert opened(renderer.render("a.webp", written(17_000, 1, colour=1))).size == (16383, 1)


@pytest.mark.parametrize(
    ("asked", "given"), [((512, 768), (341, 512)), ((2048, 1024), (512, 256)), ((64, 32), (64, 32))]
)
def test_a_sampler_preview_is_a_jpeg_of_at_most_512_pixels(
    renderer: ImageRenderer, asked: tuple[int, int], given: tuple[int, int]
) -> None:
    """As ComfyUI sends them."""
    image = opened(renderer.preview_jpeg(*asked))
    assert (image.format, image.size) == ("JPEG", given)


def test_a_picture_for_the_websocket_is_a_png_in_full_size_without_text(renderer: ImageRenderer) -> None:
    """As SaveImageWebsocket sends it."""
    image = opened(renderer.preview_png(Picture(600, 700, count=3)))
    assert (image.format, image.mode, image.size, image.text) == ("PNG", "RGB", (600, 700), {})


def test_pixels_are_compressed_once_for_each_look_and_size(renderer: ImageRenderer) -> None:
    """A further file of that size is a join of bytes."""
    for index in range(3):
        renderer.render("a.png", written(30, 20, stamp=str(index)))
        renderer.preview_png(Picture(30, 20, count=index))
        renderer.preview_jpeg(64, 64)
    assert len(renderer._cache.items) == 2


def test_what_is_kept_is_bounded(renderer: ImageRenderer) -> None:
    """The least used goes first, by bytes and by number."""
    cache = renderer._cache
    cache.max_bytes, cache.max_count = 100, 3
    history = []
    for key, size in (("a", 40), ("b", 40), ("a", 40), ("c", 40), ("d", 1), ("e", 1), ("huge", 1000)):
        cache.get(key, bytes(size).__bytes__)
        assert cache.size_bytes == sum(map(len, cache.items.values()))
        history.append("".join(map(str, cache.items)))
    assert history == ["a", "ab", "ba", "ac", "acd", "cde", "huge"]


def test_a_readable_picture_is_given_back_as_it_is(tmp_path: Path) -> None:
    """From a path or from bytes."""
    content = as_bytes(gradient(), "JPEG")
    (tmp_path / "cat.jpg").write_bytes(content)
    assert read_picture(tmp_path / "cat.jpg") == read_picture(content) == content


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"this is not an image", "not a picture"),
        (as_bytes(Image.effect_noise((90, 90), 90))[:4000], "truncated"),
        (as_bytes(Image.effect_noise((90, 90), 90), "JPEG")[:3000], "truncated"),
    ],
)
def test_what_is_no_whole_picture_is_refused_with_the_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    """Also where only the end is missing."""
    (tmp_path / "cat.png").write_bytes(content)
    with pytest.raises(UnreadablePicture, match=reason):
        read_picture(content)
    with pytest.raises(UnreadablePicture, match=rf"cat\.png: .*{reason}"):
        read_picture(tmp_path / "cat.png")


def test_a_missing_picture_is_refused_with_the_reason(tmp_path: Path) -> None:
    """So is a folder."""
    with pytest.raises(UnreadablePicture, match=r"cat\.png: No such file or directory"):
        read_picture(tmp_path / "cat.png")
    with pytest.raises(UnreadablePicture, match="Is a directory"):
        read_picture(tmp_path)


def test_too_many_pixels_are_refused_before_they_are_decoded() -> None:
    """A PNG of a few bytes may claim to be enormous."""
    head = as_bytes(Image.new("1", (1, 1)))
    claim = head[:16] + (60_000).to_bytes(4, "big") * 2 + head[24:29]
    bomb = claim + zlib.crc32(claim[12:29]).to_bytes(4, "big") + head[33:]
    with pytest.raises(UnreadablePicture, match="exceeds limit"):
        read_picture(bomb)


def test_the_size_comes_from_the_header(tmp_path: Path) -> None:
    """None where it is no picture."""
    (tmp_path / "a.png").write_bytes(as_bytes(gradient(300, 200))[:200])
    (tmp_path / "b.png").write_bytes(b"text")
    sizes = [picture_size(tmp_path / name) for name in ("a.png", "b.png", "none.png")]
    assert sizes == [(300, 200), None, None]


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_picture_is_no_pipe_and_no_device(tmp_path: Path, kind: str) -> None:
    """One might never end, or begin."""
    path = Path("/dev/zero")
    if kind == "pipe":
        path = tmp_path / "pipe"
        os.mkfifo(path)
    with pytest.raises(UnreadablePicture, match=rf"{path}: it is a device, a pipe or a socket, and no file"):
        read_picture(path)
