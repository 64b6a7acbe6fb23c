"""``comfyfarm report``: a saved log as a page, and as pictures for other tools."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO, Protocol

import msgspec

from comfyfarm.analysis.log_analysis import LogAnalysis
from comfyfarm.analysis.report.page import RunReport, page
from comfyfarm.analysis.timeline.perfetto import as_trace
from comfyfarm.analysis.timeline.svg import draw
from comfyfarm.analysis.timeline.text import as_text

_DONE, _NOT_DONE = 0, 1


class ReportArguments(Protocol):
    """The command line of ``report``.

    :ivar log: a path, or ``-`` for what comes in.
    :ivar output: where the page goes; ``None``: beside the log, unless something else is asked for.
    :ivar trace: where the trace for Perfetto goes, or ``None``.
    :ivar svg: where the picture goes, or ``None``.
    :ivar text: print the timeline as text.
    """

    log: str
    output: Path | None
    trace: Path | None
    svg: Path | None
    text: bool


def report(wishes: ReportArguments) -> int:
    """Write what was asked for; gives the exit status: 0 where all of it was, 1 where not."""
    try:
        with _opened(wishes.log) as lines:
            analysis = LogAnalysis.of_saved(lines)
        if not analysis.verdict().seq:
            return _complain(f"{wishes.log}: there is no event in it")
        if wishes.text:
            _print(as_text(analysis.timeline()))
        for path, content in _files(wishes):
            if _is_same(path, wishes.log):
                return _complain(f"{path}: that is the log itself; name another file with -o")
            path.write_bytes(content(analysis))
            if not wishes.text:
                _print(str(path))
    except OSError as why:
        return _complain(f"{why.filename or wishes.log}: {why.strerror or why}")
    return _DONE


def _opened(path: str) -> AbstractContextManager[BinaryIO]:
    return nullcontext(sys.stdin.buffer) if path == "-" else Path(path).open("rb")


def _files(wishes: ReportArguments) -> Iterator[tuple[Path, Callable[[LogAnalysis], bytes]]]:
    """Where which form of it goes."""
    others = (wishes.trace, _trace), (wishes.svg, _svg)
    if wishes.output is not None:
        yield wishes.output, _page
    elif not wishes.text and all(path is None for path, _ in others):
        yield _beside(wishes.log), _page
    for path, form in others:
        if path is not None:
            yield path, form


def _page(analysis: LogAnalysis) -> bytes:
    return page(RunReport.of(analysis)).encode()


def _trace(analysis: LogAnalysis) -> bytes:
    return msgspec.json.encode(as_trace(analysis.timeline()))


def _svg(analysis: LogAnalysis) -> bytes:
    return draw(analysis.timeline()).encode()


def _is_same(path: Path, log: str) -> bool:
    return log != "-" and path.exists() and path.samefile(log)


def _beside(log: str) -> Path:
    """``run.html`` for ``run.jsonl``; what comes in by no name is the run."""
    return Path("run.html") if log == "-" else Path(log).with_suffix(".html")


def _print(words: str) -> None:
    """A terminal that cannot show a letter shows another for it."""
    sys.stdout.buffer.write(words.encode(sys.stdout.encoding or "utf-8", "replace") + b"\n")
    sys.stdout.flush()


def _complain(words: str) -> int:
    sys.stderr.write(f"comfyfarm report: {words}\n")
    return _NOT_DONE
