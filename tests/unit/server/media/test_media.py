"""Output files that are no pictures."""

import json
import struct
import zlib
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from typing import Any
from xml.etree import ElementTree as ET

import msgspec
import pytest
from PIL import Image

from comfyfarm.events.stamp import Stamp
from comfyfarm.server.files.views import declared_type
from comfyfarm.server.media import SUFFIXES, encode
from comfyfarm.server.media.pictures import ImageRenderer
from comfyfarm.sim.files import FileContent
from comfyfarm.sim.values import Picture

PROMPT = json.dumps({"1": {"class_type": "SaveAudio", "inputs": {"text": "<Grüße> 猫"}}})
WORKFLOW = '{"id": 1}'
STAMP = json.dumps({"instance": "alpha", "node": "9", "index": 0})
TEXTS = {"prompt": PROMPT, "workflow": WORKFLOW, "comfyfarm": STAMP}

MAGIC = {
    ".exr": b"v/1\1\2\0\0\0",
    ".flac": b"fLaC",
    ".glb": b"glTF\2\0\0\0",
    ".gltf": b'{"asset": ',
    ".latent": b"",
    ".mp3": b"ID3\4",
    ".mp4": b"\0\0\0\x20ftypisom",
    ".obj": b"# {",
    ".opus": b"OggS",
    ".ply": b"ply\nformat ascii 1.0\n",
    ".stl": b"solid {",
    ".svg": b"<?xml ",
    ".webm": b"\x1a\x45\xdf\xa3",
}
AS_TEXT = (".ksplat", ".splat", ".spz", ".wav", ".txt", ".fbx", ".usdz", "")

# The rest is unknown to Python, or known to its newer releases only.
TYPES = {
    ".mp3": "audio/mpeg",
    ".opus": "audio/opus",
    ".mp4": "video/mp4",
    ".webm": "video/webm",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
}


def written(**change: Any) -> FileContent:
    text = {"prompt": PROMPT, "workflow": WORKFLOW}
    return replace(FileContent(Picture(96, 64, 3), text, STAMP), **change)


def made(suffix: str, **change: Any) -> bytes:
    return encode(suffix, written(**change))


def crc(data: bytes, polynomial: int, bits: int) -> int:
    """Bit by bit, from the most significant."""
    rest = 0
    for byte in data:
        rest ^= byte << (bits - 8)
        for _ in range(8):
            rest = (rest << 1 ^ (polynomial if rest >> (bits - 1) else 0)) & ((1 << bits) - 1)
    return rest


# All of them.


def test_every_suffix_has_the_beginning_that_a_reader_looks_for() -> None:
    """And all are small."""
    assert set(MAGIC) == SUFFIXES
    for suffix, magic in MAGIC.items():
        file = made(suffix)
        assert file.startswith(magic), suffix
        assert len(file) < 6000, suffix


@pytest.mark.parametrize("suffix", sorted({*SUFFIXES, *AS_TEXT}))
def test_two_files_differ_and_a_file_made_again_does_not(suffix: str) -> None:
    """Proof of origin; and the same farm gives the same bytes."""
    files = {made(suffix, stamp=json.dumps({"index": index})) for index in range(50)}
    assert len(files) == 50
    assert made(suffix) == made(suffix)


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_the_stamp_can_be_found(suffix: str) -> None:
    """As it is, or as JSON in JSON; the texts of ComfyUI beside it."""
    file = made(suffix)
    kept = {STAMP.encode(), json.dumps(STAMP)[1:-1].encode()}
    assert any(text in file for text in kept)
    assert b"SaveAudio" in file


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
@pytest.mark.parametrize("key", ["", "k" * 200, "猫=", "a\0b", "\ud800", "channels"])
def test_whatever_a_client_says_in_extra_pnginfo_spoils_nothing(suffix: str, key: str) -> None:
    """The keys are its own; the values are JSON, but may be long."""
    assert made(suffix, text={key: "{}", "prompt": "\ud800" + "x" * 70_000}, stamp='{"é": "\n猫"}')


@pytest.mark.parametrize("suffix", AS_TEXT)
def test_a_file_of_any_other_format_holds_its_stamp_as_text(suffix: str) -> None:
    """So that one can still tell which job made it."""
    stamp = Stamp(instance="alpha", epoch=1, prompt_id="p", job="Grüße", node="9", index=0)
    file = made(suffix, stamp=msgspec.json.encode(stamp).decode())
    assert Stamp.parse(file) == stamp
    assert suffix not in SUFFIXES


