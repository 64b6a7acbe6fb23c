"""How does a big file go out, without being read in one piece?"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import BinaryIO

from twisted.internet.interfaces import IPushProducer
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request
from zope.interface import implementer

_PIECE_BYTES = 64 * 1024    # what Twisted holds for a connection before it says that this is enough


@implementer(IPushProducer)
@dataclass(eq=False)
class Stream(Resource):
    """The body of one answer, whose status and headers are set: read no faster than the client takes it.

    :ivar file: stands where the body begins; closed at the end, whoever ends it.
    :ivar count: how many bytes are still to come.
    """

    file: BinaryIO
    count: int
    isLeaf: bool = field(default=True, init=False)
    _request: Request = field(init=False, repr=False)
    _is_wanted: bool = field(default=True, init=False)

    def __post_init__(self) -> None:
        """Be a resource."""
        super().__init__()

    def render(self, request: Request) -> int:
        """Begin."""
        self._request = request
        request.registerProducer(self, True)
        self.resumeProducing()
        return NOT_DONE_YET

    def resumeProducing(self) -> None:
        """Send, until the client has enough for now."""
        self._is_wanted = True
        while self._is_wanted:
            piece = self.file.read(min(self.count, _PIECE_BYTES))
            self.count -= len(piece)
            if piece:
                self._request.write(piece)      # may call pauseProducing
            if not piece or not self.count:     # a file that has become shorter ends early
                self._end()

    def pauseProducing(self) -> None:
        """Wait."""
        self._is_wanted = False

    def stopProducing(self) -> None:
        """The client went away."""
        self._is_wanted = False
        self.file.close()

    def _end(self) -> None:
        self.stopProducing()
        self._request.unregisterProducer()
        self._request.finish()
