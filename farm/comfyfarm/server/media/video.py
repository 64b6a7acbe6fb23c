"""Videos: MP4 and WebM.

Both can be played: one grey key frame, stored here as bytes, is shown for the whole duration.  The frame has 16 x 16
pixels; the container gives the size to show it in, so a probe reports the requested size (a browser uses its
proportions only).
"""

import struct

from comfyfarm.server.media.metadata import labels, utf8
from comfyfarm.sim.files import FileContent
from comfyfarm.sim.values import Picture

_FRAME_MS = 42              # 24 frames a second; the simulation knows no other rate
_SIDE = 16
_LARGEST, _LONGEST_MS = 0xFFFF, 0xFFFF_FFFF     # MP4's limits: pixels of a side, and 49 days

# H.264, Baseline: one macroblock that equals its prediction, which is grey.
_H264_SEQUENCE = bytes.fromhex("6742c00adde4")
_H264_PICTURE = bytes.fromhex("68ce3880")
_H264_FRAME = bytes.fromhex("65888493c0")

_VP8_FRAME = bytes.fromhex("5001009d012a1000100001402625a40004740000e440")

_MATRIX = struct.pack(">9I", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
_MP4_UTF8 = 1


def _duration_ms(picture: Picture) -> int:
    return min(max(1, picture.count) * _FRAME_MS, _LONGEST_MS)


def mp4(content: FileContent) -> bytes:
    """Encode H.264; prompt, workflow and stamp are in ``moov.meta``, as in files of ``SaveVideo`` (by FFmpeg)."""
    brands = _box(b"ftyp", b"isom" + struct.pack(">I", 512) + b"isomiso2avc1mp41")
    frame = _box(b"mdat", struct.pack(">I", len(_H264_FRAME)) + _H264_FRAME)
    return brands + frame + _moov(content, len(brands) + 8)


def _moov(content: FileContent, frame_at: int) -> bytes:
    duration = _duration_ms(content.picture)
    head = struct.pack(">IIIIIH10x", 0, 0, 1000, duration, 1 << 16, 1 << 8) + _MATRIX + bytes(24) + struct.pack(">I", 2)
    return _box(b"moov", _full(b"mvhd", head), _track(content.picture, duration, frame_at), _mp4_texts(content))


def _track(picture: Picture, duration: int, frame_at: int) -> bytes:
    width, height = (min(side, _LARGEST) << 16 for side in (picture.width, picture.height))
    head = struct.pack(">IIIII8xHHHH", 0, 0, 1, 0, duration, 0, 0, 0, 0) + _MATRIX + struct.pack(">II", width, height)
    enabled_and_in_movie = 3
    undetermined = 0x55C4
    in_this_file = _box(b"dinf", _full(b"dref", struct.pack(">I", 1) + _full(b"url ", b"", 1)))
    media = _box(
        b"mdia",
        _full(b"mdhd", struct.pack(">IIIIHH", 0, 0, 1000, duration, undetermined, 0)),
        _full(b"hdlr", struct.pack(">I4s12x", 0, b"vide") + b"VideoHandler\0"),
        _box(b"minf", _full(b"vmhd", bytes(8), 1), in_this_file, _table(duration, frame_at)),
    )
    return _box(b"trak", _full(b"tkhd", head, enabled_and_in_movie), media)


def _table(duration: int, frame_at: int) -> bytes:
    """Return the sample table of the one frame: its format, duration, size and position."""
    one = struct.pack(">I", 1)
    return _box(
        b"stbl",
        _full(b"stsd", one + _avc1()),
        _full(b"stts", one + struct.pack(">II", 1, duration)),
        _full(b"stsc", one + struct.pack(">III", 1, 1, 1)),
        _full(b"stsz", struct.pack(">III", 0, 1, 4 + len(_H264_FRAME))),
        _full(b"stco", one + struct.pack(">I", frame_at)),
    )


def _avc1() -> bytes:
    resolution = 72 << 16
    entry = struct.pack(">6xH16xHHIIIH32xHh", 1, _SIDE, _SIDE, resolution, resolution, 0, 1, 24, -1)
    one_sequence = struct.pack(">BBBBBBH", 1, *_H264_SEQUENCE[1:4], 0xFF, 0xE1, len(_H264_SEQUENCE)) + _H264_SEQUENCE
    one_picture = struct.pack(">BH", 1, len(_H264_PICTURE)) + _H264_PICTURE
    return _box(b"avc1", entry, _box(b"avcC", one_sequence, one_picture))


def _mp4_texts(content: FileContent) -> bytes:
    texts = labels(content)
    keys = b"".join(_box(b"mdta", utf8(key)) for key in texts)
    values = (_box(b"data", struct.pack(">II", _MP4_UTF8, 0), utf8(value)) for value in texts.values())
    items = (_box(struct.pack(">I", number), value) for number, value in enumerate(values, 1))
    handler = _full(b"hdlr", struct.pack(">I4s12xx", 0, b"mdta"))
    return _full(b"meta", handler + _full(b"keys", struct.pack(">I", len(texts)) + keys) + _box(b"ilst", *items))


def _full(kind: bytes, data: bytes, flags: int = 0) -> bytes:
    """Return a "full box": one with a version (0) and flags."""
    return _box(kind, struct.pack(">I", flags), data)


def _box(kind: bytes, *parts: bytes) -> bytes:
    data = b"".join(parts)
    return struct.pack(">I", 8 + len(data)) + kind + data


def webm(content: FileContent) -> bytes:
    """Encode VP8; the texts are tags, as in files of ``SaveWEBM``."""
    head = _element(
        "1a45dfa3",
        *(_number("4286", 1), _number("42f7", 1), _number("42f2", 4), _number("42f3", 8)),
        *(_element("4282", b"webm"), _number("4287", 2), _number("4285", 2)),
    )
    duration = struct.pack(">d", _duration_ms(content.picture))
    applications = (_element("4d80", b"comfyfarm"), _element("5741", b"comfyfarm"))
    info = _element("1549a966", _number("2ad7b1", 1_000_000), _element("4489", duration), *applications)
    key_frame_of_track_1 = bytes.fromhex("81000080")
    cluster = _element("1f43b675", _number("e7", 0), _element("a3", key_frame_of_track_1 + _VP8_FRAME))
    return head + _element("18538067", info, _webm_track(content.picture), _webm_tags(content), cluster)


def _webm_track(picture: Picture) -> bytes:
    coded_size = _number("b0", _SIDE), _number("ba", _SIDE)
    display_size = _number("54b0", picture.width), _number("54ba", picture.height)
    numbers = _number("d7", 1), _number("73c5", 1), _number("83", 1), _number("9c", 0)
    video = _element("e0", *coded_size, *display_size)
    return _element("1654ae6b", _element("ae", *numbers, _element("86", b"V_VP8"), video))


def _webm_tags(content: FileContent) -> bytes:
    texts = labels(content).items()
    of_the_whole_file = _element("63c0")
    tags = (_element("67c8", _element("45a3", utf8(key)), _element("4487", utf8(value))) for key, value in texts)
    return _element("1254c367", _element("7373", of_the_whole_file, *tags))


def _number(name: str, value: int) -> bytes:
    return _element(name, value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big"))


def _element(name: str, *parts: bytes) -> bytes:
    """Return an EBML element; its size is always written in eight bytes."""
    data = b"".join(parts)
    return bytes.fromhex(name) + (1 << 56 | len(data)).to_bytes(8, "big") + data
