"""The proof of origin that every picture carries."""

from __future__ import annotations

import json

import msgspec


class Stamp(msgspec.Struct, frozen=True, kw_only=True):
    """Where a picture comes from.

    :ivar instance: that made it.
    :ivar epoch: which of its lives that was, from 1.
    :ivar prompt_id: of the attempt.
    :ivar job: the logical job.
    :ivar node: that saved it.
    :ivar index: its place in the node's batch, from 0.
    """

    instance: str
    epoch: int
    prompt_id: str
    job: str
    node: str
    index: int

    @classmethod
    def parse(cls, text: str | bytes) -> Stamp:
        """Read the text that stands in a picture.

        :raises ValueError: where it is none of ours.
        """
        try:
            return msgspec.convert(json.loads(text), cls)
        except (ValueError, RecursionError) as why:
            raise ValueError(f"no stamp of this farm's: {why}") from why
