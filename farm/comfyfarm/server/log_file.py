"""The log file: every event, as lines of JSON."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import BinaryIO

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from comfyfarm.events import Event
from comfyfarm.events.line_writer import LineWriter
from comfyfarm.events.log import Log

_logger = Logger()     # not in the class: Twisted keeps recent log events, and with them the objects that logged

FLUSH_S = 0.05


@dataclass(eq=False)
class LogFile:
    """Writes the events of a log as they are published; a full disk ends the file, but not the farm.

    A process that is killed loses the events of its last :data:`FLUSH_S` seconds of real time at most.
    """

    _file: BinaryIO
    _clock: IReactorTime
    _log: Log
    _writer: LineWriter = field(default_factory=LineWriter)
    _unsubscribe: Callable[[], None] | None = None
    _next_flush: IDelayedCall | None = None     # None if nothing is left to flush
    _flushes_next: bool = False                 # what is written next

    @classmethod
    def open(cls, path: Path, log: Log, clock: IReactorTime) -> LogFile:
        """Create the file, and write each event from now on; a file that is there gets another name.

        :param clock: real time.
        :raises OSError: if the file cannot be written.
        """
        _set_aside(path)
        if path.is_fifo():      # to open it would take until somebody reads, and each write, too
            raise OSError(errno.EINVAL, "a pipe cannot be the log", str(path))
        log_file = cls(path.open("wb"), clock, log)
        log_file._unsubscribe = log.listen_to_batches(log_file._write)
        return log_file

    def flush(self) -> None:
        """Pass every event to the operating system, which keeps it if the process is killed.

        If events are being published, they follow as soon as that is done: before anything else can leave the process.
        """
        self._flushes_next = self._log.is_publishing
        if not self._cancel_flush():
            return
        try:
            self._file.flush()
        except OSError as error:
            self._end(error)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._end(None)

    def _write(self, batch: Sequence[Event]) -> None:
        try:
            self._file.write(self._writer.lines(batch))
        except OSError as error:
            self._end(error)
            return
        if self._next_flush is None:
            self._next_flush = self._clock.callLater(FLUSH_S, self.flush)
        if self._flushes_next:
            self.flush()

    def _cancel_flush(self) -> bool:
        """Return whether a flush was due, which is cancelled."""
        flush, self._next_flush = self._next_flush, None
        if flush is not None and flush.active():
            flush.cancel()
        return flush is not None

    def _end(self, error: OSError | None) -> None:
        if self._unsubscribe is None:
            return
        self._unsubscribe()
        self._unsubscribe = None
        self._cancel_flush()
        try:
            self._file.close()
        except OSError as close_error:
            error = close_error
        if error is not None:
            _logger.error("the log file is not whole: {why}", why=error)


def _set_aside(path: Path) -> None:
    """Rename the log of an earlier run: ``run.jsonl`` becomes ``run.1.jsonl``, or has the next number that is free."""
    if not path.is_file() or not path.stat().st_size:
        return      # a device or a pipe is written to as it is
    free = next(name for number in count(1) if not (name := path.with_stem(f"{path.stem}.{number}")).exists())
    path.rename(free)
    _logger.info("the log of the last run is now {name}", name=str(free))
