"""The proof of origin in the metadata of every picture."""

import json
from typing import Self

import msgspec


class Stamp(msgspec.Struct, frozen=True, kw_only=True):
    """The origin of a picture.

    :ivar epoch: number of the instance's process, from 1.
    :ivar node: the id of the node that saved it.
    :ivar index: position in the node's batch, from 0.
    """

    instance: str
    epoch: int
    prompt_id: str
    job: str
    node: str
    index: int

    @classmethod
    def parse(cls, text: str | bytes) -> Self:
        """Parse the text from a picture's metadata.

        :raises ValueError: if it is not a stamp.
        """
        try:
            return msgspec.convert(json.loads(text), cls)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"no stamp of this farm's: {error}") from error
