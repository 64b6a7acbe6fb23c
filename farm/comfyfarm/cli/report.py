"""``comfyfarm report``: write a saved log as a page, a picture, or a trace for other tools."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import msgspec

from comfyfarm.analysis.log_analysis import LogAnalysis
from comfyfarm.analysis.report.page import page
from comfyfarm.analysis.timeline.perfetto import as_trace
from comfyfarm.analysis.timeline.svg import draw
from comfyfarm.analysis.timeline.text import as_text
from comfyfarm.analysis.trials import UnknownTrial, analyse_saved
from comfyfarm.cli.common import Trouble, log_argument, opened, path_option, print_bytes, trial_option


@click.command(
    epilog="FILE is a log that a farm has written ([farm] log, --log); - reads what comes in.  The exit status is 2 if "
    "something could not be read or written, else 0, whatever the verdict.  docs/timeline.md says what it shows."
)
@log_argument
@trial_option
@path_option("-o", "--output", metavar="FILE", help="The page; default, if nothing else is asked for: LOG.html.")
@path_option("--trace", metavar="FILE", help="The timeline for Perfetto and chrome://tracing.")
@path_option("--svg", metavar="FILE", help="The timeline as a picture.")
@click.option("--text", is_flag=True, help="Print the timeline as text.")
def report(
    log: str, trial: str | None, output: Path | None, trace: Path | None, svg: Path | None, *, text: bool
) -> None:
    """Show a saved log as one page: verdict, timeline, placement, faults."""
    try:
        with opened(log) as lines:
            analysis = analyse_saved(lines, needs_end=log != "-", trial=trial)
    except UnknownTrial as error:
        raise Trouble(str(error)) from error
    if not analysis.verdict().seq:
        raise Trouble(f"{log}: there is no event in it")
    if output is None and not text and trace is None and svg is None:
        output = Path("run.html") if log == "-" else Path(log).with_suffix(".html")
    if text:
        _print(as_text(analysis.timeline()))
    for path, content in _files(output, trace, svg):
        if _is_same(path, log):
            raise Trouble(f"{path}: that is the log itself; name another file with -o")
        path.write_bytes(content(analysis))
        if not text:
            _print(str(path))


def _files(
    output: Path | None, trace: Path | None, svg: Path | None
) -> Iterator[tuple[Path, Callable[[LogAnalysis], bytes]]]:
    """Yield each requested file with the function that makes its content."""
    for path, form in ((output, _page), (trace, _trace), (svg, _svg)):
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
    print_bytes(text.encode(sys.stdout.encoding or "utf-8", "replace") + b"\n")
