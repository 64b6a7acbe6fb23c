"""The log file: every event as a line of JSON."""

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
    """Writes the events of a log as they are published; a full disk ends the file, but not the farm."""

    _file: BinaryIO
    _unsubscribe: Callable[[], None] | None = None
    logger = Logger()

    @classmethod
    def open(cls, path: Path, log: Log) -> LogFile:
        """Create the file, and write each event from now on.

        :raises OSError: if the file cannot be written.
        """
        log_file = cls(path.open("wb"))
        log_file._unsubscribe = log.listen(log_file._write)
        return log_file

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._end(None)

    def _write(self, event: Event) -> None:
        try:
            self._file.write(as_line(event) + b"\n")
        except OSError as error:
            self._end(error)

    def _end(self, error: OSError | None) -> None:
        if self._unsubscribe is None:
            return
        self._unsubscribe()
        self._unsubscribe = None
        try:
            self._file.close()
        except OSError as close_error:
            error = close_error
        if error is not None:
            self.logger.error("the log file is not whole: {why}", why=error)
