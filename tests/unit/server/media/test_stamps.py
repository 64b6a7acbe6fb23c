"""The stamp of a picture, read back from the files that a dynamic instance writes."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from comfyfarm.config.recorded import default_picture
from comfyfarm.events.stamp import Stamp
from comfyfarm.server.media import SUFFIXES
from comfyfarm.server.media.pictures import ImageRenderer
from comfyfarm.server.media.stamps import read_stamp
from comfyfarm.sim.files import FileContent
from comfyfarm.sim.values import Picture

ORIGIN: dict[str, Any] = {
    "instance": "gpu-1",
    "epoch": 2,
    "prompt_id": "p1",
    "job": "Grüße \N{SMILING FACE WITH SMILING EYES} 猫",
    "node": "9",
    "index": 3,
}
PROMPT = json.dumps({"1": {"class_type": "x", "inputs": {"text": json.dumps({**ORIGIN, "job": "another"})}}})


def picture(name: str, *, count: int = 1, stamp: str | None = None) -> bytes:
    written = FileContent(Picture(64, 48, count), {"prompt": PROMPT}, json.dumps(ORIGIN) if stamp is None else stamp)
    return ImageRenderer(default_picture()).render(name, written)


def with_text(text: str) -> bytes:
    info, file = PngInfo(), BytesIO()
    info.add_itxt("comfyfarm", text)
    Image.new("RGB", (4, 4)).save(file, "PNG", pnginfo=info)
    return file.getvalue()


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.jpg", "a.jpeg"])
@pytest.mark.parametrize("count", [1, 3])
def test_a_picture_says_whose_it_is(name: str, count: int) -> None:
    """Not what its prompt says."""
    assert read_stamp(picture(name, count=count)) == Stamp(**ORIGIN)


@pytest.mark.parametrize("suffix", [*sorted(SUFFIXES), ".txt", ".wav"])
def test_a_file_that_is_no_picture_says_whose_it_is_too(suffix: str) -> None:
    assert read_stamp(picture(f"a{suffix}")) == Stamp(**ORIGIN)


def test_a_picture_that_was_cut_short_says_so_too() -> None:
    whole = picture("a.png")
    assert read_stamp(whole[: len(whole) * 2 // 3]) == Stamp(**ORIGIN)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no picture",
        b"\x89PNG\r\n\x1a\n",
        picture("a.png")[:40],
        picture("a.webp")[:40],
        default_picture(),
        picture("a.png", stamp="{}"),
        picture("a.jpg", stamp=json.dumps({**ORIGIN, "epoch": "two"})),
        with_text("[" * 100_000),
        with_text("null"),
    ],
    ids=range(10),
)
def test_what_bears_no_stamp_of_ours_says_nothing(content: bytes) -> None:
    assert read_stamp(content) is None


def test_a_picture_that_somebody_saved_again_has_lost_its_stamp() -> None:
    file = BytesIO()
    Image.open(BytesIO(picture("a.png"))).save(file, "PNG")
    assert read_stamp(file.getvalue()) is None
