"""``comfyfarm report``: write a saved log as a page, a picture, or a trace for other tools."""

import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO

import msgspec

from comfyfarm.analysis.log_analysis import LogAnalysis
from comfyfarm.analysis.report.page import page
from comfyfarm.analysis.timeline.perfetto import as_trace
from comfyfarm.analysis.timeline.svg import draw
from comfyfarm.analysis.timeline.text import as_text
from comfyfarm.analysis.trials import UnknownTrial, analyse_saved

_DONE, _NOT_DONE = 0, 1


def report(arguments: Namespace) -> int:
    """Write the requested files and return the exit status: 0 if all were written, else 1."""
    try:
        with _opened(arguments.log) as lines:
            analysis = analyse_saved(lines, needs_end=arguments.log != "-", trial=arguments.trial)
        if not analysis.verdict().seq:
            return _fail(f"{arguments.log}: there is no event in it")
        if arguments.text:
            _print(as_text(analysis.timeline()))
        for path, content in _files(arguments):
            if _is_same(path, arguments.log):
                return _fail(f"{path}: that is the log itself; name another file with -o")
            path.write_bytes(content(analysis))
            if not arguments.text:
                _print(str(path))
    except OSError as error:
        return _fail(f"{error.filename or arguments.log}: {error.strerror or error}")
    except UnknownTrial as error:
        return _fail(str(error))
    return _DONE


def _opened(path: str) -> AbstractContextManager[BinaryIO]:
    return nullcontext(sys.stdin.buffer) if path == "-" else Path(path).open("rb")


def _files(arguments: Namespace) -> Iterator[tuple[Path, Callable[[LogAnalysis], bytes]]]:
    """Yield each requested file with the function that makes its content."""
    others = (arguments.trace, _trace), (arguments.svg, _svg)
    if arguments.output is not None:
        yield arguments.output, _page
    elif not arguments.text and all(path is None for path, _ in others):
        yield Path("run.html") if arguments.log == "-" else Path(arguments.log).with_suffix(".html"), _page
    for path, form in others:
        if path is not None:
            yield path, form


def _page(analysis: LogAnalysis) -> bytes:
    return page(analysis).encode()


def _trace(analysis: LogAnalysis) -> bytes:
    return msgspec.json.encode(as_trace(analysis.timeline()))


def _svg(analysis: LogAnalysis) -> bytes:
    return draw(analysis.timeline()).encode()


def _is_same(path: Path, log: str) -> bool:
    return log != "-" and path.exists() and path.samefile(log)


def _print(text: str) -> None:
    """Print a text; letters that the terminal's encoding lacks are replaced."""
    sys.stdout.buffer.write(text.encode(sys.stdout.encoding or "utf-8", "replace") + b"\n")
    sys.stdout.flush()


def _fail(text: str) -> int:
    sys.stderr.write(f"comfyfarm report: {text}\n")
    return _NOT_DONE
