"""The files of attempts, and the requests for them that went wrong, as known from the log so far.

As in :mod:`comfyfarm.analysis.logical_jobs`, none may refer to itself by way of others (``gc=False``).
"""

import msgspec


class JobFile(msgspec.Struct, eq=False, gc=False):
    """A file that an attempt wrote.

    :ivar instance: the instance on which it is, in ``folder`` and ``subfolder``.
    :ivar size_bytes: 0 if the log does not say.
    :ivar is_cut: a fault has cut it on the instance's disk.
    :ivar parts: the parts of it that clients received, as first and last byte (exclusive), in order.
    """

    instance: str
    folder: str
    subfolder: str
    name: str
    size_bytes: int
    is_cut: bool = False
    parts: tuple[tuple[int, int], ...] = ()

    def receive(self, first: int, size_bytes: int) -> bool:
        """Add a part that a client received; return whether the parts are the whole file now, and forget them then."""
        merged: list[tuple[int, int]] = []
        for start, end in sorted((*self.parts, (first, first + size_bytes))):
            if merged and start <= merged[-1][1]:
                merged[-1] = merged[-1][0], max(end, merged[-1][1])
            else:
                merged.append((start, end))
        is_whole = bool(self.size_bytes) and merged[0] == (0, self.size_bytes)
        self.parts = () if is_whole else tuple(merged)
        return is_whole


class BrokenFetch(msgspec.Struct, frozen=True, gc=False):
    """A request for a file that was not answered with the whole file.

    :ivar name: of the file.
    :ivar what: what the answer was: ``was only a part of it``.
    """

    seq: int
    at_ms: int
    instance: str
    name: str
    what: str
