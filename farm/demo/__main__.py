"""Shows a farm at work: ``./scripts/demo``, or ``python -m farm.demo`` where the package is installed."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from twisted.internet.task import react

from .find import NobodyThere, find_by_control, find_by_urls
from .jobs import plan
from .run import run
from .show import Lines, LiveBars, print_results

__all__ = ["main"]

_WIDE = 140  # columns where there is no terminal to ask


def main() -> None:
    """Read the options and do it."""
    options = _options().parse_args()
    # What servers say is printed as it is: no markup, no colours for numbers.
    console = Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else _WIDE)
    try:
        react(demonstrate, (console, options))
    finally:
        console.show_cursor()  # Ctrl-C stops the reactor without ending what runs in it, the bars among it


async def demonstrate(reactor: Any, console: Console, options: argparse.Namespace) -> None:
    """Find the servers, send the jobs, show what came of it; status 1 where anything failed."""
    try:
        found = find_by_urls(reactor, options.urls) if options.urls else find_by_control(reactor, options.control)
        targets = await found
    except NobodyThere as why:
        raise SystemExit(str(why)) from why
    jobs = plan(targets, options.jobs)
    with LiveBars(console, jobs) if console.is_terminal else Lines(console) as board:
        await run(reactor, targets, jobs, options.output, board)
    print_results(console, jobs)
    console.print(f"The pictures are in {options.output}/", soft_wrap=True)
    if any(job.error for job in jobs):
        raise SystemExit(1)


def _options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="demo", description="Sends jobs to every instance of a farm and watches.")
    where = options.add_mutually_exclusive_group()
    where.add_argument(
        "--control",
        metavar="URL",
        default="http://127.0.0.1:8180",
        help="the farm's control server, which knows the instances; default: %(default)s",
    )
    where.add_argument("--urls", metavar="URL", nargs="+", help="the servers themselves, of any make")
    options.add_argument("--jobs", metavar="N", type=_count, default=24, help="default: %(default)s")
    options.add_argument("--output", metavar="DIR", type=Path, default=Path("demo-output"), help="default: %(default)s")
    return options


def _count(text: str) -> int:
    """A number of jobs; argparse makes its message from the ``ValueError``."""
    if int(text) < 1:
        raise ValueError(text)
    return int(text)


if __name__ == "__main__":
    main()
