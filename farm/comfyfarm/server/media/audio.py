"""Sound files: FLAC, MP3 and Opus.  Each plays, and holds at most a fifth of a second of silence."""

import struct
import zlib
from collections.abc import Iterator

from comfyfarm.server.media.metadata import labels, utf8
from comfyfarm.sim.files import FileContent

_VENDOR = b"comfyfarm"

# Two frames, because FFmpeg (and so a browser) does not play a file of one; the tests check their CRCs.
_FLAC_FRAMES = bytes.fromhex("fff8c91800c2000000000000b8ee"), bytes.fromhex("fff8c91801c50000000000002f9b")
_FLAC_SAMPLES, _RATE = 4096, 44100
_FLAC_LONGEST_BLOCK = (1 << 24) - 1

# MPEG-1 Layer III, 32 kbit/s, 44.1 kHz, mono; the rest is zero, which is silence.
_MP3_FRAME = bytes.fromhex("fffb10c4") + bytes(100)
_MP3_FRAMES = 4

_OPUS_PACKET = bytes.fromhex("f8fffe")      # 20 ms of silence, from Opus' own encoder
_OPUS_PACKETS, _OPUS_SAMPLES, _OPUS_SKIPPED = 5, 960, 312
_OGG_SERIAL = 1
_OGG_LONGEST_PAGE = 255 * 255
_OGG_CONTINUED, _OGG_FIRST, _OGG_LAST = 1, 2, 4

_REVERSED_BITS = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def flac(content: FileContent) -> bytes:
    """Encode 16 bits, stereo; prompt, workflow and stamp are Vorbis comments, as in ComfyUI's files."""
    depth, channels = 16, 2
    layout = _RATE << 44 | (channels - 1) << 41 | (depth - 1) << 36 | len(_FLAC_FRAMES) * _FLAC_SAMPLES
    info = struct.pack(">HH6xQ16x", _FLAC_SAMPLES, _FLAC_SAMPLES, layout)
    texts = _vorbis_comments(content)
    if len(texts) > _FLAC_LONGEST_BLOCK:
        texts = _vorbis_comments(FileContent(content.picture, {}, content.stamp))
    last = 0x80
    return b"".join((b"fLaC", _flac_block(0, info), _flac_block(last | 4, texts), *_FLAC_FRAMES))


def _flac_block(kind: int, data: bytes) -> bytes:
    return struct.pack(">I", kind << 24 | len(data)) + data


def _vorbis_comments(content: FileContent) -> bytes:
    texts = [utf8(f"{key}={value}") for key, value in labels(content).items()]
    fields = (struct.pack("<I", len(text)) + text for text in texts)
    return struct.pack("<I", len(_VENDOR)) + _VENDOR + struct.pack("<I", len(texts)) + b"".join(fields)


def mp3(content: FileContent) -> bytes:
    """Encode a few frames after ID3 user texts (TXXX)."""
    frames = b"".join(_id3_text(key, value) for key, value in labels(content).items())
    return b"ID3\4\0\0" + _synchsafe(len(frames)) + frames + _MP3_FRAME * _MP3_FRAMES


def _id3_text(key: str, value: str) -> bytes:
    utf8_follows = b"\3"
    text = utf8_follows + utf8(key) + b"\0" + utf8(value)
    return b"TXXX" + _synchsafe(len(text)) + b"\0\0" + text


def _synchsafe(number: int) -> bytes:
    """Return a size in 7 bits per byte, so that it cannot look like the start of a frame."""
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))


def opus(content: FileContent) -> bytes:
    """Encode mono Opus in Ogg; the comments are as in FLAC."""
    head = b"OpusHead" + struct.pack("<BBHIHB", 1, 1, _OPUS_SKIPPED, 48000, 0, 0)
    tags = list(_ogg_pages(1, b"OpusTags" + _vorbis_comments(content)))
    lacing = bytes([len(_OPUS_PACKET)] * _OPUS_PACKETS)
    sound = _OPUS_PACKET * _OPUS_PACKETS
    end = _OPUS_PACKETS * _OPUS_SAMPLES
    last = _ogg_page(_OGG_LAST, end, 1 + len(tags), lacing, sound)
    return b"".join((_ogg_page(_OGG_FIRST, 0, 0, bytes([len(head)]), head), *tags, last))


def _ogg_pages(number: int, packet: bytes) -> Iterator[bytes]:
    """Split one packet over as many pages as it needs; its last segment is shorter than 255."""
    for start in range(0, len(packet) + 1, _OGG_LONGEST_PAGE):
        part = packet[start : start + _OGG_LONGEST_PAGE]
        full, rest = divmod(len(part), 255)
        is_last = full < 255
        lacing = b"\xff" * full + (bytes([rest]) if is_last else b"")
        no_packet_ends = -1
        granule = 0 if is_last else no_packet_ends
        yield _ogg_page(_OGG_CONTINUED if start else 0, granule, number + start // _OGG_LONGEST_PAGE, lacing, part)


def _ogg_page(flags: int, granule: int, number: int, lacing: bytes, data: bytes) -> bytes:
    before = b"OggS" + struct.pack("<BBqII", 0, flags, granule, _OGG_SERIAL, number)
    after = bytes([len(lacing)]) + lacing + data
    return before + _ogg_crc(before + bytes(4) + after) + after


def _ogg_crc(page: bytes) -> bytes:
    # Ogg's CRC is zlib's with reversed bits, and without its initial and final XOR.
    reversed_crc = zlib.crc32(page.translate(_REVERSED_BITS), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return reversed_crc.to_bytes(4, "big").translate(_REVERSED_BITS)
