"""``comfyfarm events``: print a saved log with each event as a line that has all its fields."""

import sys
from argparse import Namespace
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO

from comfyfarm.events.encoding import as_json
from comfyfarm.events.saved_log import read_events

_DONE, _NOT_DONE = 0, 1


def events(arguments: Namespace) -> int:
    """Print the events, and the defects of the log to the standard error; return the exit status: 1 if it has any."""
    defects: list[str] = []
    try:
        with _opened(arguments.log) as lines:
            for event in read_events(lines, lambda text, _seq: defects.append(text)):
                sys.stdout.buffer.write(as_json(event) + b"\n")
        sys.stdout.buffer.flush()
    except OSError as error:
        defects.append(f"{error.filename or arguments.log}: {error.strerror or error}")
    sys.stderr.writelines(f"comfyfarm events: {text}\n" for text in defects)
    return _NOT_DONE if defects else _DONE


def _opened(path: str) -> AbstractContextManager[BinaryIO]:
    return nullcontext(sys.stdin.buffer) if path == "-" else Path(path).open("rb")
