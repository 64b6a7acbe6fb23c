"""Seeded random streams, one for each use."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from uuid import UUID


@dataclass(frozen=True)
class Seeds:
    """The random streams that are derived from a farm's seed, by name.

    Each stream has one use (``seeds.of("gpu-1").stream("prompt_id")``), so that a further instance, job or fault
    never shifts the draws of another.
    """

    seed: int
    path: tuple[str, ...] = ()

    def of(self, name: str) -> Seeds:
        """Return the streams of one part of the farm."""
        return Seeds(self.seed, (*self.path, name))

    def stream(self, use: str) -> Random:
        """Return a new generator, which is always the same for the same seed and names."""
        return Random("/".join((str(self.seed), *self.path, use)))


def new_uuid(stream: Random) -> UUID:
    """Draw a UUID of version 4."""
    return UUID(int=stream.getrandbits(128), version=4)
