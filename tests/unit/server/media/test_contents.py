"""What delivered bytes are: whole pictures, halves, and things that are no pictures."""

from __future__ import annotations

from io import BytesIO
from random import Random

import pytest
from PIL import Image

from comfyfarm.config.recorded import default_picture
from comfyfarm.server.media.contents import kind_of
from comfyfarm.server.media.pictures import ImageRenderer
from comfyfarm.sim.files import FileContent
from comfyfarm.sim.values import Picture


def made(suffix: str, *, count: int = 1) -> bytes:
    """A file as a dynamic instance writes it."""
    content = FileContent(Picture(64, 48, count), {"prompt": "{}"}, "{}")
    return ImageRenderer(default_picture()).render(f"a{suffix}", content)


def encoded(kind: str) -> bytes:
    """A picture as other software encodes it."""
    file = BytesIO()
    Image.effect_noise((40, 30), 60).convert("RGB").save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize("suffix", [".png", ".webp", ".jpg"])
@pytest.mark.parametrize("count", [1, 3])
def test_a_picture_of_the_farm_is_whole_or_cut(suffix: str, count: int) -> None:
    whole = made(suffix, count=count)
    assert kind_of(whole) == "picture"
    assert {kind_of(whole[:size]) for size in (20, len(whole) // 2, len(whole) - 3)} == {"cut"}


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_a_picture_that_was_encoded_again_is_whole(kind: str) -> None:
    assert kind_of(encoded(kind)) == "picture"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_half_of_a_picture_that_was_encoded_again_is_cut(kind: str) -> None:
    whole = encoded(kind)
    assert kind_of(whole[: len(whole) // 2]) == "cut"


def test_the_preview_of_a_sampler_is_not_the_picture() -> None:
    preview = ImageRenderer(default_picture()).preview_jpeg(1024, 768)
    assert Image.open(BytesIO(preview)).size == (512, 384)
    assert kind_of(preview) == "preview"
    assert kind_of(preview[: len(preview) // 2]) == "cut"


def test_an_avif_is_a_picture_whether_or_not_it_can_be_decoded_here() -> None:
    assert kind_of(b"\0\0\0\x20ftypavif" + bytes(40)) == "picture"


def test_a_picture_larger_than_pillow_decodes_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    assert kind_of(encoded("JPEG")) == "picture"


def test_a_picture_with_other_bytes_in_its_middle_is_damaged() -> None:
    whole = made(".png")
    middle = len(whole) // 2
    assert kind_of(whole[:middle] + Random(1).randbytes(20) + whole[middle + 20 :]) == "damaged"
    assert kind_of(whole[:8] + bytes(len(whole) - 8)) == "damaged"


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "empty"),
        (b"\x89PNG", "cut"),
        (b"\xff\xd8\xff\xe0", "cut"),
        (b"<html><body>502 Bad Gateway", "HTML"),
        (b"\n<!DOCTYPE html>\n<p>", "HTML"),
        (b'{"error": "not found"}', "JSON"),
        (b"[]", "JSON"),
        ("404: Não".encode(), "text"),
        (b"\0\1\2", "data"),
        (b"text\0", "data"),
        (Random(2).randbytes(500), "data"),
        (b"RIFF\4\0\0\0WAVE", "data"),
    ],
)
def test_what_is_no_picture_is_named(content: bytes, kind: str) -> None:
    assert kind_of(content) == kind
