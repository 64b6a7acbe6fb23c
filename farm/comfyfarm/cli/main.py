"""The command line of ``comfyfarm``.

A command is a function that adds it to the parser, and the name of a function that runs it and returns the exit status:
a name, so that each command loads only what it needs.
"""

import argparse
import gc
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from pkgutil import resolve_name
from urllib.parse import urlsplit

from comfyfarm import __version__
from comfyfarm.versions import RECORDED

_Add = Callable[..., argparse.ArgumentParser]
"""Adds a command by its name, what it is about, the name of its function and its epilog, and returns its parser."""

_ANALYSES = frozenset({"comfyfarm.cli.judge:judge", "comfyfarm.cli.report:report", "comfyfarm.cli.events:events"})
"""Commands that end soon, and make many objects that all stay: to look for garbage among them would be in vain."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status.

    :raises SystemExit: with status 2 if the command line is wrong.
    """
    options = _parser().parse_args(arguments)
    is_analysis = arguments is None and options.run in _ANALYSES
    if is_analysis:
        gc.disable()
    status: int = resolve_name(options.run)(options)
    if is_analysis:
        gc.freeze()     # nor need it be taken apart when the process ends
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="comfyfarm",
        description="Tools around a farm of mock ComfyUI servers.  The farm itself runs as: twistd -n comfyfarm",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, about: str, run: str, epilog: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=about, description=about, epilog=epilog)
        command.set_defaults(run=run)
        return command

    for add_command in (_add_conform, _add_capture, _add_scenarios, _add_judge, _add_report, _add_events):
        add_command(add)
    return parser


def _url(word: str) -> str:
    """Parse a server's base URL; the scheme may be left out."""
    url = word if "://" in word else f"http://{word}"
    try:
        parts = urlsplit(url)
        is_valid = parts.scheme == "http" and parts.hostname and parts.port != 0
    except ValueError:
        is_valid = False
    if not is_valid:
        raise argparse.ArgumentTypeError(f"expected something like http://127.0.0.1:8188, got {word!r}")
    return url.rstrip("/")


def _add_conform(add: _Add) -> None:
    parser = add(
        "conform",
        "Runs ComfyUI's ways of behaving against a server, and prints a score and the differences.",
        "comfyfarm.cli.conform:conform",
        "The server must be idle and nobody else's meanwhile.  The exit status is 0 only where the score is full, "
        "1 where something differs, 2 where no server could be judged.",
    )
    parser.add_argument("urls", metavar="URL", nargs="*", type=_url, help="a server; several equal ones share the work")
    parser.add_argument("--only", metavar="NAMES", help="scenarios, with commas between them: 'run_*,features'")
    parser.add_argument("--family", metavar="FAMILY", help="only the scenarios of one family")
    parser.add_argument("--version", choices=RECORDED, help="of ComfyUI, to compare with; default: as the server says")
    parser.add_argument("--without-files", action="store_true", help="leave output files out (for a static instance)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write score and differences there")
    parser.add_argument("--list", action="store_true", dest="only_list", help="say which scenarios there are, and stop")
    parser.add_argument("-v", "--verbose", action="store_true", help="tell each scenario, and every difference in full")


def _add_capture(add: _Add) -> None:
    parser = add(
        "capture",
        "Asks a real server what it has, and writes an instance that serves the same.",
        "comfyfarm.clients.capture:capture",
        "The exit status is 1 where nothing was captured.  What a server tells names its models, the pictures in its "
        "input folder and its command line: look before you publish it.",
    )
    parser.add_argument("url", metavar="URL", type=_url, help="of the server")
    parser.add_argument("-o", "--output", metavar="DIR", type=Path, required=True, help="where the files go")
    parser.add_argument("--name", type=_name, default="captured", help="of the instance; default: %(default)s")


def _name(word: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]+", word):
        raise argparse.ArgumentTypeError(f"expected letters, digits and ._- only, got {word!r}")
    return word


def _add_scenarios(add: _Add) -> None:
    parser = add(
        "scenarios",
        "Lists the incidents that a farm can stage, and tells all about one.",
        "comfyfarm.cli.scenarios:scenarios",
        "docs/scenarios.md tells how to stage one, and how to write one of your own.",
    )
    actions = parser.add_subparsers(metavar="show")
    show = actions.add_parser("show", help="tell all about one", description="Tells all about one incident.")
    show.set_defaults(run="comfyfarm.cli.scenarios:show_scenario")
    show.add_argument("incident", metavar="ID", help="such as F08")


def _add_log(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("log", metavar="FILE", help="a saved log; - reads what comes in")
    parser.add_argument("--trial", metavar="NAME", help="the trial that it is about; default: the last one")


def _add_judge(add: _Add) -> None:
    parser = add(
        "judge",
        "Says what a saved log proves about the software that used the farm.",
        "comfyfarm.cli.judge:judge",
        "A farm writes its log where [farm] log says.  The exit status is 0 for pass, 1 for fail, 2 for unknown or "
        "where nothing could be judged.  docs/verdict.md and docs/placement.md define all of it.",
    )
    _add_log(parser)
    parser.add_argument(
        "--set",
        metavar="BOUND=VALUE",
        action="append",
        default=[],
        help="another bound than the usual one: reaction=5s, retries=3; also the placement's fresh and overtakes",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print the verdict alone, byte for byte as GET /api/verdict")
    form.add_argument(
        "--placement-json", action="store_true", help="print the placement alone, as GET /api/placement gives it"
    )


def _add_report(add: _Add) -> None:
    parser = add(
        "report",
        "Shows a saved log as one page: verdict, timeline, placement, faults.",
        "comfyfarm.cli.report:report",
        "A farm writes its log where [farm] log says.  The exit status is 1 where something could not be read or "
        "written, else 0, whatever the verdict.  docs/timeline.md tells what there is to see.",
    )
    _add_log(parser)
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=Path, help="the page; default, where nothing else is asked for: LOG.html"
    )
    parser.add_argument("--trace", metavar="FILE", type=Path, help="the timeline for Perfetto and chrome://tracing")
    parser.add_argument("--svg", metavar="FILE", type=Path, help="the timeline as a picture")
    parser.add_argument("--text", action="store_true", help="print the timeline as text")


def _add_events(add: _Add) -> None:
    parser = add(
        "events",
        "Prints a saved log with each event as a line that has all its fields.",
        "comfyfarm.cli.events:events",
        "The exit status is 1 if something could not be read.  docs/log-lines.md explains the lines of a saved log.",
    )
    parser.add_argument("log", metavar="FILE", help="a saved log; - reads what comes in")


if __name__ == "__main__":
    raise SystemExit(main())
