"""The log on disk: every event as a line of JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from farm.ledger.log import Log
from farm.sim.events import Event

__all__ = ["LogFile"]


@dataclass(eq=False)
class LogFile:
    """Writes what a log says, line by line, as it happens."""

    _file: BinaryIO
    _stop: Callable[[], None]

    @classmethod
    def open(cls, path: Path, log: Log) -> LogFile:
        """Begin a new file, and write each event from now on.

        :raises OSError: where the file cannot be written.
        """
        file = path.open("wb")
        encoder = msgspec.json.Encoder()

        def write(event: Event) -> None:
            try:
                line = encoder.encode(event)
            except UnicodeEncodeError:
                line = encoder.encode(_as_utf8(event))
            file.write(line + b"\n")

        return cls(file, log.listen(write))

    def close(self) -> None:
        """Write no more."""
        self._stop()
        self._file.close()


def _as_utf8(event: Event) -> Any:
    """An event in which a client said half a character, as JSON can and UTF-8 cannot: a ``?`` stands there."""
    text = json.dumps(msgspec.to_builtins(event), ensure_ascii=False)
    return json.loads(text.encode("utf-8", "replace"))
