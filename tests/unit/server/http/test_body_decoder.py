"""Bodies in gzip and deflate, as aiohttp decodes them."""

import gzip
import zlib

import pytest

from comfyfarm.server.http.body_decoder import BodyDecoder

BODY = b'{"prompt": {}}'
BIG = b"y" * 3_000_000


def raw_deflate(content: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(content) + compressor.flush()


def decoded(encoding: str, body: bytes, step: int | None = None) -> bytes | None:
    """The decoded body, sent in pieces of ``step`` bytes; ``None`` if it is broken."""
    decoder, step = BodyDecoder(encoding), step or len(body) or 1
    pieces = [
        piece for start in range(0, len(body), step) for piece in decoder.decode(body[start : start + step])
    ]
    return None if decoder.is_broken else b"".join(pieces)


@pytest.mark.parametrize("step", [None, 1, 5])
@pytest.mark.parametrize(
    ("encoding", "body", "content"),
    [
        ("gzip", gzip.compress(BODY, mtime=0), BODY),
        ("gzip", gzip.compress(BODY, mtime=0) + gzip.compress(BODY, mtime=0), BODY * 2),
        ("gzip", gzip.compress(BODY, mtime=0)[:-6], BODY),       # ends early
        ("gzip", b"", b""),
        ("gzip", BODY, None),
        ("gzip", gzip.compress(BODY, mtime=0) + b"junk", None),
        ("deflate", zlib.compress(BODY), BODY),
        ("deflate", raw_deflate(BODY), BODY),
        ("deflate", zlib.compress(BODY)[:-6], None),
        ("deflate", BODY, None),
        ("deflate", b"", b""),
    ],
)
def test_a_body_is_decoded_as_by_aiohttp(encoding: str, body: bytes, content: bytes | None, step: int | None) -> None:
    """However it arrives."""
    assert decoded(encoding, body, step) == content


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_small_body_that_becomes_a_big_one_comes_in_pieces(encoding: str) -> None:
    """So that whoever reads it can stop at a limit."""
    body = gzip.compress(BIG) if encoding == "gzip" else zlib.compress(BIG)
    pieces = list(BodyDecoder(encoding).decode(body))
    assert b"".join(pieces) == BIG
    assert max(map(len, pieces)) < len(BIG) // 10
