"""The log on disk: every event as a line of JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from twisted.logger import Logger

from farm.ledger.log import Log
from farm.sim.events import Event

__all__ = ["LogFile"]

_ENCODER = msgspec.json.Encoder()


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
            self._file.write(_line(event))
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


def _line(event: Event) -> bytes:
    try:
        return _ENCODER.encode(event) + b"\n"
    except UnicodeEncodeError:
        return _ENCODER.encode(_as_utf8(event)) + b"\n"


def _as_utf8(event: Event) -> Any:
    """An event in which a client said half a character, as JSON can and UTF-8 cannot: a ``?`` stands there."""
    text = json.dumps(msgspec.to_builtins(event), ensure_ascii=False)
    return json.loads(text.encode("utf-8", "replace"))
