"""The log on disk: every event as a line of JSON."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from twisted.logger import Logger

from comfyfarm.events import Event
from comfyfarm.events.encoding import as_line
from comfyfarm.events.log import Log


@dataclass(eq=False)
class LogFile:
    """Writes what a log says, line by line, as it happens; a full disk ends that, and nothing else."""

    _file: BinaryIO
    _stop: Callable[[], None] | None = None
    logger = Logger()

    @classmethod
    def open(cls, path: Path, log: Log) -> LogFile:
        """Begin a new file, and write each event from now on.

        :raises OSError: where the file cannot be written.
        """
        opened = cls(path.open("wb"))
        opened._stop = log.listen(opened._write)
        return opened

    def close(self) -> None:
        """Write no more.  Once is enough; a second call does nothing."""
        self._end(None)

    def _write(self, event: Event) -> None:
        try:
            self._file.write(as_line(event) + b"\n")
        except OSError as why:
            self._end(why)

    def _end(self, why: OSError | None) -> None:
        if self._stop is None:
            return
        self._stop()
        self._stop = None
        try:
            self._file.close()
        except OSError as unwritten:
            why = unwritten
        if why is not None:
            self.logger.error("the log file is not whole: {why}", why=why)
