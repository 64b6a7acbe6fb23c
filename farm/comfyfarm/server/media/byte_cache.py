"""Bytes that are kept because making them again would hold the reactor."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field


@dataclass(eq=False)
class ByteCache:
    """Keeps the bytes that were used last, up to a size and a number."""

    room_bytes: int = 64 << 20
    room_count: int = 512
    held_bytes: int = 0
    held: OrderedDict[Hashable, bytes] = field(default_factory=OrderedDict)

    def get(self, key: Hashable, make: Callable[[], bytes]) -> bytes:
        """The bytes kept under a key; made now if there are none."""
        if key not in self.held:
            self.held[key] = made = make()
            self.held_bytes += len(made)
        self.held.move_to_end(key)
        found = self.held[key]
        while len(self.held) > 1 and (self.held_bytes > self.room_bytes or len(self.held) > self.room_count):
            self.held_bytes -= len(self.held.popitem(last=False)[1])
        return found
