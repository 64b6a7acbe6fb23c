"""The log on disk: every event as a line of JSON."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from farm.ledger.lines import as_line
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

        def write(event: Event) -> None:
            file.write(as_line(event) + b"\n")

        return cls(file, log.listen(write))

    def close(self) -> None:
        """Write no more."""
        self._stop()
        self._file.close()
