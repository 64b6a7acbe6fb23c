"""A large file as the body of an answer, sent piece by piece."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import BinaryIO

from twisted.internet.interfaces import IPushProducer
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request
from zope.interface import implementer

_PIECE_BYTES = 64 * 1024    # what Twisted buffers for a connection before it pauses the producer


@implementer(IPushProducer)
@dataclass(eq=False)
class Stream(Resource):
    """The body of one answer, whose status and headers are set; it is read no faster than the client takes it.

    :ivar file: positioned where the body begins; it is closed at the end, also if the client disconnects.
    :ivar count: how many bytes are still to be sent.
    """

    file: BinaryIO
    count: int
    isLeaf: bool = field(default=True, init=False)
    _request: Request = field(init=False, repr=False)
    _is_producing: bool = field(default=True, init=False)

    def __post_init__(self) -> None:
        super().__init__()

    def render(self, request: Request) -> int:
        self._request = request
        request.registerProducer(self, True)
        self.resumeProducing()
        return NOT_DONE_YET

    def resumeProducing(self) -> None:
        self._is_producing = True
        while self._is_producing:
            piece = self.file.read(min(self.count, _PIECE_BYTES))
            self.count -= len(piece)
            if piece:
                self._request.write(piece)      # may call pauseProducing
            if not piece or not self.count:     # a file that has become shorter ends early
                self._end()

    def pauseProducing(self) -> None:
        self._is_producing = False

    def stopProducing(self) -> None:
        """Close the file; called if the client has disconnected."""
        self._is_producing = False
        self.file.close()

    def _end(self) -> None:
        self.stopProducing()
        self._request.unregisterProducer()
        self._request.finish()