@pytest.mark.parametrize(("suffix", "kind"), TYPES.items())
def test_the_name_gives_the_type_that_the_bytes_have(suffix: str, kind: str) -> None:
    """The content types that ``/view`` sends for them."""
    assert declared_type(f"ComfyUI_00001_{suffix}") == kind


def test_a_renderer_makes_them_by_name_and_pictures_as_before() -> None:
    """The case of the suffix does not matter."""
    file = BytesIO()
    Image.new("RGB", (4, 4)).save(file, "PNG")
    renderer = ImageRenderer(file.getvalue())
    assert renderer.render("a.FLAC", written()) == made(".flac")
    assert renderer.render("a.b.latent", written()) == made(".latent")
    assert renderer.render("a.WAV", written()) == renderer.render("a.fbx", written()) == STAMP.encode()
    kinds = {suffix: Image.open(BytesIO(renderer.render(f"a{suffix}", written()))).format
             for suffix in (".png", ".webp", ".jpg", ".jpeg", ".gif", ".bmp")}
    assert kinds == {
        ".png": "PNG", ".webp": "WEBP", ".jpg": "JPEG", ".jpeg": "JPEG", ".gif": "PNG", ".bmp": "PNG",
    }


# Sounds.


def flac_blocks(file: bytes) -> tuple[dict[int, bytes], bytes]:
    """The metadata by kind, and the frames."""
    at, blocks, last = 4, {}, False
    while not last:
        last, kind = bool(file[at] & 0x80), file[at] & 0x7F
        end = at + 4 + int.from_bytes(file[at + 1 : at + 4], "big")
        blocks[kind] = file[at + 4 : end]
        at = end
    return blocks, file[at:]


def vorbis(comments: bytes) -> dict[str, str]:
    """The fields of a comment block, which must end where it does."""
    at = 4 + struct.unpack_from("<I", comments)[0]
    (number,) = struct.unpack_from("<I", comments, at)
    at, fields = at + 4, []
    for _ in range(number):
        (size,) = struct.unpack_from("<I", comments, at)
        fields.append(comments[at + 4 : at + 4 + size].decode())
        at += 4 + size
    assert at == len(comments)
    return dict(field.split("=", 1) for field in fields)


def test_a_flac_has_its_texts_and_frames_with_both_checksums() -> None:
    blocks, frames = flac_blocks(made(".flac"))
    assert {kind: len(block) for kind, block in blocks.items() if kind == 0} == {0: 34}
    assert vorbis(blocks[4]) == TEXTS
    for number, frame in enumerate((frames[:14], frames[14:])):
        assert (frame[:2], frame[4]) == (b"\xff\xf8", number)
        assert crc(frame[:6], 0x07, 8) == crc(frame, 0x8005, 16) == 0


def test_a_flac_leaves_out_texts_that_are_too_long() -> None:
    """A block has 24 bits for its size."""
    blocks, _ = flac_blocks(made(".flac", text={"prompt": "x" * (1 << 24)}))
    assert vorbis(blocks[4]) == {"comfyfarm": STAMP}


def test_an_mp3_has_whole_frames_after_its_texts() -> None:
    file = made(".mp3")
    size = sum(seven << shift for seven, shift in zip(file[6:10], (21, 14, 7, 0), strict=True))
    texts, frames = file[10 : 10 + size], file[10 + size :]
    assert texts.split(b"TXXX")[0] == b""
    assert len(texts.split(b"TXXX")) == 4
    length = 144 * 32_000 // 44_100
    assert {frames[at : at + 4] for at in range(0, len(frames), length)} == {b"\xff\xfb\x10\xc4"}
    assert len(frames) % length == 0


def ogg_pages(file: bytes) -> Iterator[tuple[int, int, bytes, bytes]]:
    """Flags, number, lacing and data of each page, whose checksum must be right."""
    at = 0
    while at < len(file):
        flags, number = file[at + 5], struct.unpack_from("<I", file, at + 18)[0]
        lacing = file[at + 27 : at + 27 + file[at + 26]]
        start = at + 27 + len(lacing)
        end = start + sum(lacing)
        page = file[at:end]
        assert page[:4] == b"OggS"
        assert struct.unpack("<I", page[22:26])[0] == crc(page[:22] + bytes(4) + page[26:], 0x04C11DB7, 32)
        yield flags, number, lacing, file[start:end]
        at = end


