"""The JSON of answers that are the same for the same numbers, such as ``GET /prompt``."""

import json
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

_MOST_BYTES = 4 * 1024 * 1024


@dataclass(eq=False)
class RecentBodies:
    """Encodes each thing once, as long as it is among the latest that were asked for.

    :ivar most_bytes: the size of all that is kept.
    """

    most_bytes: int = _MOST_BYTES
    _bodies: dict[Hashable, bytes] = field(default_factory=dict)
    _size_bytes: int = 0

    def of(self, thing: Hashable, shown: Callable[[], object]) -> bytes:
        """Return the JSON of a thing, with exactly the text of ComfyUI's ``json.dumps``.

        :param thing: what it belongs to; as long as its JSON is kept, so is this.
        :param shown: returns what is encoded.
        """
        body = self._bodies.get(thing)
        if body is None:
            body = json.dumps(shown()).encode()
            self._keep(thing, body)
        return body

    def _keep(self, thing: Hashable, body: bytes) -> None:
        if len(body) > self.most_bytes // 4:
            return
        self._bodies[thing] = body
        self._size_bytes += len(body)
        while self._size_bytes > self.most_bytes:
            self._size_bytes -= len(self._bodies.pop(next(iter(self._bodies))))
