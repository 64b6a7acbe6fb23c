"""Request bodies in gzip or deflate, decoded as aiohttp decodes them."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

_PIECE_BYTES = 256 * 1024
_GZIP_BITS = 16 + zlib.MAX_WBITS


@dataclass
class BodyDecoder:
    """Decodes a body piece by piece.

    :ivar encoding: ``gzip`` or ``deflate``.
    """

    encoding: str
    _stream: Any = field(default=None, init=False)
    _has_failed: bool = field(default=False, init=False)

    @property
    def is_broken(self) -> bool:
        """True if aiohttp would raise when the body is read; a gzip body that ends early is taken as it is."""
        ends_early = self.encoding == "deflate" and self._stream is not None and not self._stream.eof
        return self._has_failed or ends_early

    def decode(self, data: bytes) -> Iterator[bytes]:
        """Yield what the next bytes decode to, in pieces of bounded size, so that the caller can stop at its limit."""
        is_full = False
        while data or (is_full and not self._stream.eof):
            try:
                piece = self._stream_for(data).decompress(data, _PIECE_BYTES)
            except zlib.error:
                self._has_failed = True
                return
            data = self._stream.unconsumed_tail or self._stream.unused_data
            is_full = len(piece) == _PIECE_BYTES    # there may be more, though all of the data was taken
            yield piece

    def _stream_for(self, data: bytes) -> Any:
        """Return the decoder for the next bytes; a new one at the start of the body and after the end of a stream."""
        if self._stream is None or self._stream.eof:
            self._stream = zlib.decompressobj(self._window_bits(data))
        return self._stream

    def _window_bits(self, data: bytes) -> int:
        if self.encoding == "gzip":
            return _GZIP_BITS
        # Some clients send deflate without the header of zlib, which begins with these bits.
        return zlib.MAX_WBITS if data[0] & 0xF == zlib.DEFLATED else -zlib.MAX_WBITS