# What is before the prompt's value, and the stamp behind it, take up a hundred bytes or so: some length ends a page.
@pytest.mark.parametrize("length", [0, 255, *range(64_860, 64_960), 140_000])
def test_an_opus_file_is_ogg_with_head_tags_and_sound(length: int) -> None:
    """Long texts go over several pages."""
    pages = list(ogg_pages(made(".opus", text={"prompt": "x" * length})))
    assert [number for _, number, _, _ in pages] == list(range(len(pages)))
    assert (pages[0][0], pages[-1][0]) == (2, 4)
    assert pages[0][3].startswith(b"OpusHead\1\1")
    assert pages[-1][3] == b"\xf8\xff\xfe" * 5
    tags = pages[1:-1]
    assert [flags for flags, *_ in tags] == [0] + [1] * (len(tags) - 1)
    lacing = b"".join(page[2] for page in tags)
    assert [index for index, size in enumerate(lacing) if size < 255] == [len(lacing) - 1]
    packet = b"".join(page[3] for page in tags)
    assert packet.startswith(b"OpusTags")
    assert vorbis(packet[8:]) == {"prompt": "x" * length, "comfyfarm": STAMP}


# Films.


def boxes(data: bytes) -> dict[bytes, bytes]:
    """The boxes of an MP4, which must fill their parent."""
    found, at = {}, 0
    while at < len(data):
        (size,) = struct.unpack_from(">I", data, at)
        found[data[at + 4 : at + 8]] = data[at + 8 : at + size]
        at += size
    assert at == len(data)
    return found


def test_an_mp4_says_how_large_and_how_long_it_is_and_where_its_frame_lies() -> None:
    file = made(".mp4")
    whole = boxes(file)
    moov = boxes(whole[b"moov"])
    assert struct.unpack_from(">II", moov[b"mvhd"], 12) == (1000, 126)
    track = boxes(moov[b"trak"])
    assert struct.unpack(">II", track[b"tkhd"][-8:]) == (96 << 16, 64 << 16)
    table = boxes(boxes(boxes(track[b"mdia"])[b"minf"])[b"stbl"])
    (size,), (offset,) = struct.unpack_from(">I", table[b"stsz"], 12), struct.unpack_from(">I", table[b"stco"], 8)
    assert file[offset : offset + size] == whole[b"mdat"]
    assert boxes(table[b"stsd"][8:])[b"avc1"][-43:].count(b"avcC") == 1


def test_an_mp4_keeps_its_texts_as_ffmpeg_does() -> None:
    meta = boxes(boxes(boxes(made(".mp4"))[b"moov"])[b"meta"][4:])
    assert meta[b"keys"][8:].count(b"mdta") == 3
    texts = [boxes(item)[b"data"][8:].decode() for item in boxes(meta[b"ilst"]).values()]
    assert texts == list(TEXTS.values())


def elements(data: bytes) -> Iterator[tuple[str, bytes]]:
    """The elements of EBML, as we write them: with sizes of eight bytes."""
    at = 0
    while at < len(data):
        length = 9 - data[at].bit_length()
        size = int.from_bytes(data[at + length + 1 : at + length + 8], "big")
        start = at + length + 8
        yield data[at : at + length].hex(), data[start : start + size]
        at = start + size
    assert at == len(data)


def test_a_webm_says_how_large_and_how_long_it_is() -> None:
    head, segment = elements(made(".webm"))
    assert dict(elements(head[1]))["4282"] == b"webm"
    parts = dict(elements(segment[1]))
    assert struct.unpack(">d", dict(elements(parts["1549a966"]))["4489"]) == (126,)
    video = dict(elements(dict(elements(dict(elements(parts["1654ae6b"]))["ae"]))["e0"]))
    assert (video["54b0"], video["54ba"]) == (b"\x60", b"\x40")
    tags = [dict(elements(tag)) for name, tag in elements(dict(elements(parts["1254c367"]))["7373"]) if name == "67c8"]
    assert {tag["45a3"].decode(): tag["4487"].decode() for tag in tags} == TEXTS


def test_the_frame_of_a_webm_is_one_that_pillow_reads() -> None:
    """A lossy WebP holds VP8, too."""
    segment = dict(elements(made(".webm")))["18538067"]
    frame = dict(elements(dict(elements(segment))["1f43b675"]))["a3"][4:]
    chunk = b"VP8 " + struct.pack("<I", len(frame)) + frame
    image = Image.open(BytesIO(b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk))
    assert image.size == (16, 16)
    assert len(image.getcolors() or ()) == 1


def test_a_film_of_any_length_can_be_written() -> None:
    """MP4 ends after 49 days."""
    assert struct.unpack_from(">I", boxes(boxes(made(".mp4", picture=Picture(1, 1, 1 << 40)))[b"moov"])[b"mvhd"], 16)
    assert made(".webm", picture=Picture(1, 1, 1 << 40))


# Meshes.


def test_a_glb_is_gltf_2_with_one_triangle() -> None:
    file = made(".glb")
    assert struct.unpack_from("<4sII", file) == (b"glTF", 2, len(file))
    size, kind = struct.unpack_from("<I4s", file, 12)
    scene = json.loads(file[20 : 20 + size])
    points, binary = struct.unpack_from("<I4s", file, 20 + size)
    assert (kind, binary, size % 4, len(file)) == (b"JSON", b"BIN\0", 0, 28 + size + points)
    assert scene["asset"]["version"] == "2.0"
    assert scene["asset"]["extras"] == TEXTS
    assert scene["buffers"] == [{"byteLength": points}]


def test_a_gltf_holds_the_scene_of_the_glb_and_its_points() -> None:
    scene = json.loads(made(".gltf"))
    (buffer,) = scene["buffers"]
    points = b64decode(buffer.pop("uri").removeprefix("data:application/octet-stream;base64,"))
    assert struct.unpack("<9f", points) == (0, 0, 0, 1, 0, 0, 0, 1, 0)
    assert scene["asset"]["extras"] == TEXTS
    assert buffer == {"byteLength": len(points)}


@pytest.mark.parametrize(
    ("suffix", "texts", "corners", "faces"),
    [
        (".obj", "# ", "v {}", ["f 1 2 3"]),
        (".ply", "comment ", "{}", ["3 0 1 2"]),
        (".stl", "solid ", "vertex {}", ["facet normal 0 0 1"]),
    ],
)
def test_a_mesh_in_text_is_one_triangle_with_its_texts(suffix: str, texts: str, corners: str, faces: list[str]) -> None:
    """As a comment, or as the name of the body."""
    lines = made(suffix).decode().splitlines()
    (said,) = [line.removeprefix(texts) for line in lines if line.startswith(f"{texts}{{")]
    assert json.loads(said) == TEXTS
    assert [line for line in lines if line in faces] == faces
    assert {corners.format(corner) for corner in ("0 0 0", "1 0 0", "0 1 0")} <= set(lines)


# And the rest.


@pytest.mark.parametrize(("width", "height"), [(1, 1), (96, 64), (7, 17), (640, 33)])
def test_an_exr_has_every_line_of_the_picture(width: int, height: int) -> None:
    """In blocks of 16 lines, each where the table of offsets says; all black."""
    file = made(".exr", picture=Picture(width, height))
    attributes, start = {}, 8
    while file[start]:
        name, kind, rest = file[start:].split(b"\0", 2)
        (size,) = struct.unpack_from("<i", rest)
        attributes[name.decode()] = rest[4 : 4 + size]
        start += len(name) + len(kind) + 2 + 4 + size
    assert struct.unpack("<4i", attributes["dataWindow"]) == (0, 0, width - 1, height - 1)
    assert json.loads(attributes["comfyfarm"]) == TEXTS
    end = start + 1
    for index, top in enumerate(range(0, height, 16)):
        (offset,) = struct.unpack_from("<Q", file, start + 1 + 8 * index)
        line, size = struct.unpack_from("<ii", file, offset)
        raw_size, data = width * min(16, height - top) * 12, file[offset + 8 : offset + 8 + size]
        differences = data if size == raw_size else zlib.decompress(data)
        assert (line, len(differences), set(differences) <= {0, 128}) == (top, raw_size, True)
        end = offset + 8 + size
    assert end == len(file)


def test_a_latent_is_a_safetensors_file_with_the_prompt() -> None:
    """As ComfyUI's LoadLatent wants it."""
    file = made(".latent")
    (size,) = struct.unpack_from("<Q", file)
    head, data = json.loads(file[8 : 8 + size]), file[8 + size :]
    assert head.pop("__metadata__") == TEXTS
    assert set(head) == {"latent_tensor", "latent_format_version_0"}
    assert head["latent_tensor"]["data_offsets"] == [0, len(data)]
    assert size % 8 == 0


def test_an_svg_is_xml_with_its_texts() -> None:
    root = ET.fromstring(made(".svg"))     # noqa: S314 (our own)
    space = "{http://www.w3.org/2000/svg}"
    assert root.tag == f"{space}svg"
    assert json.loads(root.findtext(f"{space}metadata") or "") == TEXTS
